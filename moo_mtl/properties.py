"""What a rule can promise: names and statements, declared by recipes and tested on every rule that declares them.

Throughout, d is the direction J^T w, G the Gramian of the K gradients, and "always" means for every input on which the
rule is defined.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Property:
    """A statement about a rule.

    Attributes:
        name: a word for tables.
        statement: what holds, in one sentence.
        latex: the same as a formula.
    """

    name: str
    statement: str
    latex: str


nonnegative = Property("nonnegative", "No weight is ever negative.", r"w \ge 0")
simplex = Property("simplex", "The weights are nonnegative and sum to one.", r"w \in \Delta")
affine = Property("affine", "The weights sum to one, of either sign.", r"1^\top w = 1")
sums_to_k = Property("sums to K", "The weights sum to the number of tasks.", r"1^\top w = K")
common_descent = Property("common descent", "A small step along -d increases no loss to first order.", r"G w \ge 0")
zero_at_weakly_stationary = Property(
    "zero at weakly stationary",
    "The direction vanishes wherever some convex combination of the gradients does.",
    r"\exists v \in \Delta: J^\top v = 0 \Rightarrow d = 0",
)
zero_at_strongly_stationary = Property(
    "zero at strongly stationary",
    "The direction vanishes wherever a convex combination of the gradients with all weights positive does.",
    r"\exists v \in \Delta, v > 0: J^\top v = 0 \Rightarrow d = 0",
)
scale_invariant = Property(
    "scale invariant",
    "Multiplying losses by positive constants, one per task, leaves the unit direction of a first step as it is.",
    r"d(DJ) / \lVert d(DJ) \rVert = d(J) / \lVert d(J) \rVert",
)
trajectory_scale_invariant = Property(
    "trajectory scale invariant",
    "Multiplying losses by positive constants, one per task, leaves the unit direction of every step as it is.",
    r"d_t(DJ_1, \dots, DJ_t) / \lVert \cdot \rVert = d_t(J_1, \dots, J_t) / \lVert \cdot \rVert",
)
weights_scale_invariant = Property(
    "scale invariant weights",
    "Multiplying losses by positive constants, one per task, leaves the weights of every step as they are.",
    r"w_t(D\ell_1, DJ_1, \dots) = w_t(\ell_1, J_1, \dots)",
)
shift_invariant = Property(
    "shift invariant", "Adding constants to the losses, one per task, changes nothing.", r"w(\ell + c, G) = w(\ell, G)"
)
common_shift_invariant = Property(
    "common shift invariant", "Adding one constant to all losses changes nothing.", r"w(\ell + c 1, G) = w(\ell, G)"
)
permutation_equivariant = Property(
    "permutation equivariant",
    "Renaming the tasks renames the weights and leaves the direction as it is.",
    r"w(P \ell, P G P^\top) = P w(\ell, G)",
)
deterministic = Property(
    "deterministic", "The same observations give the same weights; no random numbers are drawn.", r"w = w(\ell, G)"
)
stateless = Property("stateless", "The weights depend on this step's observation alone.", r"w_t = w(\ell_t, G_t)")
linear_under_scaling = Property(
    "linear under scaling",
    "The direction is linear in positive factors on the gradients.",
    r"d(\mathrm{diag}(a c + b c') J) = a\, d(\mathrm{diag}(c) J) + b\, d(\mathrm{diag}(c') J)",
)
homogeneous_0 = Property(
    "homogeneous 0",
    "Multiplying all losses by one constant leaves the length of the step as it is.",
    r"\lVert d(sJ) \rVert = \lVert d(J) \rVert",
)
homogeneous_1 = Property(
    "homogeneous 1",
    "Multiplying all losses by one constant multiplies the length of the step by it.",
    r"\lVert d(sJ) \rVert = s \lVert d(J) \rVert",
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Property))
