"""Inputs that grow towards code not reached before: ``python -m tests.fuzz_guided TARGET -max_total_time=600``.

Atheris (``pip install atheris``; the project does not depend on it) mutates bytes and keeps those that reach a new branch of
the package; Hypothesis turns bytes into cases. Options with one dash are libFuzzer's. It stops at the first case for which a
law does not hold, with the traceback, and otherwise says how many it ran. Targets are the keys of ``guided_laws.TARGETS``.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["moo_mtl"]):
        import torch

        from tests.guided_laws import TARGETS

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name one of {', '.join(TARGETS)}")
    torch.set_num_threads(1)
    corpus = Path(tempfile.mkdtemp())  # short inputs are too short for any case
    for seed in range(50):
        (corpus / str(seed)).write_bytes(random.Random(seed).randbytes(50 * (seed + 1)))
    program = [sys.argv[0], *sys.argv[2:], "-len_control=0", "-max_len=8192", str(corpus)]
    atheris.Setup(program, TARGETS[sys.argv[1]].hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
