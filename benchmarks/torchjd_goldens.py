"""Directions of TorchJD on fixed Jacobians, as JSON, for ``tests/test_rules_goldens.py`` to compare with.

Run in an environment that holds TorchJD (0.18): ``python -m benchmarks.torchjd_goldens > tests/goldens/torchjd.json``.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import torch


def jacobians() -> dict[str, torch.Tensor]:
    """Well-conditioned ones, lengths over six decades, gradients of 1e-3, and one where IMTL-G's weights sum to less than 0."""
    g = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    spread = 10.0 ** torch.tensor([[3.0], [0.0], [-3.0], [1.0]], dtype=torch.float64)
    return {
        "documentation": torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], dtype=torch.float64),
        "pair": normal(2, 5),
        "three": normal(3, 6),
        "five": normal(5, 8),
        "eight": normal(8, 11),
        "decades": spread * normal(4, 7),
        "small": 1e-3 * normal(4, 7),
        "aligned-conflict": torch.tensor([[1.0, 0.0], [-9.0, 19.0**0.5]], dtype=torch.float64),
    }


def aggregators(tasks: int) -> dict[str, Any]:
    from torchjd import aggregation as jd

    found = {
        "sum": jd.Sum(),
        "mean": jd.Mean(),
        "mgda": jd.MGDA(),
        "mgda-long": jd.MGDA(epsilon=1e-12, max_iters=20_000),
        "upgrad": jd.UPGrad(),
        "dualproj": jd.DualProj(),
        "cagrad": jd.CAGrad(c=0.4),
        "nash-mtl": jd.NashMTL(n_tasks=tasks),
        "fairgrad": jd.FairGrad(alpha=2.0),
        "imtl-g": jd.IMTLG(),
        "config": jd.ConFIG(),
        "aligned-min": jd.AlignedMTL(scale_mode="min"),
        "aligned-median": jd.AlignedMTL(scale_mode="median"),
        "aligned-rmse": jd.AlignedMTL(scale_mode="rmse"),
    }
    if tasks >= 3:
        found["trimmed-mean"] = jd.TrimmedMean(1)
    if tasks >= 4:
        found["krum"] = jd.Krum(1)
    return found


def main() -> None:
    torch.manual_seed(0)
    cases = {}
    for name, J in jacobians().items():
        directions = {}
        for rule, aggregator in aggregators(len(J)).items():
            try:
                directions[rule] = aggregator(J).tolist()
            except Exception as error:
                directions[rule] = f"{type(error).__name__}: {error}"
        cases[name] = {"jacobian": J.tolist(), "directions": directions}
    print(json.dumps({"torchjd": version("torchjd"), "cases": cases}, indent=1))


if __name__ == "__main__":
    main()
