"""Small classics: Van Veldhuizen's three problems and Kursawe's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from moo_mtl.problems.power import power
from moo_mtl.problems.problem import Problem, box, placed, size, vector
from moo_mtl.problems.registry import problem
from moo_mtl.problems.sampling import evenly
from moo_mtl.problems.toy import fonseca

CITE = "Van Veldhuizen and Lamont, Multiobjective Evolutionary Algorithm Test Suites, ACM SAC 1999"


@problem("vlmop1", cite=CITE + "; in the form of LibMOON, which calls it VLMOP2 in its tables")
def vlmop1(n_dim: int = 10) -> Problem:
    r"""Two paraboloids, :math:`f_{1,2} = \lVert x \mp 1/\sqrt{n} \rVert^2 / 4`: a convex front."""
    reach = 1 / math.sqrt(size("vlmop1", "n_dim", n_dim, 1))
    centres = placed(vector(reach, -reach).unsqueeze(-1).expand(2, n_dim))

    def front(t: Tensor) -> Tensor:
        return torch.stack([(t - 1).square(), (t + 1).square()], dim=-1) / 4

    return Problem(
        name="vlmop1",
        n_tasks=2,
        n_dim=n_dim,
        evaluate=lambda x: (x.unsqueeze(-2) - centres(x)).square().sum(dim=-1) / 4,
        exact_jacobian=lambda x: (x.unsqueeze(-2) - centres(x)) / 2,
        bounds=box(-2.0, 2.0, n_dim),
        exact_set=lambda n: torch.outer(evenly(front, n, 1.0, -1.0) * reach, torch.ones(n_dim, dtype=torch.float64)),
        ref_point=vector(1.1, 1.1),
        ideal=vector(0, 0),
        nadir=vector(1, 1),
    )


@problem("vlmop2", cite=CITE + "; Fonseca and Fleming's pair, called VLMOP1 in LibMOON's tables")
def vlmop2(n_dim: int = 10) -> Problem:
    """``fonseca`` in the box [-2, 2]."""
    pair = fonseca(n_dim)
    return Problem(
        name="vlmop2",
        n_tasks=2,
        n_dim=n_dim,
        evaluate=pair.evaluate,
        exact_differentiate=pair.exact_differentiate,
        bounds=box(-2.0, 2.0, n_dim),
        exact_set=pair.exact_set,
        ref_point=pair.ref_point,
        ideal=pair.ideal,
        nadir=pair.nadir,
    )


@problem("vlmop3", cite=CITE + "; Viennet et al., 1996, in the box of Knowles, ParEGO, 2006")
def vlmop3() -> Problem:
    """Viennet's three losses of two variables: a Pareto set in pieces, known only numerically."""

    def evaluate(x: Tensor) -> Tensor:
        a, b = x.unbind(dim=-1)
        square = a.square() + b.square()
        first = square / 2 + torch.sin(square)
        second = (3 * a - 2 * b + 4).square() / 8 + (a - b + 1).square() / 27 + 15
        third = 1 / (square + 1) - 1.1 * torch.exp(-square)
        return torch.stack([first, second, third], dim=-1)

    return Problem("vlmop3", 3, 2, evaluate, bounds=box(-3.0, 3.0, 2), ref_point=vector(10, 60, 1))


@problem("kursawe", cite="Kursawe, A Variant of Evolution Strategies for Vector Optimization, PPSN 1991")
def kursawe(n_dim: int = 3) -> Problem:
    r"""Disconnected front; the second loss has a cusp :math:`|x|^{0.8}` at 0, where its gradient is given as 0."""
    size("kursawe", "n_dim", n_dim, 2)

    def evaluate(x: Tensor) -> Tensor:
        pairs = torch.stack([x[..., :-1], x[..., 1:]], dim=-1)
        first = -10 * torch.exp(-0.2 * torch.linalg.vector_norm(pairs, dim=-1)).sum(dim=-1)
        second = (power(x.abs(), 0.8) + 5 * torch.sin(x.pow(3))).sum(dim=-1)
        return torch.stack([first, second], dim=-1)

    return Problem("kursawe", 2, n_dim, evaluate, bounds=box(-5.0, 5.0, n_dim), ref_point=vector(-10, 2))
