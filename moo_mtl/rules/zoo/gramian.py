"""Rules that solve a small program in the Gramian of the gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.properties import (
    affine,
    common_descent,
    deterministic,
    homogeneous_0,
    homogeneous_1,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    shift_invariant,
    simplex,
    stateless,
    trajectory_scale_invariant,
    zero_at_strongly_stationary,
    zero_at_weakly_stationary,
)
from moo_mtl.rules import learned, output, projections, scaling, weights
from moo_mtl.rules.averaged import Averaged
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import get, recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, Output, Schedule, Slot, positive, within


@recipe(
    "mgda",
    cite="Desideri, Multiple-Gradient Descent Algorithm, C. R. Math. 350, 2012, Theorem 2.2; Sener and Koltun, "
    "Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018, arXiv 1810.04650, equation 4",
    holds=[
        nonnegative,
        simplex,
        common_descent,
        zero_at_weakly_stationary,
        shift_invariant,
        permutation_equivariant,
        deterministic,
        stateless,
        homogeneous_1,
    ],
    fails=[scale_invariant, linear_under_scaling],
    when={scale_invariant: "normalization = l2"},
)
def mgda(
    normalization: Literal["none", "l2", "loss", "loss+"] = "none",
    use: Literal["normalised", "raw"] = "normalised",
    lower_bound: Bound = None,
) -> Rule[Any]:
    r"""The shortest vector in the convex hull of the gradients.

    .. math:: w = \arg\min_{w \in \Delta} \lVert J^\top w \rVert^2, \qquad d = J^\top w

    Args:
        normalization: gradients are first divided by 1, :math:`\lVert g_k \rVert` (``"l2"``), :math:`\ell_k` (``"loss"``) or
            :math:`\ell_k \lVert g_k \rVert` (``"loss+"``).
        use: ``"normalised"`` combines the normalised gradients and keeps common descent; ``"raw"`` applies the weights
            to the raw gradients, as the code of Sener and Koltun does, and loses common descent and the zero at
            stationary points.
        lower_bound: a number below every loss, or one per task, subtracted before dividing by a loss.

    Raises:
        InputError: ``normalization`` or ``use`` is unknown.
    """
    scales: dict[str, Callable[[], Slot[Tensor] | None]] = {
        "none": lambda: None,
        "l2": lambda: scaling.unit_norm,
        "loss": lambda: scaling.by_loss(lower_bound),
        "loss+": lambda: scaling.by_loss_and_norm(lower_bound),
    }
    if normalization not in scales:
        raise InputError(f"mgda: normalization {normalization!r} is unknown; expected one of {', '.join(scales)}")
    if use not in ("normalised", "raw"):
        raise InputError(f"mgda: use {use!r} is unknown; expected 'normalised' or 'raw'")
    scale = scales[normalization]()
    if scale is not None and use == "raw":
        return compose(weights.seen_through(scale, weights.min_norm), heads="weights", name="mgda")
    return compose(weights.min_norm, scale=scale, heads="weights", name="mgda")


@recipe(
    "edm",
    cite="Katrutsa, Merkulov, Tursynbek and Oseledets, Follow the Bisector: a Simple Method for Multi-Objective "
    "Optimization, arXiv 2007.06937, 2020",
    holds=[
        nonnegative,
        simplex,
        common_descent,
        zero_at_weakly_stationary,
        scale_invariant,
        shift_invariant,
        permutation_equivariant,
        deterministic,
        stateless,
        homogeneous_1,
    ],
    fails=[linear_under_scaling],
)
def edm() -> Rule[Any]:
    r"""The min-norm direction of the unit gradients, as a convex combination of the raw ones; the task tensioner's
    central direction.

    .. math:: b = \arg\min_{b \in \Delta} \Bigl\lVert \sum_k b_k \frac{g_k}{\lVert g_k \rVert} \Bigr\rVert^2, \qquad
              w_k = \frac{b_k / \lVert g_k \rVert}{\sum_j b_j / \lVert g_j \rVert}

    A task without gradient is left out.
    """
    return compose(weights.min_norm, scale=scaling.unit_norm, output=output.simplex, name="edm")


@recipe(
    "normalized-sum",
    cite="The gradient stage of DB-MTL: Lin et al., Neural Networks 2025, arXiv 2308.12029, equation 3",
    holds=[nonnegative, scale_invariant, shift_invariant, permutation_equivariant, deterministic, stateless, homogeneous_0],
    fails=[common_descent, zero_at_weakly_stationary, simplex, linear_under_scaling],
    when={common_descent: "K = 2", zero_at_weakly_stationary: "K = 2"},
)
def normalized_sum(magnitude: Literal["max", "min", "mean", "median"] | float = 1.0) -> Rule[Any]:
    r"""Sum of the gradients, all rescaled to one length: :math:`w_k = s / \lVert g_k \rVert`.

    Args:
        magnitude: s, a positive number, or a statistic of the lengths: ``"max"``, ``"min"``, ``"mean"`` or ``"median"``.

    Raises:
        InputError: ``magnitude`` is neither.
    """
    return compose(weights.uniform, scale=scaling.common_norm(magnitude), heads="loss", name="normalized-sum")


@recipe(
    "pcgrad",
    cite="Yu, Kumar, Gupta, Levine, Hausman and Finn, Gradient Surgery for Multi-Task Learning, NeurIPS 2020, "
    "arXiv 2001.06782, Algorithm 1",
    holds=[nonnegative, shift_invariant, stateless, linear_under_scaling, homogeneous_1],
    fails=[
        *(common_descent, zero_at_weakly_stationary, simplex, scale_invariant, deterministic, permutation_equivariant),
    ],
    when={common_descent: "K = 2", zero_at_weakly_stationary: "K = 2", permutation_equivariant: "in law"},
)
def pcgrad(
    reduction: Literal["sum", "mean"] = "sum", order: Literal["random", "fixed"] = "random", skip_self: bool = True
) -> Rule[Any]:
    r"""Every gradient is projected off those it conflicts with, one after the other in random order; their sum is the step.

    All weights are at least 1. With three tasks or more the step may still conflict with one of them.

    Args:
        reduction: sum of the projected gradients, or their mean.
        order: ``"fixed"`` visits tasks by number, which is what the authors' code does, since it drops its shuffle.
        skip_self: the paper's; False lets a projected gradient be projected off its own original, as three code bases do.

    Raises:
        InputError: ``reduction`` or ``order`` is unknown.
    """
    if reduction not in ("sum", "mean"):
        raise InputError(f"pcgrad: reduction {reduction!r} is unknown; expected 'sum' or 'mean'")
    length = output.per_task if reduction == "mean" else None
    return compose(projections.surgery(order, skip_self), output=length, name="pcgrad")


@recipe(
    "gradvac",
    cite="Wang, Tsvetkov, Firat and Cao, Gradient Vaccine: Investigating and Improving Multi-Task Optimization in Massively "
    "Multilingual Models, ICLR 2021, arXiv 2010.05874, Algorithm 1",
    holds=[nonnegative, shift_invariant, homogeneous_1],
    fails=[
        *(common_descent, zero_at_weakly_stationary, simplex, scale_invariant, deterministic, permutation_equivariant),
        stateless,
    ],
    when={permutation_equivariant: "in law"},
)
def gradvac(
    beta: float = 0.01, order: Literal["random", "fixed"] = "random", update: Literal["always", "on-conflict"] = "always"
) -> Rule[Any]:
    r"""As PCGrad, but each pair's cosine is lifted to its own running mean instead of to 0.

    Args:
        beta: weight of a new cosine in the mean; about 0.01 in the paper, 0.5 in most public code.
        order: random, or by number.
        update: the mean takes every cosine (``"always"``), or only those that were lifted.

    Raises:
        InputError: ``beta`` outside [0, 1], or ``order`` or ``update`` unknown.
    """
    return compose(projections.vaccine(beta, order, update), name="gradvac")


@recipe(
    "cagrad",
    cite="Liu, Liu, Jin, Stone and Liu, Conflict-Averse Gradient Descent for Multi-Task Learning, NeurIPS 2021, "
    "arXiv 2110.14048, equation 4",
    holds=[nonnegative, shift_invariant, permutation_equivariant, deterministic, stateless, homogeneous_1],
    fails=[common_descent, zero_at_weakly_stationary, simplex, scale_invariant, linear_under_scaling],
    when={common_descent: "c >= 1", zero_at_weakly_stationary: "c >= 1"},
)
def cagrad(c: float = 0.4, rescale: Literal["none", "c", "c-squared"] = "none") -> Rule[Any]:
    r"""The best worst-task improvement within a ball of radius :math:`c \lVert g_0 \rVert` round the mean gradient.

    .. math:: \max_d \min_k g_k^\top d \quad\text{s.t.}\quad \lVert d - g_0 \rVert \le c \lVert g_0 \rVert

    Args:
        c: radius; 0 is the mean gradient, 1 and above gives common descent, infinity the direction of MGDA.
        rescale: the authors' code divides the step by :math:`1 + c^2` (its default) or by :math:`1 + c`; the paper does not.

    Raises:
        InputError: ``rescale`` is unknown, or (at the first step) c is negative.
    """
    factors = {"none": 1.0, "c": 1 / (1 + c), "c-squared": 1 / (1 + c * c)}
    if rescale not in factors:
        raise InputError(f"cagrad: rescale {rescale!r} is unknown; expected one of {', '.join(factors)}")
    length = None if rescale == "none" else output.constant(factors[rescale])
    return compose(weights.cagrad(c), output=length, name="cagrad")


@recipe(
    "imtl-g",
    cite="Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, Towards Impartial Multi-Task Learning, ICLR 2021, equation 5",
    holds=[affine, shift_invariant, permutation_equivariant, deterministic, stateless, homogeneous_1],
    fails=[common_descent, nonnegative, simplex, scale_invariant, linear_under_scaling],
    when={common_descent: "sign = downhill", scale_invariant: "sign = downhill"},
)
def imtl_g(sign: Literal["paper", "downhill"] = "paper") -> Rule[Any]:
    r"""Weights of sum 1 under which the step has equal projections on all unit gradients.

    The paper takes the gradients at the shared representation (``Balancer(gramian_of=...)``).

    Args:
        sign: the sum of the weights before they are normalised can be negative, and the paper's step then climbs every task;
            ``"downhill"`` turns it round, at the price of weights that sum to -1 there.

    Raises:
        InputError: ``sign`` is unknown.
    """
    return compose(weights.equal_projections(sign), name="imtl-g")


@recipe(
    "imtl",
    cite="Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, Towards Impartial Multi-Task Learning, ICLR 2021, Algorithm 1",
    holds=[permutation_equivariant, deterministic],
    fails=[common_descent, nonnegative, simplex, affine, shift_invariant, stateless],
)
def imtl(
    lr: Schedule = 1e-3,
    optimizer: learned.Optimizer = "adam",
    initial: float = 0.0,
    sign: Literal["paper", "downhill"] = "paper",
) -> Rule[Any]:
    r"""IMTL-L's learned loss scales for the tasks' own parameters, then IMTL-G on the scaled gradients for the shared ones.

    Args:
        lr: learning rate of the scales.
        optimizer: of the scales.
        initial: their logarithm before the first step.
        sign: as in ``imtl_g``.

    Raises:
        InputError: ``optimizer`` or ``sign`` is unknown.
    """
    scaled = learned.learned_scale(lr, optimizer, initial)
    return compose(weights.equal_projections(sign), loss=scaled, heads="loss", name="imtl")


@recipe(
    "nash-mtl",
    cite="Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik and Fetaya, Multi-Task Learning as a Bargaining Game, ICML "
    "2022, arXiv 2202.01017, Claim 3.1",
    holds=[
        *(nonnegative, common_descent, scale_invariant, shift_invariant, permutation_equivariant, deterministic),
        *(stateless, homogeneous_0),
    ],
    fails=[simplex, linear_under_scaling],
)
def nash_mtl(max_norm: float | None = 1.0) -> Rule[Any]:
    r"""The Nash bargaining solution: :math:`G w = 1 / w`, so that every task improves at the same relative rate.

    The exact solution always has length :math:`\sqrt K`; at Pareto-stationary points there is none, and the weights are 0.
    The authors solve a sequence of approximations; this is the exact solution.

    Args:
        max_norm: the step is shortened to this length where it is longer, as in the authors' code; with 1 every step has
            length 1. ``None`` leaves it.
    """
    return compose(weights.nash, output=_longest(max_norm), heads="weights", name="nash-mtl")


@recipe(
    "fairgrad",
    cite="Ban and Ji, Fair Resource Allocation in Multi-Task Learning, ICML 2024, arXiv 2402.15638, equation 7",
    holds=[nonnegative, common_descent, shift_invariant, permutation_equivariant, deterministic, stateless],
    fails=[simplex, scale_invariant, linear_under_scaling, homogeneous_1],
    when={scale_invariant: "alpha = 1"},
)
def fairgrad(alpha: float = 2.0, max_norm: float | None = 1.0) -> Rule[Any]:
    r"""Alpha-fair shares of the improvement: :math:`G w = w^{-1/\alpha}`.

    1 is Nash bargaining, 2 minimum potential delay, and large values approach MGDA's direction. For :math:`\alpha > 1` the step
    grows as gradients shrink, which is why the authors clip it. At Pareto-stationary points the weights are 0.

    Args:
        alpha: above 0.
        max_norm: the step is shortened to this length where it is longer; ``None`` leaves it.

    Raises:
        InputError: ``alpha`` is not positive.
    """
    positive("fairgrad", "alpha", alpha, "1 is Nash bargaining")
    return compose(weights.fairgrad(alpha), output=_longest(max_norm), name="fairgrad")


@recipe(
    "aligned-mtl",
    cite="Senushkin, Patakin, Kuznetsov and Konushin, Independent Component Alignment for Multi-Task Learning, CVPR 2023, "
    "arXiv 2305.19000, equations 10 and 11",
    holds=[shift_invariant, permutation_equivariant, deterministic, stateless, homogeneous_1],
    fails=[nonnegative, common_descent, zero_at_weakly_stationary, simplex, scale_invariant, linear_under_scaling],
)
def aligned_mtl(scale: Literal["min", "median", "rmse"] = "min", reduction: Literal["sum", "mean"] = "sum") -> Rule[Any]:
    r"""The gradients' system made orthogonal with equal singular values, then summed.

    Rank is decided by float64 rounding: as a singular value falls to 0 the step shrinks with it, and jumps when it is dropped.

    Args:
        scale: which singular value all take: the smallest, the lower median, or the root mean square.
        reduction: sum of the aligned gradients (the authors), or their mean.

    Raises:
        InputError: ``reduction`` is unknown, or (at the first step) ``scale`` is.
    """
    if reduction not in ("sum", "mean"):
        raise InputError(f"aligned-mtl: reduction {reduction!r} is unknown; expected 'sum' or 'mean'")
    length = output.times_tasks if reduction == "sum" else None
    return compose(weights.aligned(scale), output=length, name="aligned-mtl")


@recipe(
    "upgrad",
    cite="Quinton and Rey, Jacobian Descent for Multi-Objective Optimization, arXiv 2406.16232, 2024, equation 4",
    holds=[
        *(nonnegative, common_descent, zero_at_strongly_stationary, shift_invariant, permutation_equivariant),
        *(deterministic, stateless, linear_under_scaling, homogeneous_1),
    ],
    fails=[zero_at_weakly_stationary, simplex, scale_invariant],
)
def upgrad() -> Rule[Any]:
    r"""Mean of the gradients' own projections onto the cone of directions that increase no loss."""
    return compose(weights.upgrad, name="upgrad")


@recipe(
    "dualproj",
    cite="Lopez-Paz and Ranzato, Gradient Episodic Memory for Continual Learning, NeurIPS 2017, arXiv 1706.08840, equation 11",
    holds=[
        *(nonnegative, common_descent, zero_at_strongly_stationary, shift_invariant, permutation_equivariant),
        *(deterministic, stateless, homogeneous_1),
    ],
    fails=[zero_at_weakly_stationary, simplex, scale_invariant, linear_under_scaling],
)
def dualproj() -> Rule[Any]:
    r"""Projection of the mean gradient onto the cone of directions that increase no loss."""
    return compose(weights.dualproj, name="dualproj")


@recipe(
    "config",
    cite="Liu, Chu and Thuerey, ConFIG: Towards Conflict-Free Training of Physics Informed Neural Networks, ICLR 2025, "
    "arXiv 2408.11104, equations 2 and 3",
    holds=[
        *(common_descent, scale_invariant, shift_invariant, permutation_equivariant, deterministic, stateless),
        *(linear_under_scaling, homogeneous_1),
    ],
    fails=[nonnegative, simplex, zero_at_weakly_stationary],
)
def config(length: Literal["projections", "min", "max", "mean", "median"] = "projections") -> Rule[Any]:
    r"""The direction at equal angles to all gradients, as long as their projections on it add up to.

    It conflicts with no task while the unit gradients are independent.

    Args:
        length: gradients are first rescaled to a statistic of their lengths, which changes the length of the step only;
            ``"projections"`` leaves them, as the paper does.

    Raises:
        InputError: ``length`` is unknown.
    """
    scale = None if length == "projections" else scaling.common_norm(length)
    return compose(weights.config, scale=scale, heads="loss", name="config")


@recipe(
    "krum",
    cite="Blanchard, El Mhamdi, Guerraoui and Stainer, Machine Learning with Adversaries: Byzantine Tolerant Gradient "
    "Descent, NeurIPS 2017, arXiv 1703.02757, Section 4",
    holds=[nonnegative, simplex, shift_invariant, permutation_equivariant, deterministic, stateless, homogeneous_1],
    fails=[common_descent, zero_at_weakly_stationary, scale_invariant, linear_under_scaling],
    min_tasks=4,
)
def krum(byzantine: int = 1, selected: int = 1, distance: Literal["squared", "plain"] = "squared") -> Rule[Any]:
    r"""The mean of the gradients that lie closest to their :math:`K - f - 2` nearest others.

    Args:
        byzantine: f, how many gradients may be arbitrary; the rule needs f + 3 tasks.
        selected: how many gradients are averaged; 1 is Krum, more Multi-Krum.
        distance: the paper sums squared distances; TorchJD sums plain ones.

    Raises:
        InputError: ``byzantine`` is negative, ``selected`` not positive, or ``distance`` unknown.
    """
    within("krum", "byzantine", byzantine, 0, float("inf"), "it is a number of gradients")
    positive("krum", "selected", selected, "it is a number of gradients")
    fewest = max(byzantine + 3, selected)
    return compose(weights.nearest_rows(byzantine, selected, distance), name="krum", min_tasks=fewest)


@recipe(
    "conicgrad",
    cite="Hassanpour et al., Gradient-Based Multi-Objective Learning within a Cone, arXiv 2502.00217, 2025; the exact solution "
    "of its program",
    holds=[
        *(nonnegative, common_descent, zero_at_weakly_stationary, shift_invariant, permutation_equivariant, deterministic),
        *(stateless, homogeneous_1),
    ],
    fails=[simplex, scale_invariant, linear_under_scaling],
)
def conicgrad(c: float = 0.5, length: Literal["exact", "mean"] = "exact") -> Rule[Any]:
    r"""The best worst-task improvement within a cone round the mean gradient.

    .. math:: \max_d \min_k g_k^\top d - \tfrac12 \lVert d \rVert^2 \quad\text{s.t.}\quad g_0^\top d \ge c \lVert g_0 \rVert
              \lVert d \rVert

    The paper updates task weights iteratively; its constants could not be verified.

    Args:
        c: cosine of the cone's half-angle.
        length: that of the program's solution, or of the mean gradient.

    Raises:
        InputError: ``length`` is unknown, or (at the first step) c is outside [0, 1).
    """
    if length not in ("exact", "mean"):
        raise InputError(f"conicgrad: length {length!r} is unknown; expected 'exact' or 'mean'")
    return compose(weights.conicgrad(c), output=output.match_mean_norm if length == "mean" else None, name="conicgrad")


@recipe(
    "encodec",
    cite="Defossez, Copet, Synnaeve and Adi, High Fidelity Neural Audio Compression, TMLR 2023, arXiv 2210.13438, Section 3.4",
    holds=[nonnegative, trajectory_scale_invariant, shift_invariant, permutation_equivariant, deterministic, homogeneous_0],
    fails=[common_descent, zero_at_weakly_stationary, simplex, stateless],
)
def encodec(decay: Schedule = 0.999, total: float = 1.0) -> Rule[Any]:
    r"""Each gradient divided by the moving average of its own length, so that shares of the step can be chosen.

    The paper takes the gradients at the model's output, and their mean length over examples.

    Args:
        decay: of the averages, which are corrected for their zero start.
        total: length to which the averages add up; each of K tasks gets a K-th.

    Raises:
        InputError: ``decay`` outside [0, 1].
    """
    share = output.per_task_of(total)
    return compose(weights.uniform, scale=scaling.average_norm(decay), output=share, heads="weights", name="encodec")


@recipe(
    "metabalance",
    cite="He et al., MetaBalance: Improving Multi-Task Recommendations via Adapting Gradient Magnitudes of Auxiliary Tasks, "
    "WWW 2022, arXiv 2203.06801, Algorithm 1",
    holds=[nonnegative, shift_invariant, deterministic, homogeneous_1],
    fails=[common_descent, zero_at_weakly_stationary, simplex, permutation_equivariant, stateless, scale_invariant],
)
def metabalance(target: int = 0, relax: float = 0.7, decay: Schedule = 0.9) -> Rule[Any]:
    r"""Auxiliary gradients drawn towards the length of the target task's, by averaged lengths.

    The paper applies it per parameter tensor (``Balancer(groups=...)``).

    Args:
        target: number of the target task.
        relax: r in :math:`r \, m_{\text{target}} / m_k + 1 - r`.
        decay: of the averaged lengths.

    Raises:
        InputError: ``relax`` or ``decay`` outside [0, 1], or (at the first step) there is no task ``target``.
    """
    return compose(weights.uniform, scale=scaling.towards_task(target, relax, decay), heads="loss", name="metabalance")


@recipe(
    "cr-mogm",
    cite="Zhou, Zhang, Jiang, Zhong, Gu and Zhu, On the Convergence of Stochastic Multi-Objective Gradient Manipulation and "
    "Beyond, NeurIPS 2022, Algorithm 1",
    holds=[nonnegative, simplex, shift_invariant, permutation_equivariant, deterministic, homogeneous_1],
    fails=[common_descent, zero_at_weakly_stationary, scale_invariant, stateless, linear_under_scaling],
)
def cr_mogm(rule: str | Rule[Any] = "mgda", rho: Schedule = 0.9, **parameters: Any) -> Rule[Any]:
    r"""The weights of any rule, averaged over time: :math:`w_t = \rho_t w_{t-1} + (1 - \rho_t) \hat w_t`.

    What is declared of it holds around MGDA; in general it inherits signs and sums, and loses guarantees of the direction.

    Args:
        rule: a rule, or its name.
        rho: share of the old weights; the paper lets it grow as the learning rate falls.
        parameters: of the rule, where it is given by name.

    Raises:
        InputError: the rule or a parameter is unknown, or ``rho`` outside [0, 1].
    """
    inner = get(rule, **parameters) if isinstance(rule, str) else rule
    return Averaged(inner, rho, name="cr-mogm")


def _longest(max_norm: float | None) -> Output | None:
    return None if max_norm is None else output.at_most(max_norm)
