"""What a rule can promise: names and statements, declared by recipes and tested on every rule that declares them.

Throughout, d is the direction J^T w, G the Gramian of the K gradients, and "always" means for every input on which the
rule is defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


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


def per_task(numbers: Tensor, order: Tensor) -> Tensor:
    """Random numbers, one a task ``[..., K]``, in the tasks' new order."""
    return numbers[..., order]


def per_pair(numbers: Tensor, order: Tensor) -> Tensor:
    """Random numbers, one an ordered pair of tasks ``[..., K * K]``, in the tasks' new order."""
    K = len(order)
    return numbers.unflatten(-1, (K, K))[..., order, :][..., order].flatten(-2)


@dataclass(frozen=True)
class Condition:
    """Where a property that fails in general holds all the same.

    Attributes:
        words: as tables have it.
        parameters: hyper-parameters of the rule.
        min_tasks: smallest K.
        max_tasks: largest K, where there is one.
        independent: whether the gradients must be linearly independent.
        renaming: how the rule's random numbers go along with tasks in another order, for properties in law.
        first: steps that do not count.
    """

    words: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    min_tasks: int = 1
    max_tasks: int | None = None
    independent: bool = False
    renaming: Callable[[Tensor, Tensor], Tensor] | None = None
    first: int = 0


two_tasks = Condition("K = 2", max_tasks=2)
independent = Condition("independent gradients", independent=True)
in_law_per_task = Condition("in law", renaming=per_task)
in_law_per_pair = Condition("in law", renaming=per_pair)

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
zero_only_at_stationary = Property(
    "zero only at stationary",
    "Relative to the lengths of its parts the direction is never shorter than the shortest convex combination of the unit "
    "gradients, so it vanishes nowhere but at stationary points.",
    r"\lVert d \rVert \ge \min_{v \in \Delta} \lVert \sum_k v_k u_k \rVert \, \sum_k |w_k| \lVert g_k \rVert",
)
equal_projections = Property(
    "equal projections",
    "Every task improves at the same rate relative to the length of its gradient.",
    r"u_j^\top d = u_k^\top d, \quad u_k = g_k / \lVert g_k \rVert",
)
equal_loss_rates = Property(
    "equal loss rates",
    "Every task improves at the same rate relative to its loss.",
    r"g_j^\top d / \ell_j = g_k^\top d / \ell_k",
)
heavier_with_loss = Property(
    "heavier with loss",
    "All else unchanged, a larger loss never gives its task a smaller share of the weights.",
    r"\partial_{\ell_k} \bigl(w_k / \lVert w \rVert_1\bigr) \ge 0",
)
lighter_with_loss = Property(
    "lighter with loss",
    "All else unchanged, a larger loss never gives its task a larger share of the weights.",
    r"\partial_{\ell_k} \bigl(w_k / \lVert w \rVert_1\bigr) \le 0",
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
scale_invariant_weights = Property(
    "scale invariant weights",
    "Multiplying losses by positive constants, one per task, leaves the weights of every step as they are.",
    r"w_t(D\ell_1, DJ_1, \dots) = w_t(\ell_1, J_1, \dots)",
)
transformation_invariant = Property(
    "transformation invariant",
    "Smooth increasing transformations of the losses, one per task, leave the unit direction of a first step as it is.",
    r"d(\varphi(\ell), \mathrm{diag}(\varphi'(\ell)) J) \parallel d(\ell, J)",
)
trajectory_transformation_invariant = Property(
    "trajectory transformation invariant",
    "Smooth increasing transformations of the losses, one per task, leave the unit direction of every step as it is.",
    r"d_t(\varphi(\ell_1), \mathrm{diag}(\varphi'(\ell_1)) J_1, \dots) \parallel d_t(\ell_1, J_1, \dots)",
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
    "The direction of every step is linear in positive factors on losses and gradients.",
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

copies_change_nothing = Property(
    "copies change nothing",
    "A second copy of a task leaves the unit direction as it is.",
    r"d([J; g_1]) \parallel d(J)",
)
idle_tasks_change_nothing = Property(
    "idle tasks change nothing",
    "A further task whose gradient is zero leaves the unit direction as it is.",
    r"d([J; 0]) \parallel d(J)",
)
continuous = Property(
    "continuous",
    "While the gradients are linearly independent, the first step is a continuous function of losses and gradients.",
    r"(\ell, J) \mapsto d \text{ is continuous where } \operatorname{rank} J = K",
)
continuous_at_dependence = Property(
    "continuous at dependence",
    "The first step is continuous also where gradients become linearly dependent.",
    r"(\ell, J) \mapsto d \text{ is continuous where } \operatorname{rank} J < K",
)
unbiased = Property(
    "unbiased",
    "Noise of mean zero on the gradients leaves the mean of the first direction as it is.",
    r"\mathbb{E}\, d(J + \varepsilon) = d(J)",
)
converges_if_convex = Property(
    "converges if convex",
    "On convex quadratics, steps shrinking like one over the root of their number bring the distance to Pareto-stationarity "
    "below a twentieth of its start within 250 steps.",
    r"\min_{t \le 250} \rho(J_t) \le \tfrac1{20} \rho(J_0), \quad \rho(J) = \operatorname{dist}(0, \operatorname{conv} J)",
)
converges_if_smooth = Property(
    "converges if smooth",
    "The same on smooth problems that are not convex (Fonseca's).",
    r"\min_{t \le 250} \rho(J_t) \le \tfrac1{20} \rho(J_0), \quad \rho(J) = \operatorname{dist}(0, \operatorname{conv} J)",
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Property))

# What follows from what; a recipe declares the premises alone.
IMPLICATIONS: tuple[tuple[frozenset[Property], Property], ...] = tuple(
    (frozenset(premises), conclusion)
    for premises, conclusion in (
        ({simplex}, nonnegative),
        ({simplex}, affine),
        ({zero_at_weakly_stationary}, zero_at_strongly_stationary),
        ({shift_invariant}, common_shift_invariant),
        ({trajectory_scale_invariant}, scale_invariant),
        ({scale_invariant, stateless}, trajectory_scale_invariant),
        ({scale_invariant, shift_invariant}, transformation_invariant),
        ({transformation_invariant}, scale_invariant),
        ({transformation_invariant, stateless}, trajectory_transformation_invariant),
        ({trajectory_transformation_invariant}, transformation_invariant),
        ({trajectory_transformation_invariant}, trajectory_scale_invariant),
        ({linear_under_scaling, stateless}, homogeneous_1),
    )
)


def closure(declared: Iterable[Property]) -> frozenset[Property]:
    """The properties and all that follow from them.

    >>> simplex in closure([nonnegative]), nonnegative in closure([simplex])
    (False, True)
    """
    known, size = set(declared), -1
    while len(known) > size:
        size = len(known)
        known |= {conclusion for premises, conclusion in IMPLICATIONS if premises <= known}
    return frozenset(known)
