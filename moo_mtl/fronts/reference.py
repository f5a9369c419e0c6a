"""The best known front of a problem: exact, stored, or traced by an evolutionary algorithm."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from moo_mtl.errors import DataError, RunError, unknown
from moo_mtl.fronts.bridge import to_pymoo
from moo_mtl.fronts.directions import evenly
from moo_mtl.fronts.dominance import non_dominated
from moo_mtl.problems.problem import Problem
from moo_mtl.tensors import by_shape

DATA = "MOO_MTL_DATA"
ALGORITHMS = ("nsga2", "nsga3", "unsga3", "moead", "smsemoa", "spea2", "rvea")

# Problem -> file below the data folder, for those whose best known front is a published file.
STORED = {
    **{
        f"re{i}": f"re_fronts/reference_points_RE{i}.dat"
        for i in (21, 22, 23, 24, 25, 31, 32, 33, 34, 35, 36, 37, 41, 42, 61, 91)
    },
    "kursawe": "pymoo_fronts/kursawe.pf",
}


class Reference(NamedTuple):
    """A front and where it comes from.

    Attributes:
        points: mutually non-dominated losses, ``[N, K]`` float64.
        source: "exact" (closed form), "stored" (a published file) or "traced" (by pymoo, here or in an earlier call).
    """

    points: Tensor
    source: Literal["exact", "stored", "traced"]

    def __repr__(self) -> str:
        return by_shape(self)


def reference(
    problem: Problem,
    algorithm: str | None = None,
    *,
    n: int = 500,
    population: int = 200,
    generations: int = 500,
    seed: int = 1,
    cache: str | Path | None = None,
) -> Reference:
    """The best known front: exact if there is a closed form, else the published file, else traced.

    Published files are looked for below ``$MOO_MTL_DATA``. A traced front is kept on disk under its settings (the
    problem's values at fixed points among them), and found there the next time.

    Args:
        problem: one of ours; a traced one needs a box.
        algorithm: one of ``ALGORITHMS``, to have the front traced whatever else is known; by default NSGA-II for two
            losses and NSGA-III for more, where nothing else is known.
        n: number of points of an exact front.
        population: size of the algorithm's population.
        generations: number of generations the algorithm runs.
        seed: of the algorithm's random numbers.
        cache: folder of traced fronts; by default ``moo_mtl/fronts`` below ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Raises:
        InputError: the algorithm is unknown, or the problem has no box to be traced in.
        DataError: a stored or cached file is not what it should be.
        RunError: the cache folder cannot be written.
    """
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, ALGORITHMS)
    if algorithm is None:
        found = known(problem, n)
        if found is not None:
            return found
        algorithm = "nsga2" if problem.n_tasks <= 2 else "nsga3"
    settings = _settings(problem, algorithm, population, generations, seed)
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    path = _folder(cache) / f"{problem.name.replace(':', '-').replace(os.sep, '-')}-{key}.npz"
    if not path.exists():
        _write(path, trace_by_pymoo(problem, algorithm, population, generations, seed), settings)
    return Reference(_load(path, settings), "traced")


def known(problem: Problem, n: int = 500) -> Reference | None:
    """The exact front, else the published file, else nothing: what ``reference`` finds without computing.

    Raises:
        DataError: a stored file is not what it should be.
    """
    if problem.exact_front is not None or problem.exact_set is not None:
        return Reference(problem.front(n), "exact")
    path = _stored(problem)
    return None if path is None else Reference(_read(path, problem), "stored")


def trace_by_pymoo(problem: Problem, algorithm: str, population: int, generations: int, seed: int) -> Tensor:
    """Non-dominated losses of one run of a pymoo algorithm, ``[N, K]``.

    Raises:
        InputError: the problem has no box.
    """
    from pymoo.optimize import minimize

    result = minimize(
        to_pymoo(problem),
        algorithm_of(algorithm, problem.n_tasks, population),
        ("n_gen", generations),
        seed=seed,
        verbose=False,
    )
    losses = torch.as_tensor(np.atleast_2d(result.F), dtype=torch.float64)
    return losses[non_dominated(losses)].unique(dim=0)


def algorithm_of(name: str, n_tasks: int, population: int, start: Tensor | None = None) -> Any:
    """The pymoo algorithm of that name, one of ``ALGORITHMS``; ``start`` is its first population, ``[population, D]``."""
    from pymoo.algorithms.moo.moead import MOEAD
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.algorithms.moo.rvea import RVEA
    from pymoo.algorithms.moo.sms import SMSEMOA
    from pymoo.algorithms.moo.spea2 import SPEA2
    from pymoo.algorithms.moo.unsga3 import UNSGA3

    sized = {"nsga2": NSGA2, "smsemoa": SMSEMOA, "spea2": SPEA2}
    first = {} if start is None else {"sampling": start.numpy()}
    if name in sized:
        return sized[name](pop_size=population, **first)
    directed = {"nsga3": NSGA3, "unsga3": UNSGA3, "moead": MOEAD, "rvea": RVEA}
    return directed[name](ref_dirs=evenly(population, n_tasks).numpy(), **first)


def _stored(problem: Problem) -> Path | None:
    root, name = os.environ.get(DATA), STORED.get(problem.name)
    if not root or name is None:
        return None
    return next((path for path in (Path(root, name), Path(root, f"{name}.gz")) if path.is_file()), None)


def _read(path: Path, problem: Problem) -> Tensor:
    try:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        points = torch.from_numpy(np.loadtxt(io.BytesIO(text), ndmin=2))
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table of numbers ({error}); fetch it again") from error
    return _sound(points, path, problem)


def _sound(points: Tensor, path: Path, problem: Problem) -> Tensor:
    if points.dim() != 2 or points.shape[1] != problem.n_tasks or not bool(points.isfinite().all()):
        raise DataError(
            f"{path}: expected finite rows of {problem.n_tasks} losses, found shape {tuple(points.shape)}; fetch it again"
        )
    return points[non_dominated(points)]


def _settings(problem: Problem, algorithm: str, population: int, generations: int, seed: int) -> dict[str, Any]:
    from pymoo.version import __version__

    settings: dict[str, Any] = {"problem": problem.name, "algorithm": algorithm, "population": population}
    settings |= {"generations": generations, "seed": seed, "pymoo": __version__, "directions": "even"}
    if problem.bounds is not None:
        lower, upper = problem.bounds
        generator = torch.Generator().manual_seed(0)
        probes = torch.lerp(lower, upper, torch.rand(8, problem.n_dim, generator=generator, dtype=torch.float64))
        settings["bounds"] = [lower.tolist(), upper.tolist()]
        settings["values"] = [[float(f"{value:.9g}") for value in row] for row in problem.evaluate(probes).tolist()]
    return settings


def _folder(cache: str | Path | None) -> Path:
    if cache is not None:
        return Path(cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moo_mtl" / "fronts"


def _write(path: Path, points: Tensor, settings: dict[str, Any]) -> None:
    half = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with half.open("wb") as file:
            np.savez(file, points=points.numpy(), settings=json.dumps(settings, sort_keys=True))
        half.replace(path)
    except OSError as error:
        raise RunError(
            f"the traced front cannot be kept in {path.parent}: {error.strerror}; choose another with cache="
        ) from error


def _load(path: Path, settings: dict[str, Any]) -> Tensor:
    try:
        with np.load(path, allow_pickle=False) as file:
            found, points = json.loads(str(file["settings"])), torch.from_numpy(file["points"])
    except Exception as error:
        raise DataError(f"{path} is damaged ({error}); delete it to have the front traced again") from error
    if found != json.loads(json.dumps(settings)):
        raise DataError(f"{path} was traced with other settings; delete it to have the front traced again")
    return points
