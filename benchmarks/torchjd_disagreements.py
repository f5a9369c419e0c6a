"""The table of ``docs/results/disagreements.md``: where moo_mtl and TorchJD 0.18 differ on the same Jacobian.

Reads ``tests/goldens/torchjd.json``; needs moo_mtl alone. Run ``python -m benchmarks.torchjd_disagreements``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moo_mtl import Observation, rules
from moo_mtl.gramian import gramian

GOLDENS = Path(__file__).parent.parent / "tests" / "goldens" / "torchjd.json"

# The same method in both libraries: TorchJD aggregates means where the papers' rules sum, sums plain distances in Krum, and
# does not clip FairGrad.
SAME = {
    "sum": rules.equal(),
    "mean": rules.equal("mean"),
    "mgda": rules.mgda(),
    "mgda-long": rules.mgda(),
    "upgrad": rules.upgrad(),
    "dualproj": rules.dualproj(),
    "cagrad": rules.cagrad(c=0.4),
    "nash-mtl": rules.nash_mtl(),
    "fairgrad": rules.fairgrad(alpha=2.0, max_norm=None),
    "imtl-g": rules.imtl_g(),
    "config": rules.config(),
    "aligned-min": rules.aligned_mtl("min", "mean"),
    "aligned-median": rules.aligned_mtl("median", "mean"),
    "aligned-rmse": rules.aligned_mtl("rmse", "mean"),
    "trimmed-mean": rules.trimmed_mean(),
    "krum": rules.krum(distance="plain"),
}


def cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(GOLDENS.read_text(encoding="utf-8"))["cases"]
    return found


def direction(name: str, J: Tensor) -> tuple[Tensor, Tensor]:
    """Direction and weights of one of our rules at a Jacobian ``[K, D]``."""
    G = gramian(J)
    rule = SAME[name]
    obs = Observation(torch.ones(len(J), dtype=J.dtype), gramian=G, product=lambda w: (G @ w[..., None]).squeeze(-1), rows=J)
    weighing, _ = rule.weigh(obs, rule.init(obs))
    return (weighing.weights @ J if weighing.direction is None else weighing.direction), weighing.weights


def apart(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / ours.norm())


def merit(name: str, J: Tensor, d: Tensor) -> tuple[str, float]:
    """What the method's own problem says of a direction: larger is better, and the exact direction has the largest."""
    along, length, mean = J @ d, d.norm(), J.mean(dim=0)
    if name.startswith("mgda"):
        return "least improvement less half the squared length", float(along.min() - length.square() / 2)
    if name == "cagrad":
        inside = (d - mean).norm() <= 0.4 * mean.norm() * (1 + 1e-9)
        return "least improvement within the ball", float(along.min()) if bool(inside) else -float("inf")
    if name == "nash-mtl":
        return "sum of logarithms of the improvements of a unit step", _utility(along / length, 1.0)
    if name == "fairgrad":
        return "sum of -1/improvements of a unit step", _utility(along / length, 2.0)
    return "least cosine with a gradient", float((along / J.norm(dim=1) / length).min())


def _utility(along: Tensor, alpha: float) -> float:
    if not bool((along > 0).all()):
        return -float("inf")
    return float(along.log().sum() if alpha == 1 else -(1 / along).sum())


def rows(least: float = 1e-5) -> list[str]:
    lines = []
    for case, golden in cases().items():
        J = torch.tensor(golden["jacobian"], dtype=torch.float64)
        for name, given in golden["directions"].items():
            theirs = torch.tensor(given, dtype=torch.float64)
            ours, _ = direction(name, J)
            if apart(ours, theirs) > least:
                what, mine = merit(name, J, ours)
                lengths = f"{float(ours.norm()):.4g} | {float(theirs.norm()):.4g}"
                verdicts = f"{_plain(mine)} | {_plain(merit(name, J, theirs)[1])}"
                lines.append(f"| {case} | {name} | {apart(ours, theirs):.1e} | {lengths} | {what} | {verdicts} |")
    return lines


def _plain(number: float) -> str:
    return "0" if abs(number) < 1e-12 else f"{number:.5g}"


if __name__ == "__main__":
    print("\n".join(rows()))
