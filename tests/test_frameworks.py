"""The Balancer where training loops are written: plain PyTorch, Lightning, and models that return an object of losses."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from moo_mtl import Balancer, rules


def examples():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 8, generator=generator)
    return TensorDataset(x, x[:, :2].sum(dim=1, keepdim=True), (x[:, 2] > 0).long())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(8, 16), nn.Tanh())
        self.value, self.sign = nn.Linear(16, 1), nn.Linear(16, 2)

    def losses(self, x, value, sign):
        z = self.trunk(x)
        return {
            "value": nn.functional.mse_loss(self.value(z), value),
            "sign": nn.functional.cross_entropy(self.sign(z), sign),
        }


def plain(epochs):
    net = Net()
    balancer, optimizer = Balancer(rules.upgrad(), net.trunk), torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(epochs):
        for batch in DataLoader(examples(), batch_size=16):
            balancer.backward(net.losses(*batch))
            optimizer.step()
    return net


def test_a_plain_loop_learns_both_tasks():
    before, after = (net.losses(*examples().tensors) for net in (Net(), plain(30)))
    assert all(after[task] < 0.3 * before[task] for task in before)


@pytest.mark.filterwarnings("default")  # those of Lightning itself are not ours to mend
def test_lightning_with_manual_optimisation():
    """The same steps as the plain loop, and the rule's state travels in Lightning's checkpoint."""
    lightning = pytest.importorskip("pytorch_lightning", reason="pytorch-lightning is not installed (extra: integrations)")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.net = Net()
            self.balancer = Balancer(rules.upgrad(), self.net.trunk)

        def training_step(self, batch):
            report = self.balancer.backward(self.net.losses(*batch))
            self.optimizers().step()
            self.log_dict({f"weight/{task}": w for task, w in zip(report.tasks, report.weights, strict=True)})

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.02)

        def on_save_checkpoint(self, checkpoint):
            checkpoint["balancer"] = self.balancer.state_dict()

        def on_load_checkpoint(self, checkpoint):
            self.balancer.load_state_dict(checkpoint["balancer"])

    module = Module()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", **quiet)
    trainer.fit(module, DataLoader(examples(), batch_size=16))
    for ours, theirs in zip(module.net.parameters(), plain(3).parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    other = Module()
    other.on_load_checkpoint(checkpoint)
    assert other.balancer.step == module.balancer.step == 12


@dataclass
class Output:
    """What a Hugging Face model returns: the losses beside the logits, and their sum as ``loss``."""

    loss: torch.Tensor
    losses: dict[str, torch.Tensor]
    logits: dict[str, torch.Tensor]


class Model(nn.Module):
    """An encoder with two heads whose forward pass takes labels and returns losses."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.ModuleDict(
            {"embeddings": nn.Embedding(11, 16), "layer": nn.TransformerEncoderLayer(16, 2, 32, 0.1, batch_first=True)}
        )
        self.classifier, self.tagger = nn.Linear(16, 3), nn.Linear(16, 4)

    def forward(self, input_ids, labels, tags):
        hidden = self.encoder["layer"](self.encoder["embeddings"](input_ids))
        logits = {"class": self.classifier(hidden[:, 0]), "tags": self.tagger(hidden)}
        losses = {
            "class": nn.functional.cross_entropy(logits["class"], labels),
            "tags": nn.functional.cross_entropy(logits["tags"].flatten(0, 1), tags.flatten()),
        }
        return Output(sum(losses.values()), losses, logits)


@pytest.mark.parametrize("name", ["mgda", "db-mtl", "equal"])
def test_a_model_that_returns_an_object_of_losses(name):
    """Micro-batches, bfloat16 autocast and clipping, as in a fine-tuning script."""
    torch.manual_seed(1)
    ids = torch.randint(0, 11, (32, 6))
    batch = {"input_ids": ids, "labels": ids[:, 0] % 3, "tags": ids % 4}
    model = Model()
    balancer = Balancer(rules.get(name), model.encoder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)

    def losses(part):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(**{key: value[part] for key, value in batch.items()}).losses

    before = {task: float(value.detach()) for task, value in losses(slice(None)).items()}
    for _ in range(40):
        balancer.backward(losses(slice(0, 16)), accumulate=True)
        balancer.backward(losses(slice(16, 32)))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    after = losses(slice(None))
    assert all(float(after[task].detach()) < 0.5 * before[task] for task in before)


@pytest.mark.filterwarnings("default")  # those of transformers itself are not ours to mend
@pytest.mark.parametrize("engine", ["auto", "gramian", "products"])
def test_a_transformers_encoder_with_a_head_for_each_task(engine):
    """A randomly initialised BERT of the library itself: a sentence task and a token task on one encoder."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra: integrations)")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=11, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=8, attn_implementation="eager", hidden_dropout_prob=0.0,
    )  # fmt: skip
    encoder = transformers.BertModel(config, add_pooling_layer=False)
    classifier, tagger = nn.Linear(16, 3), nn.Linear(16, 4)
    ids = torch.randint(0, 11, (16, 6))

    def losses():
        hidden = encoder(input_ids=ids).last_hidden_state
        return {
            "class": nn.functional.cross_entropy(classifier(hidden[:, 0]), ids[:, 0] % 3),
            "tags": nn.functional.cross_entropy(tagger(hidden).flatten(0, 1), (ids % 4).flatten()),
        }

    balancer = Balancer(rules.mgda(), encoder, engine=engine)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *classifier.parameters(), *tagger.parameters()], lr=5e-3)
    before = losses()
    for _ in range(30):
        report = balancer.backward(losses())
        optimizer.step()
    after = losses()
    assert report.engine == balancer.chosen
    assert all(float(after[task].detach()) < 0.5 * float(before[task].detach()) for task in before)
