"""One of our problems in pymoo's clothes; apart from the bridge, so that pymoo is imported only when it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pymoo.core.problem import Problem as PymooProblem

from moo_mtl.problems.problem import Problem


class TorchProblem(PymooProblem):  # type: ignore[misc]
    """A population is one call of the torch function."""

    def __init__(self, problem: Problem, device: str | torch.device | None = None) -> None:
        assert problem.bounds is not None
        lower, upper = (end.numpy() for end in problem.bounds)
        super().__init__(n_var=problem.n_dim, n_obj=problem.n_tasks, xl=lower, xu=upper, vtype=float)
        self.problem, self.device = problem, device

    def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        points = torch.as_tensor(np.asarray(x), dtype=torch.float64, device=self.device)
        if out.get("dF", False) is None:  # asked for
            losses, rows = self.problem.differentiate(points)
            out["dF"] = rows.cpu().numpy()
        else:
            with torch.no_grad():
                losses = self.problem.evaluate(points)
        out["F"] = losses.cpu().numpy()

    def _calc_pareto_front(self, n_points: int = 500) -> Any:
        known = self.problem.exact_front is not None or self.problem.exact_set is not None
        return self.problem.front(n_points).numpy() if known else None

    def _calc_pareto_set(self, n_points: int = 500) -> Any:
        return self.problem.pareto_set(n_points).numpy() if self.problem.exact_set is not None else None

    def name(self) -> str:
        return self.problem.name
