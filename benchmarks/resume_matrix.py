"""Every rule, killed at random moments and resumed, against the run that was never interrupted: bit for bit.

``python -m benchmarks.resume_matrix [--kills 10] [--minutes 10] [--rules mgda,famo]`` prints a table. A killed process is
ended by SIGKILL at a moment drawn at random after it has begun to write, and another one goes on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from pathlib import Path

import torch

from moo_mtl import Needs, rules
from tests import resumable
from tests.kinds import every_kind

FORKS = multiprocessing.get_context("forkserver")
LONGER = {"epochs": 8}  # so that something is left to kill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=10, help="after which no further rule begins")
    parser.add_argument("--rules", help="names, with commas between them; default: all")
    given, started = parser.parse_args(), time.monotonic()
    FORKS.set_forkserver_preload(["tests.resumable", "torch._dynamo"])
    own = [kind.name for kind in every_kind() if Needs.POPULATION not in kind.needs]
    zoo = [name for name in sorted(rules.ZOO) if Needs.POPULATION not in rules.get(name).needs]
    names = given.rules.split(",") if given.rules else [*zoo, *own]
    print("| rule | kills | in steps | tensors compared | that differ |\n|---|---|---|---|---|")
    for name in names:
        if time.monotonic() - started > 60 * given.minutes:
            print(f"\nThe time was used up before {name}; {len(names) - names.index(name)} of {len(names)} rules are missing.")
            break
        print(_row(name, given.kills), flush=True)
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes.")


def _row(name: str, wanted: int) -> str:
    moments, kills, steps = random.Random(name), 0, []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, result = Path(folder) / "checkpoint.pt", Path(folder) / "result.pt"
        while not result.exists():
            child = FORKS.Process(target=_run, args=(name, checkpoint, result))
            child.start()
            if kills < wanted:
                _wait_for_a_write(child, checkpoint)
                time.sleep(moments.uniform(0, 0.02))
                child.kill()
            child.join()
            if child.exitcode == -9:
                kills += 1
                steps.append(torch.load(checkpoint, weights_only=True)["state"]["training"]["step"])
            elif child.exitcode:
                raise SystemExit(f"{name}: exit code {child.exitcode}")
        found = torch.load(result, weights_only=True)
    expected = _uninterrupted(name)
    differ = [key for key in expected if not torch.equal(found[key].nan_to_num(-7.0), expected[key].nan_to_num(-7.0))]
    where = f"{min(steps)} to {max(steps)}" if steps else "-"
    return f"| {name} | {kills} | {where} | {len(expected)} | {', '.join(differ) or 'none'} |"


def _run(name: str, checkpoint: Path, result: Path) -> None:
    resumable.run(name, checkpoint, result, **LONGER)


def _uninterrupted(name: str) -> dict[str, torch.Tensor]:
    torch.set_num_threads(1)
    one = resumable.trainer(resumable.rule_named(name), **LONGER)
    return resumable.outcome(one, one.fit(resumable.examples(1), resumable.examples(2)))


def _wait_for_a_write(child: multiprocessing.process.BaseProcess, checkpoint: Path) -> None:
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    while child.is_alive() and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
        time.sleep(0.001)


if __name__ == "__main__":
    main()
