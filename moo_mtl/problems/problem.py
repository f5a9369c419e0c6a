"""A multi-objective problem: K functions of D numbers, differentiable, batched, with what is known of its front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.errors import InputError


@dataclass(frozen=True, eq=False)
class Problem:
    r"""Minimise :math:`f: \mathbb{R}^D \to \mathbb{R}^K`, perhaps within a box.

    Attributes:
        name: as in ``problems.get``.
        n_tasks: K.
        n_dim: D.
        evaluate: ``[..., D] -> [..., K]``, differentiable; members of the batch do not see each other.
        bounds: lower and upper end of each variable, ``[D]`` each, or ``None``.
        exact_front: ``n -> [n, K]`` points of the exact front, where known.
        exact_set: ``n -> [n, D]`` points of the Pareto set, mapped by ``evaluate`` onto ``exact_front(n)``, where known.
        exact_jacobian: ``[..., D] -> [..., K, D]`` in closed form, where written; otherwise automatic differentiation.
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

    def jacobian(self, x: Tensor) -> Tensor:
        """Gradients of the K functions, ``[..., D] -> [..., K, D]``."""
        if self.exact_jacobian is not None:
            return self.exact_jacobian(x)
        return self.differentiate(x)[1]

    def differentiate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Losses ``[..., K]`` and Jacobian ``[..., K, D]`` from one evaluation."""
        if self.exact_jacobian is not None:
            return self.evaluate(x), self.exact_jacobian(x)
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            losses = self.evaluate(leaf)
            totals = losses.reshape(-1, self.n_tasks).sum(dim=0)
            rows = [
                torch.autograd.grad(totals[k], leaf, retain_graph=True, materialize_grads=True)[0]
                for k in range(self.n_tasks)
            ]
        return losses.detach(), torch.stack(rows, dim=-2)

    def front(self, n: int) -> Tensor:
        """``n`` points of the exact front, ``[n, K]``.

        Raises:
            InputError: no closed form of the front is known.
        """
        if self.exact_front is None:
            raise InputError(f"{self.name}: no exact front is known; fronts.reference(problem) traces the best known one")
        return self.exact_front(n)

    def pareto_set(self, n: int) -> Tensor:
        """``n`` points of the Pareto set, ``[n, D]``.

        Raises:
            InputError: no closed form of the Pareto set is known.
        """
        if self.exact_set is None:
            raise InputError(f"{self.name}: no exact Pareto set is known; trace the problem from many starts instead")
        return self.exact_set(n)
