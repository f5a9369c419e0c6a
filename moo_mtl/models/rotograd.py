"""RotoGrad: each task reads the shared features through a rotation of its own, learned so that the tasks' gradients agree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moo_mtl.errors import InputError


class Rotations(nn.Module):
    r"""A rotation :math:`R_k = \exp(A_k - A_k^\top)` of the features for each task, the identity at the start.

    Two optimisers play: that of the network meets the rotations as constants, and that of the rotations descends
    ``loss()``, with a learning rate that should fall faster. The scaling half of RotoGrad is a rule, and belongs on the
    gradients of the features: ``Balancer(compose(weights.uniform, scale=scaling.by_progress()), trunk, engine="features")``.

    Args:
        n_features: width of the features.
        tasks: their names.

    Raises:
        InputError: there is no task.

    Source: Javaloy and Valera, RotoGrad: Gradient Homogenization in Multitask Learning, ICLR 2022, arXiv 2103.02631,
        section 4.2.
    """

    def __init__(self, n_features: int, tasks: Sequence[str]) -> None:
        super().__init__()
        if not tasks:
            raise InputError("rotograd needs at least one task; give their names")
        self.tasks = tuple(tasks)
        self.generators = nn.Parameter(torch.zeros(len(self.tasks), n_features, n_features))
        self._gradients: dict[str, Tensor] = {}

    @property
    def matrices(self) -> Tensor:
        """The rotations, ``[K, F, F]``."""
        return torch.matrix_exp(self.generators - self.generators.mT)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Features ``[B, F]`` as each task's head is to see them."""
        self._gradients.clear()
        seen = {}
        for task, rotation in zip(self.tasks, self.matrices.detach(), strict=True):
            turned = features @ rotation.mT
            if turned.requires_grad:
                turned.register_hook(lambda gradient, task=task: self._gradients.__setitem__(task, gradient.detach()))
            seen[task] = turned
        return seen

    def loss(self) -> Tensor:
        r"""How far the tasks' gradients are from their common direction, to be descended by the rotations alone.

        .. math:: \sum_k \lVert R_k \bar g - \tilde g_k \rVert^2, \qquad \bar g = \frac1K \sum_k R_k^\top \tilde g_k,

        with :math:`\tilde g_k` the last backward pass's gradient at the rotated features, rescaled to length 1,
        so that one learning rate serves gradients of any size.

        Raises:
            InputError: no backward pass has gone through the rotated features of some task since the last forward pass.
        """
        missing = [task for task in self.tasks if task not in self._gradients]
        if missing:
            absent = ", ".join(missing)
            raise InputError(f"rotograd: no gradient has reached the features of {absent}; call loss() after the backward pass")
        turned = torch.stack([self._gradients[task] for task in self.tasks])
        lengths = turned.flatten(1).norm(dim=-1)[:, None, None]
        turned = turned / torch.where(lengths > 0, lengths, 1.0)
        back = turned @ self.matrices.detach()
        common = back.mean(dim=0)
        return (common @ self.matrices.mT - turned).square().sum()
