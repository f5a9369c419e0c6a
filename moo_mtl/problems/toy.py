"""The small problems on which gradient balancing is shown: two tasks, known fronts, closed-form gradients."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from moo_mtl.errors import InputError, unknown
from moo_mtl.problems.problem import Problem, box, placed, size, vector
from moo_mtl.problems.registry import problem
from moo_mtl.problems.sampling import evenly

FLOOR = 5e-6  # below it, the toy's log valleys are flat
_SIDES = placed(vector(1, -1))  # what tells the toy's second task from its first

# Starting points of the two-task toy, by the source that used them.
STARTS = {
    "nash-mtl": ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0)),  # also FAMO's code
    "cagrad": ((-8.5, 7.5), (-8.5, -5.0), (9.0, 9.0)),  # its code
    "cagrad-paper": ((-8.5, 7.5), (-8.5, 5.0), (0.0, 0.0), (9.0, 9.0), (10.0, -8.0)),  # also FAMO's paper
}


@problem(
    "two-task-toy",
    cite="Liu et al., Conflict-Averse Gradient Descent, NeurIPS 2021, arXiv 2110.14048, section 5.1; "
    "scale 0.1 from Navon et al., Nash-MTL, ICML 2022, arXiv 2202.01017, appendix B",
)
def two_task_toy(scale: float = 0.1, starts: str = "nash-mtl") -> Problem:
    r"""Two log valleys above, two bowls below: gradients conflict, and the first loss is ``scale`` times smaller.

    With :math:`t = \tanh b` at the point :math:`(a, b)`,

    .. math::
        p_1 &= \log\max(|{-a/2} - 7/2 + t|, \epsilon) + 6, & q_1 &= ((a - 7)^2 + (b + 8)^2 / 10) / 10 - 20, \\
        p_2 &= \log\max(|{-a/2} + 7/2 - t|, \epsilon) + 6, & q_2 &= ((a + 7)^2 + (b + 8)^2 / 10) / 10 - 20, \\
        \ell_1 &= s\,(u p_1 + v q_1), \quad \ell_2 = u p_2 + v q_2, & u &= \max(\tanh(b/2), 0), \; v = \max(\tanh(-b/2), 0).

    The signs are those of all released code; the papers print the tanh of :math:`p_2` with the other one. At
    :math:`b = 0` both gates have a slope, as under the authors' ``torch.clamp``: otherwise nothing would ever leave
    :math:`(0, 0)`.
    Inside the floor :math:`\epsilon` = 5e-6 the logarithm is flat.

    Args:
        scale: s of the first loss; 1 in CAGrad, 0.1 in Nash-MTL and FAMO.
        starts: whose starting points: "nash-mtl", "cagrad" or "cagrad-paper".

    Raises:
        InputError: ``starts`` is none of these, or ``scale`` is not positive.
    """
    if not scale > 0:
        raise InputError(f"two-task-toy: scale must be positive, found {scale!r}")
    if starts not in STARTS:
        raise unknown("starts", starts, STARTS)
    ends = _toy_ends() * vector(scale, 1)
    scales = placed(vector(scale, 1))
    return Problem(
        name="two-task-toy",
        n_tasks=2,
        n_dim=2,
        evaluate=lambda x: _toy_losses(x, scale),
        exact_differentiate=lambda x: _toy_differentiate(x, scales(x)),
        exact_set=_toy_pareto_set,
        ref_point=vector(0, 0),
        ideal=ends.amin(dim=0),
        nadir=ends.amax(dim=0),
        lower_bound=vector(-21 * scale, -21),  # (-2.1, -21) in FAMO's protocol
        starts=vector(*STARTS[starts]),
    )


@problem("ewq", cite="Quinton and Rey, Jacobian Descent (UPGrad), arXiv 2406.16232, appendix A.1")
def elementwise_quadratic() -> Problem:
    r"""Element-wise quadratic :math:`f(x) = (x_1^2, x_2^2)`: both axes are weakly stationary, only the origin is optimal."""
    return Problem(
        name="ewq",
        n_tasks=2,
        n_dim=2,
        evaluate=torch.square,
        exact_jacobian=lambda x: torch.diag_embed(2 * x),
        exact_set=lambda n: torch.zeros(n, 2, dtype=torch.float64),
        ref_point=vector(16, 16),
        ideal=vector(0, 0),
        nadir=vector(0, 0),
        starts=vector((3, -2), (0, -3), (-4, 4), (-3, 4), (-3.5, -0.75)),
    )


@problem("cqf", cite="Quinton and Rey, Jacobian Descent (UPGrad), arXiv 2406.16232, equations 14-16")
def convex_quadratic_forms() -> Problem:
    r"""Two long valleys that nearly oppose each other.

    .. math:: f_i(x) = (x - v_i)^\top A_i (x - v_i), \quad A_1 = U \mathrm{diag}(1, 0.01) U^\top, \;
              A_2 = U^\top \mathrm{diag}(3, 0.01) U, \quad v = (\pm 1, 0)

    with U the rotation by pi/16. The Pareto set is :math:`x(w) = (\sum w_i A_i)^{-1} \sum w_i A_i v_i`.
    """
    c, s = math.cos(math.pi / 16), math.sin(math.pi / 16)
    turn = vector((c, -s), (s, c))
    forms = torch.stack([turn @ vector(1, 0.01).diag() @ turn.T, turn.T @ vector(3, 0.01).diag() @ turn])
    centres = vector((1, 0), (-1, 0))
    form, centre = placed(forms), placed(centres)

    def offsets(x: Tensor) -> Tensor:
        return x.unsqueeze(-2) - centre(x)

    def half_gradients(x: Tensor) -> Tensor:
        product: Tensor = offsets(x).unsqueeze(-2) @ form(x)
        return product.squeeze(-2)

    def evaluate(x: Tensor) -> Tensor:
        return (half_gradients(x) * offsets(x)).sum(dim=-1)

    def optimum(first: Tensor) -> Tensor:
        weights = torch.stack([first, 1 - first], dim=-1)
        left = torch.einsum("nk,kij->nij", weights, forms)
        right = torch.einsum("nk,kij,kj->ni", weights, forms, centres)
        return torch.linalg.solve(left, right)

    return Problem(
        name="cqf",
        n_tasks=2,
        n_dim=2,
        evaluate=evaluate,
        exact_jacobian=lambda x: 2 * half_gradients(x),
        exact_set=lambda n: optimum(evenly(lambda w: evaluate(optimum(w)), n)),
        ref_point=1.1 * evaluate(centres).amax(dim=0),
        ideal=vector(0, 0),
        nadir=evaluate(centres).amax(dim=0),
        starts=vector((0.5, 0.5), (-1, 7), (0, 0), (1, 6)),
    )


@problem(
    "fonseca",
    cite="Fonseca and Fleming, Evolutionary Computation 3(1), 1995; with n = 20 in Lin et al., Pareto MTL, NeurIPS 2019 "
    "(arXiv 1912.12854); called VLMOP1 in LibMOON's tables",
)
def fonseca(n_dim: int = 20) -> Problem:
    r"""The concave pair :math:`f_{1,2} = 1 - \exp(-\lVert x \mp 1/\sqrt{n} \rVert^2)`; weighted sums reach its ends only."""
    reach = 1 / math.sqrt(size("fonseca", "n_dim", n_dim, 1))

    def offsets(x: Tensor) -> Tensor:  # [2, D, ...]
        return x.movedim(-1, 0) - reach * _SIDES(x).reshape(2, *[1] * x.dim())

    def differentiate(x: Tensor) -> tuple[Tensor, Tensor]:
        offset = offsets(x)
        height = -offset.square().sum(dim=1)
        rows = (2 * torch.exp(height)).unsqueeze(1) * offset
        return -torch.expm1(height).movedim(0, -1), rows.movedim((0, 1), (-2, -1))

    return Problem(
        name="fonseca",
        n_tasks=2,
        n_dim=n_dim,
        evaluate=lambda x: -torch.expm1(-offsets(x).square().sum(dim=1)).movedim(0, -1),
        exact_differentiate=differentiate,
        bounds=box(-4.0, 4.0, n_dim),
        exact_set=lambda n: torch.outer(evenly(_fonseca_front, n, 1.0, -1.0) * reach, torch.ones(n_dim, dtype=torch.float64)),
        ref_point=vector(1, 1),
        ideal=vector(0, 0),
        nadir=vector(-math.expm1(-4), -math.expm1(-4)),
    )


def _fonseca_front(t: Tensor) -> Tensor:
    return -torch.expm1(-torch.stack([(t - 1).square(), (t + 1).square()], dim=-1))


def _toy_losses(x: Tensor, scale: float) -> Tensor:
    a, b = x.unbind(dim=-1)
    t = torch.tanh(b)
    above, below = _gate(torch.tanh(b / 2)), _gate(torch.tanh(-b / 2))
    depth = 0.1 * (b + 8).square()
    first = above * _valley(t - a / 2 - 3.5) + below * (((a - 7).square() + depth) / 10 - 20)
    second = above * _valley(3.5 - t - a / 2) + below * (((a + 7).square() + depth) / 10 - 20)
    return torch.stack([scale * first, second], dim=-1)


def _gate(t: Tensor) -> Tensor:
    return torch.where(t < 0, 0.0, t)  # with its slope at 0, which torch.clamp has no longer from torch 2.15 on


def _valley(r: Tensor) -> Tensor:
    return r.abs().clamp(min=FLOOR).log() + 6


def _toy_differentiate(x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and Jacobian together; both tasks lie along a first axis: few operations for few starts, long rows for many."""
    a, b = (coordinate.contiguous() for coordinate in x.unbind(dim=-1))
    side, factor = (constant.reshape(2, *[1] * a.dim()) for constant in (_SIDES(x), scale))
    t, half = torch.tanh(b), torch.tanh(b / 2)
    above = half.clamp(min=0)
    below = above - half
    slope = (1 - half * half) / 2
    r = side * (t - 3.5) - a / 2
    height = r.abs()
    valley = height.clamp(min=FLOOR).log() + 6
    offset = a - 7 * side
    deep = b + 8
    bowl = offset.square() / 10 + (deep.square() / 100 - 20)
    over = (above / r).masked_fill(height < FLOOR, 0.0)
    along_a = offset * (below / 5) - over / 2
    along_b = over * (side * (1 - t * t)) + below * deep / 50
    # at b = 0 both gates have their slope
    along_b = along_b + valley * (slope * (b >= 0)) - bowl * (slope * (b <= 0))
    losses = factor * (above * valley + below * bowl)
    rows = torch.stack([factor * along_a, factor * along_b], dim=1)
    return losses.movedim(0, -1), rows.movedim((0, 1), (-2, -1))


def _toy_pareto_set(n: int) -> Tensor:
    r"""The curve :math:`b(a)`, a in [-7, 7], where the two gradients oppose.

    Below b = 0 any weighted sum is :math:`v(b) Q_w(a, b)` with a parabola Q whose minimum over a lies at
    :math:`a = 7 (w_1 - w_2)`. There :math:`Q = (49 - a^2)/10 + (b + 8)^2/100 - 20`, and b solves
    :math:`v' Q + v (b + 8)/50 = 0`: Newton from -8.4, which the solution is within 0.05 of. The log valleys
    (:math:`\ell > -6.3`) are dominated by this curve.
    """
    a = evenly(_toy_curve, n, -7.0, 7.0)
    return torch.stack([a, _toy_depth(a)], dim=-1)


@cache
def _toy_ends() -> Tensor:
    """The two ends of the front at scale 1, ``[2, 2]``."""
    return _toy_losses(_toy_pareto_set(2), 1.0)


def _toy_curve(a: Tensor) -> Tensor:
    return _toy_losses(torch.stack([a, _toy_depth(a)], dim=-1), 1.0)


def _toy_depth(a: Tensor) -> Tensor:
    b = torch.full_like(a, -8.4)
    for _ in range(8):
        v, steep = torch.tanh(-b / 2), torch.cosh(b / 2).square().reciprocal()  # steep = 1 - v^2 without cancellation
        parabola = (49 - a.square()) / 10 + (b + 8).square() / 100 - 20
        residual = -steep / 2 * parabola + v * (b + 8) / 50
        derivative = -v * steep / 2 * parabola - steep * (b + 8) / 50 + v / 50
        b = b - residual / derivative
    return b
