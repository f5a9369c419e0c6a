"""A multi-task model against single-task ones: the two summaries of the literature, whose signs and averages differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.tensors import require_tensor


def delta_m(metrics: Tensor, baseline: Tensor, higher_is_better: Sequence[bool]) -> Tensor:
    r"""Mean relative loss over **metrics**, in percent: LOWER is better.

    .. math:: \Delta_m = \frac{100}{M} \sum_{i=1}^{M} (-1)^{d_i} \frac{m_i - b_i}{b_i}, \qquad d_i = 1
        \text{ if higher is better}

    >>> delta_m(torch.tensor([0.5, 2.0]), torch.ones(2), [True, False])  # 50 % and 100 % worse
    tensor(75., dtype=torch.float64)

    Args:
        metrics: of the multi-task model, ``[..., M]``.
        baseline: of the single-task models, ``[M]``.
        higher_is_better: for each metric.

    Raises:
        InputError: lengths differ, or a baseline is zero.

    Source: Nash-MTL, CAGrad, FAMO, FairGrad.
    """
    return -100 * _gains(metrics, baseline, higher_is_better).mean(dim=-1)


def delta_p(metrics: Tensor, baseline: Tensor, higher_is_better: Sequence[bool], tasks: Sequence[str | int]) -> Tensor:
    """Mean over **tasks** of the mean relative gain over each task's metrics, in percent: HIGHER is better.

    >>> delta_p(torch.tensor([0.5, 0.5, 2.0]), torch.ones(3), [True, True, False], ["a", "a", "b"])
    tensor(-75., dtype=torch.float64)

    Args:
        metrics: of the multi-task model, ``[..., M]``.
        baseline: of the single-task models, ``[M]``.
        higher_is_better: for each metric.
        tasks: the task that each metric belongs to.

    Raises:
        InputError: lengths differ, or a baseline is zero.

    Source: LibMTL, DB-MTL.
    """
    gains = _gains(metrics, baseline, higher_is_better)
    if len(tasks) != gains.shape[-1]:
        raise InputError(f"delta_p: {gains.shape[-1]} metrics but {len(tasks)} tasks; name the task of every metric")
    means = [gains[..., [i for i, task in enumerate(tasks) if task == name]].mean(dim=-1) for name in dict.fromkeys(tasks)]
    return 100 * torch.stack(means, dim=-1).mean(dim=-1)


def _gains(metrics: Tensor, baseline: Tensor, higher_is_better: Sequence[bool]) -> Tensor:
    require_tensor("fronts", "metrics", metrics)
    require_tensor("fronts", "baseline", baseline)
    if not isinstance(higher_is_better, Sequence) or not metrics.ndim or not baseline.ndim:
        raise InputError("metrics and baseline are [..., M], and higher_is_better is a list of M; found something else")
    if not metrics.shape[-1] == baseline.shape[-1] == len(higher_is_better):
        found = f"{metrics.shape[-1]}, {baseline.shape[-1]} and {len(higher_is_better)}"
        raise InputError(f"metrics, baseline and higher_is_better must have one entry per metric, found {found}")
    if bool((baseline == 0).any()):
        raise InputError("a baseline of zero has no relative change; leave that metric out")
    signs = torch.tensor([1.0 if higher else -1.0 for higher in higher_is_better], dtype=torch.float64, device=metrics.device)
    return signs * (metrics.double() - baseline.double()) / baseline.double()
