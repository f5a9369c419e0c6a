"""Two processes on parts of a batch take the steps of one process on the joint batch, whatever the rule."""

import pytest
import torch
from torch import nn

from moo_mtl import Balancer, Needs
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.models.synchronised import synchronised
from moo_mtl.training import Processes
from tests.distributed import together
from tests.kinds import every_kind
from tests.resumable import rule_named

STEPS, LR = 4, 0.1
PARTS = [slice(0, 5), slice(5, 8)]  # uneven
PARTS_OF_OTHER = [slice(0, 2), slice(2, 6)]


class Net(nn.Module):
    """A trunk with batch normalisation, and so no bias before it, whose gradient would be rounding; a head for each task."""

    def __init__(self, normalised=True):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            layers = [
                nn.Linear(4, 6, bias=not normalised),
                *([nn.BatchNorm1d(6)] if normalised else []),
                nn.Tanh(),
                nn.Linear(6, 5),
            ]
            self.trunk = nn.Sequential(*layers).double()
            self.heads = nn.ModuleList([nn.Linear(5, 1).double() for _ in range(2)])

    def forward(self, inputs):
        features = self.trunk(inputs)
        return torch.cat([head(features) for head in self.heads], dim=-1)


def examples(step, n=8, absent=True):
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    targets = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    present = torch.rand(n, 2, generator=generator) > 0.2
    if step == 2:
        present[PARTS[1], 0] = False  # the second process has no label of the first task
    if step == 3 and absent:
        present[:, 1] = False  # nobody has one of the second
    return inputs, targets, present


def losses_of(net, inputs, targets, present):
    """Mean losses ``[2]`` and the labels behind them; without labels 0, still connected."""
    errors = torch.where(present, (net(inputs) - targets).square() + 0.5, 0.0)
    counts = present.sum(dim=0)
    sums = [errors[:, task].sum() / counts[task].clamp(min=1) for task in range(2)]
    return torch.stack(sums), counts


def trained(rule, engine, rank=None, normalised=True, accumulate=False):
    """Weights and state after a few steps; of one process where ``rank`` is ``None``."""
    net = Net(normalised)
    across = None
    if rank is not None:
        if rank:
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter += 1  # the first process's parameters hold
        across = Processes(net)
        net = synchronised(net)
    balancer = Balancer(rule, net.trunk, engine=engine, seed=5, across=across)
    preference = torch.tensor([0.3, 0.7], dtype=torch.float64) if Needs.PREFERENCE in rule.needs else None
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9)
    weights = []
    absent = rule.name not in ("small-gradvac", "small-famo", "small-tchebycheff")  # these do not look at who is present
    for step in range(STEPS):
        batch, other = examples(step, absent=absent), examples(step + 100, 6)
        if rank is not None:
            batch, other = [part[PARTS[rank]] for part in batch], [part[PARTS_OF_OTHER[rank]] for part in other]
        optimizer.zero_grad()
        options = {"preference": preference}
        if Needs.CROSS in rule.needs:
            further, further_counts = losses_of(net, *other)
            options |= {"independent": [further], "independent_counts": [further_counts]}
        if accumulate:
            for half in (slice(0, 2), slice(2, None)):
                losses, counts = losses_of(net, *(part[half] for part in batch))
                report = balancer.backward(losses, counts=counts, accumulate=half.stop is not None, **options)
        else:
            losses, counts = losses_of(net, *batch)
            report = balancer.backward(losses, counts=counts, **options)
        optimizer.step()
        if Needs.AFTER in rule.needs:
            with torch.no_grad():
                balancer.observe(*losses_of(net, *batch))
        weights.append(report.weights)
    return torch.stack(weights), net.state_dict(), balancer.state_dict()["rule"]


def member(rank, names, engine, normalised, accumulate):
    return {name: trained(rule_named(name), engine, rank, normalised, accumulate) for name in names}


def assert_close(found, expected, name):
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert one.keys() == other.keys()
        for key in other:
            torch.testing.assert_close(
                one[key], other[key], rtol=1e-10, atol=1e-10, msg=lambda m, key=key: f"{name} {key}: {m}"
            )
    torch.testing.assert_close(found[0], expected[0], rtol=1e-10, atol=1e-10, msg=lambda m: f"{name}: {m}")


SINGLE = [rule.name for rule in every_kind() if Needs.POPULATION not in rule.needs]
OF_THE_ZOO = ["mgda", "db-mtl", "bmtl", "task-tensioner", "famo", "nash-mtl", "graddrop", "moco", "modo", "uw", "gradnorm"]


@pytest.mark.parametrize("engine", ["auto", "looped"])
def test_two_processes_take_the_steps_of_one_for_every_kind_of_rule(engine):
    """Normalised over both, uneven parts, a process without a task's labels, and a task without any."""
    names = [*SINGLE, *OF_THE_ZOO] if engine == "auto" else SINGLE[:3]
    answers = together(member, names, engine, True, False)
    for name in names:
        expected = trained(rule_named(name), "auto")
        for answer in answers:
            assert_close(answer[name], expected, name)


@pytest.mark.parametrize("accumulate", [False, True])
def test_rows_may_come_in_one_batched_pass_and_in_micro_batches(accumulate):
    names = ["mgda", "db-mtl", "equal", "famo"]
    answers = together(member, names, "vmapped", False, accumulate)
    for name in names:
        assert_close(answers[1][name], trained(rule_named(name), "looped", normalised=False), name)


def test_products_with_the_joint_gramian():
    """Two communications a product: the weighted sum of the rows, and its products with them."""
    for normalised in (False, True):
        answers = together(member, ["small-frank-wolfe"], "products", normalised, False)
        expected = trained(rule_named("small-frank-wolfe"), "products", normalised=normalised)
        assert_close(answers[0]["small-frank-wolfe"], expected, "products")


def population_member(rank):
    """Three stacked points whose losses are means over examples."""
    rule = rule_named("small-hypervolume")
    centres = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = nn.Parameter(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    part = centres if rank is None else centres[PARTS[rank]]
    balancer = Balancer(rule, [points], across=None if rank is None else Processes([points]))
    for _ in range(STEPS):
        losses = (points[:, None, None] - part).square().sum(dim=-1).mean(dim=1) / 4
        balancer.backward(losses, counts=len(part))
        with torch.no_grad():
            points -= LR * points.grad
    return points.detach()


def test_a_population_is_stacked_networks():
    for points in together(population_member):
        torch.testing.assert_close(points, population_member(None), rtol=1e-10, atol=1e-10)


def refused(rank):
    net, said = Net(False), []
    for engine in ("gramian", "features"):
        with pytest.raises(InputError) as error:
            Balancer(rule_named("mgda"), net.trunk, engine=engine, across=Processes(net))
        said.append(str(error.value))
    balancer = Balancer(rule_named("mgda"), net.trunk, across=Processes(net.trunk))
    losses = losses_of(net, *examples(0))[0]
    with pytest.raises(InputError) as error:
        balancer.backward(losses)
    said.append(str(error.value))
    balancer = Balancer(rule_named("mgda"), net.trunk, across=Processes(net))
    with pytest.raises(InputError) as error:
        balancer.backward({"a": losses[0], "b": losses[1]} if rank else {"a": losses[0]})
    said.append(str(error.value))
    # What is not finite in one process is refused by all, and nothing is written.
    spoiled = losses * (float("nan") if rank else 1.0)
    balancer = Balancer(rule_named("mgda"), net.trunk, across=Processes(net))
    with pytest.raises(NonFiniteError) as error:
        balancer.backward(spoiled)
    assert all(parameter.grad is None for parameter in net.parameters())
    return [*said, str(error.value)]


def test_what_several_processes_cannot_do_is_one_sentence_in_each():
    messages = [
        "holds no rows",
        "holds no rows",
        "pass the whole model",
        "same tasks",
        "loss of task 0 is not finite at step 1",
    ]
    for said in together(refused):
        for found, expected in zip(said, messages, strict=True):
            assert expected in found
    with pytest.raises(InputError, match="has not been initialised; call"):
        Processes()
