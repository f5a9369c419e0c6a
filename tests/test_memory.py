"""No step leaves anything behind: no graph, no tensor, no memory; and a report that is kept holds its numbers alone."""

import gc
import weakref
from dataclasses import fields
from functools import partial

import pytest
from torch import Tensor

from tests.flat_memory import LOOPS, Tiny, by_balancer, grown, whole

BALANCED = [name for name, loop in LOOPS.items() if loop.func is by_balancer]


class Token:
    """Hangs on a node of a graph and dies with it."""


def watched(losses, tokens):
    """``losses``, on every node behind which a token hangs; parameters' own nodes may live as long as they."""
    nodes, seen = [losses.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen and not hasattr(node, "variable"):
            seen.add(node)
            token = node.metadata["token"] = Token()
            tokens.append(weakref.ref(token))
            nodes += [below for below, _ in node.next_functions]
    return losses


@pytest.mark.parametrize("name", BALANCED)
def test_no_graph_survives_a_step(name, monkeypatch):
    """Reference counts alone free it, whoever keeps balancer and report: on a GPU nobody waits for the garbage collector."""
    loop, tokens, reports, forward = LOOPS[name], [], [], Tiny.losses
    monkeypatch.setattr(Tiny, "losses", lambda self, *part: watched(forward(self, *part), tokens))
    step = loop.keywords.get("step", whole)

    def kept(*arguments):
        reports.append((step(*arguments), arguments[0]))

    def numbers():
        for number in range(4):
            yield number
            assert tokens
            assert sum(token() is not None for token in tokens) == 0, f"nodes of {len(tokens)} alive after step {number + 1}"

    gc.disable()
    try:
        partial(loop, step=kept)(numbers())
    finally:
        gc.enable()
    assert len(reports) == 4


def tensors_of(report):
    """Every tensor that a report holds, by name, those that it computes when asked included."""
    parts = {field.name: getattr(report, field.name) for field in fields(report)}
    parts |= {name: getattr(report, name) for name in ("norms", "cosines", "silent")}
    parts |= {} if report.certificate is None else report.certificate._asdict()
    return {name: part for name, part in parts.items() if isinstance(part, Tensor)}


@pytest.mark.parametrize("name", BALANCED)
def test_a_kept_report_holds_its_numbers_alone(name):
    """No graph, and no part of a larger tensor."""
    loop, reports = LOOPS[name], []
    step = loop.keywords.get("step", whole)
    partial(loop, step=lambda *arguments: reports.append(step(*arguments)))(iter(range(2)))
    for report in reports:
        for part, tensor in tensors_of(report).items():
            assert tensor.grad_fn is None, part
            assert not tensor.requires_grad, part
            held, numbers = tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size()
            assert held <= numbers, f"{part} keeps {held} bytes for {numbers}"


@pytest.mark.parametrize("name", ["mgda, losses refused", "db-mtl", "famo, Trainer", "mgda, trace"])
def test_memory_is_flat_over_many_steps(name):
    assert_flat(LOOPS[name], 1_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_memory_is_flat_over_more_steps_of_every_loop(name):
    assert_flat(LOOPS[name], 10_000)


def assert_flat(loop, steps):
    """A tensor kept at each step would be as many more as there are steps; a graph of these networks takes 18 KiB.

    What else a test process holds moves by some MiB, so memory is held to a quarter of the graphs.
    """
    more = grown(loop, steps)
    assert more.tensors == 0
    assert more.private < 2 + 4.5 * steps / 1024
