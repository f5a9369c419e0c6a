"""Between this package's problems and pymoo's, both ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.problems.problem import Ends, Problem, box

PROBES = 7  # points at which a foreign gradient is held against differences, and a twin against its original


def to_pymoo(problem: Problem, *, bounds: tuple[Ends, Ends] | None = None, device: str | torch.device | None = None) -> Any:
    """A problem as a vectorised pymoo ``Problem``, for NSGA-II and all its relatives.

    A population is evaluated in one call of ``problem.evaluate``, on ``device`` if given. The exact front and set are
    handed on where known, and gradients under pymoo's name ``dF``.

    Args:
        problem: one of ours.
        bounds: lower and upper ends for a problem without a box; pymoo samples and mutates within them.
        device: where the torch function runs.

    Raises:
        InputError: the problem has no box and none is given, or one is given that it has already.
    """
    from moo_mtl.fronts.pymoo_problem import TorchProblem

    if (problem.bounds is None) == (bounds is None):
        state = "has no box: pass bounds=(lower, upper)" if bounds is None else "has a box of its own: leave bounds out"
        raise InputError(f"to_pymoo: {problem.name} {state}")
    ends = problem.bounds if bounds is None else box(*bounds, problem.n_dim, problem.name)
    return TorchProblem(replace(problem, bounds=ends), device)


def from_pymoo(pymoo_problem: Any, *, twin: Problem | None = None) -> Problem:
    """A pymoo problem with gradients, for our rules.

    Gradients come from pymoo's own automatic differentiation, which follows what is written with its
    ``pymoo.gradient.toolbox``; they are held against central differences first. Where that fails, a ``twin`` written
    in torch serves: its values are held against the original's.

    Args:
        pymoo_problem: unconstrained, with real variables and bounds.
        twin: the same function as a ``Problem``.

    Raises:
        InputError: the problem has constraints or no bounds, its code cannot be differentiated, or the twin is none.
    """
    name, n_dim, n_tasks = pymoo_problem.name(), pymoo_problem.n_var, pymoo_problem.n_obj
    if pymoo_problem.has_constraints():
        raise InputError(
            f"from_pymoo: {name} has {pymoo_problem.n_constr} constraints; only unconstrained problems are supported"
        )
    if not pymoo_problem.has_bounds():
        raise InputError(f"from_pymoo: {name} has no bounds; set xl and xu")
    bounds = box(torch.as_tensor(pymoo_problem.xl), torch.as_tensor(pymoo_problem.xu), n_dim, name)
    probes = _probes(bounds)
    values = torch.as_tensor(np.asarray(pymoo_problem.evaluate(probes.numpy(), return_values_of=["F"])), dtype=torch.float64)
    if twin is not None:
        _check_twin(name, twin, probes, values)
        return replace(twin, name=name, bounds=bounds)
    found = Problem(name, n_tasks, n_dim, _losses(pymoo_problem), bounds=bounds, cite=f"pymoo, {type(pymoo_problem).__name__}")
    _check_gradients(found, probes)
    return found


def _losses(pymoo_problem: Any) -> Any:
    from pymoo.gradient.automatic import AutomaticDifferentiation, ElementwiseAutomaticDifferentiation

    wrap = ElementwiseAutomaticDifferentiation if pymoo_problem.elementwise else AutomaticDifferentiation
    differentiable = wrap(pymoo_problem)

    class Losses(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            flat = x.detach().double().cpu().reshape(-1, x.shape[-1]).numpy()
            wanted = ["F", "dF"] if x.requires_grad else ["F"]
            given = (differentiable if x.requires_grad else pymoo_problem).evaluate(flat, return_values_of=wanted)
            losses, rows = given if x.requires_grad else (given, None)
            if rows is not None:
                ctx.save_for_backward(torch.as_tensor(np.asarray(rows)).reshape(*x.shape[:-1], -1, x.shape[-1]).to(x))
            return torch.as_tensor(np.asarray(losses)).reshape(*x.shape[:-1], -1).to(x)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            (rows,) = ctx.saved_tensors
            product: Tensor = (grads[0].unsqueeze(-2) @ rows).squeeze(-2)
            return product

    return Losses.apply


def _probes(bounds: tuple[Tensor, Tensor]) -> Tensor:
    shares = 0.05 + 0.9 * torch.rand(PROBES, len(bounds[0]), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.lerp(bounds[0], bounds[1], shares)


def _check_twin(name: str, twin: Problem, probes: Tensor, values: Tensor) -> None:
    if (twin.n_tasks, twin.n_dim) != (values.shape[-1], probes.shape[-1]):
        found = f"K = {twin.n_tasks}, D = {twin.n_dim}"
        raise InputError(f"from_pymoo: the twin of {name} needs K = {values.shape[-1]}, D = {probes.shape[-1]}, found {found}")
    worst = ((twin.evaluate(probes) - values).abs().amax(dim=0) / values.abs().amax(dim=0).clamp(min=1e-300)).max().item()
    if not worst < 1e-9:
        raise InputError(
            f"from_pymoo: the twin {twin.name} differs from {name} by {worst:.2g} of its values; it is another function"
        )


def _check_gradients(problem: Problem, probes: Tensor) -> None:
    assert problem.bounds is not None
    width = problem.bounds[1] - problem.bounds[0]
    advice = "write it with pymoo.gradient.toolbox, or pass twin="
    try:
        rows = problem.jacobian(probes) * width
    except Exception as error:
        raise InputError(f"from_pymoo: pymoo cannot differentiate {problem.name} ({error}); {advice}") from error
    steps = 1e-6 * torch.eye(problem.n_dim, dtype=torch.float64)
    ahead, behind = (problem.evaluate(probes.unsqueeze(-2) + sign * steps * width) for sign in (1, -1))
    difference = ((ahead - behind).mT / 2e-6 - rows).abs().amax(dim=(0, -1))
    allowed = 1e-4 * rows.abs().amax(dim=(0, -1)) + 1e-8 * ahead.abs().amax(dim=(0, 1))
    if not bool((difference <= allowed).all()):
        raise InputError(f"from_pymoo: pymoo's gradients of {problem.name} differ from its values' differences; {advice}")
