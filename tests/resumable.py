"""A training run that can be killed: small, but with every kind of state that a run can have."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from moo_mtl import Needs, Task, Trainer, rules
from moo_mtl.data import Examples
from moo_mtl.training import History
from tests import kinds

EPOCHS, BATCH, N = 3, 8, 28  # four steps an epoch, the last on half a batch


def examples(seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(N, 6, generator=generator)
    targets = {name: torch.randn(N, generator=generator) for name in "abcdef"}
    present = {name: torch.rand(N, generator=generator) > 0.2 for name in targets}
    return Examples(inputs, targets, present)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.trunk = nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Dropout(0.3))
            self.heads = nn.ModuleDict({name: nn.Linear(7, 1) for name in "abcdef"})

    def forward(self, inputs):
        features = self.trunk(inputs)
        return {name: head(features).squeeze(1) for name, head in self.heads.items()}


class ShuffledLoader:
    """A loader that draws its order, and noise on its inputs, from the global generator."""

    def __init__(self, source):
        self.source = source

    def __iter__(self):
        for index in torch.utils.data.DataLoader(range(N), batch_size=BATCH, shuffle=True):
            batch = self.source[index]
            yield Examples(batch.inputs + 0.1 * torch.randn_like(batch.inputs), batch.targets, batch.present)


def tasks_for(rule):
    """Three tasks, or as many as the rule wants; two for the small rules of every kind."""
    if rule.name not in rules.ZOO:
        return ("a", "b")
    recipe = rules.ZOO[rule.name]
    return tuple("abcdef"[: min(max(3, recipe.min_tasks), recipe.max_tasks or 6)])


def rule_named(name):
    own = {rule.name: rule for rule in kinds.every_kind()}
    return own[name] if name in own else rules.get(name)


def trainer(rule, **options):
    tasks = [Task(name, "huber", ("mae",)) for name in tasks_for(rule)]
    given = {"epochs": EPOCHS, "batch_size": BATCH, "lr": lambda step: 0.02 / step**0.5, "certify_every": 3, **options}
    if Needs.PREFERENCE in rule.needs:
        given["preference"] = [1 / (2 + k) for k in range(len(tasks))]
    return Trainer(Net(), tasks, rule, **given)


def outcome(one: Trainer, history: History) -> dict[str, torch.Tensor]:
    """Everything that must be bit-identical; step times are not."""
    numbers = {name: value for name, value in vars(history).items() if name not in ("seconds", "metrics", "certificates")}
    tensors = {name: value for name, value in numbers.items() if isinstance(value, torch.Tensor)}
    tensors |= {f"metric {name}": value for name, value in history.metrics.items()}
    tensors |= {f"certificate {name}": value for name, value in history.certificates.items()}
    tensors |= {"counts": torch.tensor([history.best_epoch, history.steps])}
    return tensors | {f"parameter {name}": value.clone() for name, value in one.model.state_dict().items()}


def run(name, checkpoint, result, loader=False, **options):
    """Train to the end, from the checkpoint if there is one, and write the outcome; entry point of the killed processes."""
    torch.set_num_threads(1)
    one = trainer(rule_named(name), **options)
    train = ShuffledLoader(examples(1)) if loader else examples(1)
    history = one.fit(train, examples(2), checkpoint=checkpoint, checkpoint_interval=0.0)
    part = Path(f"{result}.part")
    torch.save(outcome(one, history), part)
    part.rename(result)
