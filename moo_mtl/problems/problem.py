"""A multi-objective problem: K functions of D numbers, differentiable, batched, with what is known of its front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.tensors import numbers, require_tensor

Ends = Tensor | Sequence[float] | float


@dataclass(frozen=True, eq=False)
class Problem:
    r"""Minimise :math:`f: \mathbb{R}^D \to \mathbb{R}^K`, perhaps within a box.

    Attributes:
        name: as in ``problems.get``.
        n_tasks: K.
        n_dim: D.
        evaluate: ``[..., D] -> [..., K]``, differentiable, in the dtype and on the device of its argument; members of
            the batch do not see each other.
        bounds: lower and upper end of each variable, ``[D]`` each, or ``None``.
        exact_front: ``n -> [n, K]`` points of the exact front, where known.
        exact_set: ``n -> [n, D]`` points of the Pareto set, mapped by ``evaluate`` onto ``exact_front(n)``, where known.
        exact_jacobian: ``[..., D] -> [..., K, D]`` in closed form, where written; otherwise automatic differentiation.
        exact_differentiate: losses and Jacobian in one closed form, where the two share work.
        ref_point: reference point for the hypervolume, ``[K]``.
        ideal: component-wise best of the front, ``[K]``.
        nadir: component-wise worst of the front, ``[K]``.
        lower_bound: a bound strictly below each loss, ``[K]``, for rules that take logarithms of losses or divide by them.
        starts: the starting points of the literature, ``[S, D]``.
        cite: where the problem is defined.
    """

    name: str
    n_tasks: int
    n_dim: int
    evaluate: Callable[[Tensor], Tensor]
    bounds: tuple[Tensor, Tensor] | None = None
    exact_front: Callable[[int], Tensor] | None = None
    exact_set: Callable[[int], Tensor] | None = None
    exact_jacobian: Callable[[Tensor], Tensor] | None = None
    ref_point: Tensor | None = None
    ideal: Tensor | None = None
    nadir: Tensor | None = None
    lower_bound: Tensor | None = None
    starts: Tensor | None = None
    cite: str = ""
    exact_differentiate: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    def jacobian(self, x: Tensor) -> Tensor:
        """Gradients of the K functions, ``[..., D] -> [..., K, D]``.

        Raises:
            InputError: x is no tensor ``[..., D]`` of floats, or there is no closed form and ``evaluate`` cuts the graph of
                automatic differentiation.
        """
        require_tensor(self.name, "x", x)
        if not x.is_floating_point() or x.shape[-1:] != (self.n_dim,):
            raise InputError(f"{self.name}: x has shape {list(x.shape)} of {x.dtype}, expected [..., {self.n_dim}] of floats")
        return self.exact_jacobian(x) if self.exact_jacobian is not None else self.differentiate(x)[1]

    def differentiate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Losses ``[..., K]`` and Jacobian ``[..., K, D]`` from one evaluation.

        Raises:
            InputError: as in ``jacobian``.
        """
        if self.exact_differentiate is not None:
            return self.exact_differentiate(x)
        if self.exact_jacobian is not None:
            return self.evaluate(x), self.exact_jacobian(x)
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            losses = self.evaluate(leaf)
            if not losses.requires_grad:
                raise InputError(
                    f"{self.name}: evaluate returned losses without a gradient; compute them with torch operations on x"
                )
            totals = losses.reshape(-1, self.n_tasks).sum(dim=0)
            rows = [
                torch.autograd.grad(totals[k], leaf, retain_graph=k + 1 < self.n_tasks, materialize_grads=True)[0]
                for k in range(self.n_tasks)
            ]
        by_task = torch.stack([row.movedim(-1, 0) for row in rows])  # members stay side by side in memory where they were
        return losses.detach(), by_task.movedim((0, 1), (-2, -1))

    def front(self, n: int) -> Tensor:
        """``n`` points of the exact front, ``[n, K]``.

        Raises:
            InputError: no closed form of the front is known, or ``n`` is no number of points.
        """
        size(self.name, "n", n, 0)
        if self.exact_front is not None:
            return self.exact_front(n)
        if self.exact_set is not None:
            return self.evaluate(self.exact_set(n))
        raise InputError(f"{self.name}: no exact front is known; fronts.reference(problem) traces the best known one")

    def pareto_set(self, n: int) -> Tensor:
        """``n`` points of the Pareto set, ``[n, D]``.

        Raises:
            InputError: no closed form of the Pareto set is known, or ``n`` is no number of points.
        """
        size(self.name, "n", n, 0)
        if self.exact_set is None:
            raise InputError(f"{self.name}: no exact Pareto set is known; trace the problem from many starts instead")
        return self.exact_set(n)


def from_function(
    f: Callable[[Tensor], Tensor],
    *,
    n_tasks: int,
    n_dim: int,
    bounds: tuple[Ends, Ends] | None = None,
    ref_point: Tensor | Sequence[float] | None = None,
    name: str = "",
) -> Problem:
    """A problem from a differentiable torch function ``[..., D] -> [..., K]``.

    >>> square = from_function(lambda x: x**2, n_tasks=2, n_dim=2, bounds=(-1.0, 1.0))
    >>> square.jacobian(torch.tensor([3.0, 1.0]))
    tensor([[6., 0.],
            [0., 2.]])

    Args:
        f: computes all members of a batch at once.
        n_tasks: K, the number of losses.
        n_dim: D, the number of variables.
        bounds: lower and upper ends, each one number or D of them.
        ref_point: reference point for the hypervolume, K numbers.
        name: for messages and figures; by default the function's own.

    Raises:
        InputError: a size that is not a positive integer, bounds or a reference point of another length, a lower bound
            that is not below its upper one; when evaluated: a result that is not a tensor ``[..., K]``.
    """
    name = name or getattr(f, "__name__", type(f).__name__)
    if not callable(f):
        raise InputError(f"{name}: found a {type(f).__name__}, expected a function of x [..., {n_dim}]")
    if bounds is not None and not (isinstance(bounds, Sequence) and len(bounds) == 2):
        raise InputError(f"{name}: bounds must be two, the lower and the upper ends, found {bounds!r}")
    size(name, "n_tasks", n_tasks, 1)
    size(name, "n_dim", n_dim, 1)

    def evaluate(x: Tensor) -> Tensor:
        try:
            losses = f(x)
        except RuntimeError as error:
            if "numpy()" not in str(error):
                raise
            raise InputError(f"{name}: it calls NumPy, which has no gradients; write it with torch operations on x") from error
        if not isinstance(losses, Tensor):
            raise InputError(
                f"{name}: expected a tensor of losses, found {type(losses).__name__}; use torch.stack(..., dim=-1)"
            )
        if losses.shape != (*x.shape[:-1], n_tasks):
            raise InputError(
                f"{name}: losses of shape {tuple(losses.shape)} for x of shape {tuple(x.shape)}; expected "
                f"{(*x.shape[:-1], n_tasks)}: the function must keep leading batch dimensions, so index x as x[..., i]"
            )
        return losses

    reference = None if ref_point is None else _vector(ref_point, n_tasks, f"{name}: ref_point")
    return Problem(
        name, n_tasks, n_dim, evaluate, bounds=None if bounds is None else box(*bounds, n_dim, name), ref_point=reference
    )


def require_problem(problem: object, who: str) -> None:
    """Refuse what is no problem, such as a problem's name or a plain function.

    Raises:
        InputError: it is none.
    """
    if isinstance(problem, str):
        raise InputError(f"{who}: found the name {problem!r}, expected a problem; pass problems.get({problem!r})")
    if not isinstance(problem, Problem):
        found = getattr(problem, "__name__", type(problem).__name__)
        raise InputError(
            f"{who}: found {found}, expected a problem; pass problems.get(...) or problems.from_function(f, n_tasks=, n_dim=)"
        )


def size(name: str, what: str, found: int, least: int) -> int:
    """A number of tasks or of dimensions, checked.

    Raises:
        InputError: it is not an integer, or below ``least``.
    """
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise InputError(f"{name}: {what} must be an integer of at least {least}, found {found!r}")
    return found


def box(lower: Ends, upper: Ends, n_dim: int, name: str = "problem") -> tuple[Tensor, Tensor]:
    """Bounds ``([D], [D])`` in float64 from numbers or sequences.

    Raises:
        InputError: a length other than D, or a lower end that is not below its upper one.
    """
    low, high = (_vector(end, n_dim, f"{name}: bounds") for end in (lower, upper))
    if not bool((low < high).all()):
        raise InputError(f"{name}: every lower bound must be below its upper one, found {low.tolist()} and {high.tolist()}")
    return low, high


def placed(constant: Tensor) -> Callable[[Tensor], Tensor]:
    """A constant in the dtype and on the device of an argument, carried there once and not at every step.

    >>> centre = placed(vector(1, 2))
    >>> centre(torch.zeros(3))
    tensor([1., 2.])
    """
    places: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def at(like: Tensor) -> Tensor:
        place = (like.dtype, like.device)
        if place not in places:
            places[place] = constant.to(like)
        return places[place]

    return at


def vector(*known: float | Sequence[float]) -> Tensor:
    """Known numbers of a problem (an ideal point, a bound per loss, rows of starts), float64.

    >>> vector(1, 2.5)
    tensor([1.0000, 2.5000], dtype=torch.float64)
    """
    return torch.tensor(known, dtype=torch.float64)


def _vector(given: Ends, length: int, what: str) -> Tensor:
    tensor = numbers(what, given)
    if tensor.dim() > 1 or (tensor.dim() == 1 and len(tensor) != length):
        raise InputError(f"{what} must be one number or {length} of them, found shape {tuple(tensor.shape)}")
    return tensor.expand(length).clone()
