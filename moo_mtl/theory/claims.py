"""What papers, libraries or common belief say of a rule and an example contradicts, each with numbers to check by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from moo_mtl.gramian import gramian
from moo_mtl.observation import Observation
from moo_mtl.rules.recipe import get
from moo_mtl.rules.rule import Rule

Numbers = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Claim:
    """One contradiction.

    Attributes:
        says: what is said, and where.
        but: what the example shows.
        rule: builds the rule.
        losses: ``[K]``.
        rows: gradients, ``[K][D]``.
        measured: what shows it, from the weights ``[K]`` and the rates of improvement ``J d``, ``[K]``; above 0 contradicts.
        quantity: its name.
    """

    says: str
    but: str
    rule: Callable[[], Rule[Any]]
    losses: tuple[float, ...]
    rows: Numbers
    measured: Callable[[Tensor, Tensor], Tensor]
    quantity: str

    def answer(self) -> tuple[Tensor, Tensor, float]:
        """Weights, rates of improvement ``J d`` and the measured quantity."""
        rows = torch.tensor(self.rows, dtype=torch.float64)
        rule = self.rule()
        K = len(self.losses)
        noise = torch.full((1, rule.draws(K, rows.shape[-1])), 0.5, dtype=torch.float64)
        seen = Observation(
            torch.tensor([self.losses], dtype=torch.float64), gramian=gramian(rows)[None], rows=rows[None], noise=noise
        )
        weights = rule.weigh(seen, rule.init(seen))[0].weights[0]
        rates = rows @ (rows.T @ weights)
        return weights, rates, float(self.measured(weights, rates))


def _worst_rate(weights: Tensor, rates: Tensor) -> Tensor:
    return -rates.min()


def _best_rate(weights: Tensor, rates: Tensor) -> Tensor:
    return -rates.max()


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "IMTL-G (Liu et al., ICLR 2021) makes all tasks progress evenly.",
        "Evenly, but uphill where the closed form's common factor is negative: then every loss rises.",
        lambda: get("imtl-g"),
        (1.0, 1.0, 1.0),
        ((2.0, 2.0, 1.0), (0.0, 0.0, 1.0), (-1.0, 0.0, 2.0)),
        _best_rate,
        "rise of the task that rises least",
    ),
    Claim(
        "Aligned-MTL (Senushkin et al., CVPR 2023) removes conflict between tasks.",
        "It aligns the principal components; the step may still raise a task's own loss.",
        lambda: get("aligned-mtl"),
        (1.0, 1.0),
        ((1.0, 0.0), (-3.0, -1.0)),
        _worst_rate,
        "rise of the worst task",
    ),
    Claim(
        "PCGrad (Yu et al., NeurIPS 2020) steps conflict with no task.",
        "True for two tasks. With three, projecting off one gradient can turn the result against another.",
        lambda: get("pcgrad"),
        (1.0, 1.0, 1.0),
        ((-1.0, 0.0, 0.0), (2.0, 0.0, 1.0), (0.0, 1.0, -2.0)),
        _worst_rate,
        "rise of the worst task",
    ),
    Claim(
        "MGDA as in the code of Sener and Koltun, with the weights of the normalised gradients put on the raw losses, is a "
        "common descent method.",
        "It is while the normalised gradients themselves are combined; on the raw ones the short gradient's task rises.",
        lambda: get("mgda", normalization="l2", use="raw"),
        (1.0, 1.0),
        ((1.0, -2.0), (0.0, 1.0)),
        _worst_rate,
        "rise of the worst task",
    ),
    Claim(
        "CAGrad (Liu et al., NeurIPS 2021) is conflict-averse at its default c = 0.4.",
        "Averse, not free of conflict: within a ball round the mean gradient there may be no common descent direction.",
        lambda: get("cagrad"),
        (1.0, 1.0),
        ((1.0, -2.0), (0.0, 1.0)),
        _worst_rate,
        "rise of the worst task",
    ),
    Claim(
        "DB-MTL (Lin et al., 2025) balances losses by their logarithms and gradients by their lengths.",
        "Without its moving average the logarithm does not move the direction: with losses 1 and 1000 both tasks weigh alike.",
        lambda: get("db-mtl", beta=0),
        (1.0, 1000.0),
        ((3.0, 0.0), (0.0, 1.0)),
        lambda weights, rates: 1 - (weights[0] * 3 - weights[1]).abs() / weights.abs().max(),
        "1 minus the difference of the weighted lengths, over the larger weight",
    ),
    Claim(
        "ConicGrad (Hassanpour et al., 2025) stops at Pareto-stationary points.",
        "And elsewhere: where the cone round the mean gradient holds no common descent direction, its program's solution is 0.",
        lambda: get("conicgrad"),
        (1.0, 1.0, 1.0),
        ((1.0, -2.0), (-2.0, 2.0), (-2.0, 2.0)),
        lambda weights, rates: 1 - weights.abs().sum(),
        "1 minus the sum of the weights (no convex combination of these gradients is 0)",
    ),
    Claim(
        "ConFIG (Liu et al., ICLR 2025) is free of conflict.",
        "While the unit gradients are independent. Four gradients in space need have no direction at equal angles.",
        lambda: get("config"),
        (1.0, 1.0, 1.0, 1.0),
        ((0.0, 1.0, -1.0), (1.0, -1.0, 2.0), (-2.0, 0.0, -1.0), (0.0, 3.0, 1.0)),
        _worst_rate,
        "rise of the worst task",
    ),
)
