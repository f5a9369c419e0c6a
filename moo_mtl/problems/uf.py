"""The ten unconstrained problems of the CEC 2009 competition: Pareto sets that wind through the box."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from moo_mtl.problems.power import power
from moo_mtl.problems.problem import Problem, box, placed, size
from moo_mtl.problems.registry import problem
from moo_mtl.problems.sampling import along, beyond, cube, evenly, shares, simplex

CITE = "Zhang et al., Multiobjective Optimization Test Instances for the CEC 2009 Special Session, University of Essex, 2008"

Shape = Callable[[Tensor], Tensor]  # position [..., P] -> losses [..., K] on the front
Bed = Callable[[Tensor, Tensor], Tensor]  # position [..., P] and indices [n - P] -> the other variables' best [..., n - P]
Penalty = Callable[[Tensor, Tensor], Tensor]  # offsets [..., m] and their indices [m] -> [...], 0 at offsets 0


@problem("uf1", cite=CITE)
def uf1(n_dim: int = 30) -> Problem:
    r"""Front :math:`f_2 = 1 - \sqrt{f_1}` over sine waves."""
    return _two("uf1", n_dim, _root, _sine(n_dim), _mean_square)


@problem("uf2", cite=CITE)
def uf2(n_dim: int = 30) -> Problem:
    r"""Front :math:`f_2 = 1 - \sqrt{f_1}` over waves of changing amplitude."""

    def bed(t: Tensor, j: Tensor) -> Tensor:
        phase = 6 * torch.pi * t + j * torch.pi / n_dim
        height = 0.3 * t.square() * torch.cos(24 * torch.pi * t + 4 * j * torch.pi / n_dim) + 0.6 * t
        return height * torch.where(j % 2 == 1, torch.cos(phase), torch.sin(phase))

    return _two("uf2", n_dim, _root, bed, _mean_square)


@problem("uf3", cite=CITE)
def uf3(n_dim: int = 30) -> Problem:
    r"""Front :math:`f_2 = 1 - \sqrt{f_1}` over powers of the position, amid local fronts."""

    def bed(t: Tensor, j: Tensor) -> Tensor:
        return power(t, 0.5 * (1 + 3 * (j - 2) / (n_dim - 2)))

    return _two("uf3", n_dim, _root, bed, _product_waves, lower=0.0)


@problem("uf4", cite=CITE)
def uf4(n_dim: int = 30) -> Problem:
    r"""Front :math:`f_2 = 1 - f_1^2`; the distance has a kink on the set."""

    def shape(t: Tensor) -> Tensor:
        return torch.cat([t, 1 - t.square()], dim=-1)

    def penalty(y: Tensor, j: Tensor) -> Tensor:
        return 2 * (y.abs() / (1 + torch.exp(2 * y.abs()))).mean(dim=-1)

    return _two("uf4", n_dim, shape, _sine(n_dim), penalty, lower=-2.0, upper=2.0)


@problem("uf5", cite=CITE)
def uf5(n_dim: int = 30) -> Problem:
    """A front of 21 points, each at a kink of both losses: no gradient vanishes there."""

    def shape(t: Tensor) -> Tensor:
        return torch.cat([t, 1 - t], dim=-1) + 0.15 * torch.sin(20 * torch.pi * t).abs()

    def positions(n: int) -> Tensor:
        return (20 * shares(n)).round() / 20

    return _two("uf5", n_dim, shape, _sine(n_dim), _waves, positions=positions)


@problem("uf6", cite=CITE)
def uf6(n_dim: int = 30) -> Problem:
    r"""One point and two pieces of :math:`f_2 = 1 - f_1`, amid local fronts."""

    def shape(t: Tensor) -> Tensor:
        return torch.cat([t, 1 - t], dim=-1) + (0.7 * torch.sin(4 * torch.pi * t)).clamp(min=0)

    def positions(n: int) -> Tensor:
        pieces = torch.tensor([[0.25, 0.5], [0.75, 1.0]], dtype=torch.float64)
        return torch.cat([torch.zeros(min(n, 1), dtype=torch.float64), along(pieces, shares(max(n - 1, 0)))])

    return _two("uf6", n_dim, shape, _sine(n_dim), _product_waves, positions=positions)


@problem("uf7", cite=CITE)
def uf7(n_dim: int = 30) -> Problem:
    r"""Front :math:`f_2 = 1 - f_1` with :math:`f_1 = x_1^{0.2}`."""

    def shape(t: Tensor) -> Tensor:
        return torch.cat([power(t, 0.2), 1 - power(t, 0.2)], dim=-1)

    return _two("uf7", n_dim, shape, _sine(n_dim), _mean_square)


@problem("uf8", cite=CITE)
def uf8(n_dim: int = 30) -> Problem:
    """A sphere of three losses over sine waves."""
    return _three("uf8", n_dim, _octant, _mean_square, _octant_positions)


@problem("uf9", cite=CITE)
def uf9(n_dim: int = 30) -> Problem:
    """Two triangles of a flat front."""

    def shape(position: Tensor) -> Tensor:
        t, r = position[..., 0], position[..., 1]
        ridge = (1.1 * (1 - 4 * (2 * t - 1).square())).clamp(min=0)
        return torch.stack([(ridge + 2 * t) * r / 2, (ridge - 2 * t + 2) * r / 2, 1 - r], dim=-1)

    def positions(n: int) -> Tensor:
        square = cube(n, 2)
        pieces = torch.tensor([[0.0, 0.25], [0.75, 1.0]], dtype=torch.float64)
        return torch.stack([along(pieces, square[:, 0]), square[:, 1]], dim=-1)

    return _three("uf9", n_dim, shape, _mean_square, positions)


@problem("uf10", cite=CITE)
def uf10(n_dim: int = 30) -> Problem:
    """UF8 amid local fronts."""

    def penalty(y: Tensor, j: Tensor) -> Tensor:
        return 2 * (4 * y.square() - torch.cos(8 * torch.pi * y) + 1).mean(dim=-1)

    return _three("uf10", n_dim, _octant, penalty, _octant_positions)


def _two(
    name: str,
    n_dim: int,
    shape: Shape,
    bed: Bed,
    penalty: Penalty,
    *,
    lower: float = -1.0,
    upper: float = 1.0,
    positions: Callable[[int], Tensor] | None = None,
) -> Problem:
    """Odd variables set the distance of the first loss, even ones that of the second."""
    given = positions or (lambda n: evenly(lambda t: shape(t.unsqueeze(-1)), n))
    return _wound(name, 2, n_dim, shape, bed, penalty, (lower, upper), lambda n: given(n).unsqueeze(-1), lambda j: (j + 1) % 2)


def _three(name: str, n_dim: int, shape: Shape, penalty: Penalty, positions: Callable[[int], Tensor]) -> Problem:
    """Variables j with j - 1, j - 2, j divisible by 3 set the distances of the three losses."""

    def bed(position: Tensor, j: Tensor) -> Tensor:
        return 2 * position[..., 1:] * torch.sin(2 * torch.pi * position[..., :1] + j * torch.pi / n_dim)

    return _wound(name, 3, n_dim, shape, bed, penalty, (-2.0, 2.0), positions, lambda j: (j - 1) % 3)


def _wound(
    name: str,
    n_tasks: int,
    n_dim: int,
    shape: Shape,
    bed: Bed,
    penalty: Penalty,
    reach: tuple[float, float],
    positions: Callable[[int], Tensor],
    owner: Callable[[Tensor], Tensor],
) -> Problem:
    free = n_tasks - 1
    size(name, "n_dim", n_dim, 2 * n_tasks - 1)
    indices = torch.arange(free + 1, n_dim + 1)
    index = placed(indices)  # in the dtype of x: sums of integers and pi would be float32
    groups = [torch.nonzero(owner(indices) == k).flatten() for k in range(n_tasks)]

    def evaluate(x: Tensor) -> Tensor:
        j = index(x)
        position, offsets = x[..., :free], x[..., free:] - bed(x[..., :free], j)
        distances = [penalty(offsets[..., group.to(x.device)], j[group.to(x.device)]) for group in groups]
        return shape(position) + torch.stack(distances, dim=-1)

    def pareto_set(n: int) -> Tensor:
        position = positions(n)
        return torch.cat([position, bed(position, indices.double())], dim=-1)

    front = shape(positions(1_001))
    ideal, nadir = front.amin(dim=0), front.amax(dim=0)
    others = n_dim - free
    return Problem(
        name=name,
        n_tasks=n_tasks,
        n_dim=n_dim,
        evaluate=evaluate,
        bounds=box([0.0] * free + [reach[0]] * others, [1.0] * free + [reach[1]] * others, n_dim, name),
        exact_front=lambda n: shape(positions(n)),
        exact_set=pareto_set,
        ref_point=beyond(ideal, nadir),
        ideal=ideal,
        nadir=nadir,
    )


def _root(t: Tensor) -> Tensor:
    return torch.cat([t, 1 - power(t, 0.5)], dim=-1)


def _octant(position: Tensor) -> Tensor:
    angle, rise = position[..., 0] * torch.pi / 2, position[..., 1] * torch.pi / 2
    flat = torch.cos(angle)
    return torch.stack([flat * torch.cos(rise), flat * torch.sin(rise), torch.sin(angle)], dim=-1)


def _octant_positions(n: int) -> Tensor:
    p = simplex(n, 3)
    angle = torch.atan2(p[:, 2], p[:, :2].norm(dim=-1))
    return torch.stack([angle, torch.atan2(p[:, 1], p[:, 0])], dim=-1) / (torch.pi / 2)


def _sine(n_dim: int) -> Bed:
    return lambda t, j: torch.sin(6 * torch.pi * t + j * torch.pi / n_dim)


def _mean_square(y: Tensor, j: Tensor) -> Tensor:
    return 2 * y.square().mean(dim=-1)


def _waves(y: Tensor, j: Tensor) -> Tensor:
    return 2 * (2 * y.square() - torch.cos(4 * torch.pi * y) + 1).mean(dim=-1)


def _product_waves(y: Tensor, j: Tensor) -> Tensor:
    product = torch.cos(20 * torch.pi * y / j.sqrt()).prod(dim=-1)
    return 2 / y.shape[-1] * (4 * y.square().sum(dim=-1) - 2 * product + 2)
