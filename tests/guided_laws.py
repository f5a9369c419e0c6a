"""Laws for inputs of which every bit may be guided: see ``tests.fuzz_guided``."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moo_mtl import Balancer, Needs, config, experiment, rules
from moo_mtl.engines import ENGINES
from moo_mtl.errors import MooMtlError
from moo_mtl.rules import ZOO
from moo_mtl.state import flatten
from tests.fuzz_solvers import LARGEST, SMALLEST, SOLVERS, broken_laws
from tests.test_breaking_files import LONG
from tests.test_breaking_rules import (
    episodes,
    follow,
    test_certificates_bound_the_distance,
    test_traces_are_finite_wherever_they_go_on,
)

ANY = settings(deadline=None, database=None)
NUMBERS = st.floats(-1e145, 1e145, allow_subnormal=True)


@ANY
@given(st.sampled_from(sorted(SOLVERS)), st.integers(1, 4), st.data())
def solver(name, tasks, data):
    """The laws of ``fuzz_solvers`` on rows of any numbers; a Gramian with an entry that is none is marked."""
    J = torch.tensor(data.draw(st.lists(NUMBERS, min_size=tasks * 3, max_size=tasks * 3)), dtype=torch.float64)
    J = J.reshape(1, tasks, 3)
    G = J @ J.mT
    size = G.abs()
    if bool((size[size > 0] < SMALLEST).any()) or bool((size > LARGEST).any()):
        G = G / size.amax() if 0 < float(size.amax()) <= LARGEST else torch.full_like(G, torch.nan)
    spoilt = data.draw(st.sampled_from([None, torch.nan, torch.inf]))
    if spoilt is not None:
        G = torch.cat([G, torch.full_like(G, spoilt)])
    solution = SOLVERS[name](G)
    finite = G.isfinite().all(dim=-1).all(dim=-1)
    assert not solution.converged[~finite].any()
    kept = type(solution)(*(field[finite] for field in solution))
    assert not (wrong := broken_laws(name, G[finite], kept)), wrong


@ANY
@given(st.sampled_from(sorted(ZOO)), st.booleans(), st.data())
def rule(name, probing, data):
    """Finite numbers, or a refusal in a sentence that changes nothing."""
    recipe = ZOO[name]
    one = recipe.probing() if probing else recipe.factory()
    assert "\n" not in follow(one, data.draw(episodes(one, recipe)))


ALONE = [name for name in sorted(ZOO) if not ZOO[name].factory().needs & (Needs.POPULATION | Needs.CROSS)]
FACTOR = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e150, float("nan")]), st.floats(width=64))


@ANY
@given(
    st.sampled_from([name for name in ALONE if ZOO[name].min_tasks <= 2 <= (ZOO[name].max_tasks or 2)]),
    st.sampled_from(["auto", *(name for name in ENGINES if name != "features")]),
    st.lists(st.tuples(FACTOR, FACTOR), min_size=1, max_size=4),
)
def balancer(name, engine, factors):
    """Steps with losses of any size: finite gradients and memory, or a refusal that leaves the gradients as they were."""
    generator = torch.Generator().manual_seed(0)
    trunk, heads = (torch.randn(3, 2, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    try:
        driver = Balancer(rules.get(name), [trunk], engine=engine)
        driver.epoch = 1
    except MooMtlError:
        return
    for pair in factors:
        losses = (trunk.tanh() * heads).square().mean(dim=0) * torch.tensor(pair, dtype=torch.float64)
        before = None if trunk.grad is None else trunk.grad.clone()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "famo learns from the losses after")
                driver.backward(losses, preference=torch.full((2,), 0.5, dtype=torch.float64))
        except MooMtlError:
            assert (trunk.grad is None) if before is None else torch.equal(trunk.grad, before)
        else:
            assert trunk.grad.isfinite().all()
        assert all(leaf.isfinite().all() for leaf in flatten(driver._carried.state or ()).values())


@ANY
@given(st.lists(st.tuples(st.integers(0, len(LONG)), st.integers(0, 12), st.text(max_size=12)), min_size=1, max_size=4))
def configuration(edits):
    """Read and planned, or refused in words."""
    text = LONG
    for at, length, instead in edits:
        text = text[:at] + instead + text[at + length :]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "e.toml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            found = config.read(file, [])
            if len(found.singles) < 10:
                experiment.prepare(found, Path(folder) / "runs")
        except MooMtlError:
            pass


TARGETS = {
    "solver": solver,
    "rule": rule,
    "certificate": test_certificates_bound_the_distance,
    "trace": test_traces_are_finite_wherever_they_go_on,
    "balancer": balancer,
    "configuration": configuration,
}
