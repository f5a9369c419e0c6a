"""How far a network is from Pareto-stationarity: bounds on a whole part of the data, an estimate on a mini-batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moo_mtl.certificate import Certificate, certify, estimate
from moo_mtl.engines import looped
from moo_mtl.errors import InputError
from moo_mtl.gramian import cross_gramian, gramian
from moo_mtl.training.batches import Batch, Data, in_order, split
from moo_mtl.training.scoring import BATCH, evaluating, labels_in, losses_of
from moo_mtl.training.task import Task


def certificate(
    network: nn.Module,
    tasks: Sequence[Task],
    shared: Sequence[nn.Parameter],
    data: Data,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Certificate:
    r"""Bounds for the mean losses over all examples: their gradients are summed over batches before the Gramian is formed.

    Args:
        network: in whatever mode; it is looked at in evaluation mode.
        tasks: K of them.
        shared: the parameters :math:`\theta` whose stationarity is in question.
        data: examples, or an iterable of batches.
        device: where the network is.
        dtype: of its inputs.

    Returns:
        Bounds on :math:`\min_{w \in \Delta} \lVert \sum_k w_k \nabla_\theta L_k \rVert`, exact up to rounding of the gradients;
        a task without any label is left out.
    """
    total: Tensor | None = None
    count: Tensor | None = None
    with evaluating(network):
        for unplaced in in_order(data, BATCH):
            batch = unplaced.to(device, dtype)
            labels = labels_in(tasks, batch)
            n = torch.full((len(tasks),), len(batch), device=device) if labels is None else labels.to(device)
            weighted = n[:, None].double() * _rows(losses_of(network, tasks, batch), shared).double()
            total, count = (weighted, n) if total is None or count is None else (total + weighted, count + n)
    if total is None or count is None:
        raise InputError("the data are empty: a loader gave no batch; one that is gone through again must begin anew")
    return certify(gramian(total / count.clamp(min=1)[:, None]), present=count > 0)


def half_batch_estimate(
    network: nn.Module, tasks: Sequence[Task], shared: Sequence[nn.Parameter], batch: Batch, weights: Tensor
) -> Tensor:
    r"""Estimate of :math:`\lVert \sum_k w_k \nabla_\theta L_k \rVert` for the expected losses, from one batch.

    The squared length of a mini-batch's own direction is biased upwards by the variance of the gradients. The product
    :math:`w^\top J_a J_b^\top w` of two halves is not, for weights chosen without this batch; it may be negative.

    Args:
        network: looked at in evaluation mode.
        tasks: K of them.
        shared: the parameters.
        batch: of at least two examples.
        weights: ``[K]``, of an earlier batch; their positive part is put on the simplex of the tasks with a label in each half.

    Returns:
        The root of that product, with the product's sign, a float64 scalar; NaN where no task has labels in both halves.
    """
    halves = split(batch, 2)
    with evaluating(network):
        first, second = (_rows(losses_of(network, tasks, half), shared) for half in halves)
    cross = cross_gramian(first, second)
    labels = [found for half in halves if (found := labels_in(tasks, half)) is not None]
    if labels:
        known = (torch.stack(labels) > 0).all(dim=0).to(weights.device)
        if not bool(known.any()):
            return cross.new_full((), torch.nan)
        cross, weights = cross[known][:, known], weights[known]
    return estimate(cross, weights).upper


def _rows(losses: Tensor, shared: Sequence[nn.Parameter]) -> Tensor:
    rows = looped(losses, shared).rows
    assert rows is not None
    return rows
