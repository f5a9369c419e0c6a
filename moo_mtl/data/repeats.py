"""Examples of the validation and test parts whose inputs training has too, to the last bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from torch import Tensor, uint8

from moo_mtl.data.dataset import Dataset
from moo_mtl.data.graphs import Graphs

ROWS = 4096  # that are copied at a time


def repeats(dataset: Dataset) -> dict[str, int]:
    """How many examples of the ``"validation"`` and the ``"test"`` part have the very inputs of a training example.

    Rows are compared by a hash of their bytes, in one pass over the data. Graphs are not compared; there are no counts then.
    """
    inputs = dataset.examples.inputs
    if isinstance(inputs, Graphs):
        return {}
    known = set(_hashes(inputs, dataset.splits["train"]))
    return {part: sum(row in known for row in _hashes(inputs, dataset.splits[part])) for part in ("validation", "test")}


def warn_of_repeats(dataset: Dataset) -> None:
    """Warn of a split of the user's own that shares inputs between training and another part."""
    found = [f"{n} of {len(dataset.splits[part])} {part} examples" for part, n in repeats(dataset).items() if n]
    if found:
        warnings.warn(
            f"{dataset.name}: {' and '.join(found)} have exactly the inputs of a training example; unless the data repeat "
            f"themselves by nature, leave these out, or keep what belongs together in one part",
            stacklevel=3,
        )


def _hashes(inputs: Tensor, index: Tensor) -> Iterator[int]:
    """One for each row that ``index`` names."""
    for some in index.split(ROWS):
        rows = inputs[some.to(inputs.device)].detach().cpu()
        if not rows.numel():
            return
        octets = rows.reshape(len(some), -1).contiguous().view(uint8).numpy()
        yield from map(hash, octets.view(f"V{octets.shape[1]}")[:, 0].tolist())
