"""The first stage of engines that divide the graph: its anatomy, and the passes through the tasks' own parts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.engines.graph import Anatomy, anatomy
from moo_mtl.engines.looped import empty_rows
from moo_mtl.engines.passes import ones
from moo_mtl.engines.private import Private, private
from moo_mtl.engines.sweep import weighted


class Stage:
    """What is known before anything passes through the common part.

    Args:
        losses: ``[K]``.
        shared: parameters the tasks share.
        own: parameters that are not balanced.
        retain_graph: keep the graph for another use.
        here: for each task whether it is present.
        seed: the gradient that each loss has of itself.

    Attributes:
        body: the anatomy.
        private: gradients from the tasks' own parts.
        reached: the shared parameters in the common part.
        others: parameters that are not shared, and lie there all the same.
        keep: whether the graph is wanted after the passes through the common part.
    """

    def __init__(
        self,
        losses: Tensor,
        shared: Sequence[Tensor],
        own: Sequence[Tensor],
        retain_graph: bool,
        here: Sequence[bool] | None,
        seed: Tensor | None,
    ) -> None:
        self.body: Anatomy = anatomy(losses, here)
        self.shared, self.own, self.retain_graph = shared, own, retain_graph
        ours, below = {id(parameter) for parameter in shared}, {id(leaf) for leaf in self.body.common}
        self.reached = [parameter for parameter in shared if id(parameter) in below]
        self.others = [leaf for leaf in own if id(leaf) in below and id(leaf) not in ours]
        self.keep = retain_graph or bool(self.others)
        self.private: Private = private(self.body, ones(losses, seed), retain_graph)

    def rows(self, losses: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, dict[int, Tensor]]:
        """Rows of ``parameters``, ``[K, D]``, and a view ``[K, D_p]`` of each, by ``id``: 0 for those outside the common
        part, and yet to be written for the rest.
        """
        rows = empty_rows(parameters, losses.shape[:-1], len(losses), losses)
        parts = rows.split([parameter.numel() for parameter in parameters], dim=-1)
        views, reached = dict(zip(map(id, parameters), parts, strict=True)), set(map(id, self.reached))
        for leaf, view in views.items():
            if leaf not in reached:
                view.zero_()
        return rows, views

    def complete(self, views: dict[int, Tensor]) -> None:
        """Add to rows what came beside the common part."""
        for task, found in enumerate(self.private.of_leaves):
            for leaf, gradient in found.items():
                if leaf in views:
                    views[leaf][task] += gradient.reshape(-1)

    def beside(self, factors: Tensor, parameters: Sequence[Tensor]) -> dict[int, Tensor]:
        """The sum with ``factors`` ``[K]`` of what came beside the common part, by ``id`` of the parameters it reached."""
        wanted, totals = {id(parameter) for parameter in parameters}, dict[int, Tensor]()
        for factor, found in zip(factors.unbind(), self.private.of_leaves, strict=True):
            for leaf, gradient in found.items():
                if leaf in wanted:
                    part = factor.to(gradient.dtype) * gradient
                    totals[leaf] = totals[leaf].add_(part) if leaf in totals else part
        return totals

    def own_gradients(self, factors: Tensor, again: bool = False) -> list[Tensor | None]:
        """Gradients of the parameters that are not shared; one more pass finds those of the common part."""
        totals = self.beside(factors, self.own)
        if self.others:
            passed = weighted(self.body, self.private.at_cuts, factors, self.others, self.retain_graph or again)
            for parameter, through in zip(self.others, passed, strict=True):
                if through is not None:
                    totals[id(parameter)] = totals[id(parameter)] + through if id(parameter) in totals else through
        return [totals.get(id(parameter)) for parameter in self.own]

    def own_by_task(self) -> list[list[Tensor | None]]:
        """Gradients of the parameters that are not shared, task by task."""
        if not self.others:
            return [[found.get(id(p)) for p in self.own] for found in self.private.of_leaves]
        return [self.own_gradients(unit, again=True) for unit in torch.eye(len(self.body.roots), device=self.shared[0].device)]
