"""A sweep that is killed at random until it comes through, again and again: ``python -m benchmarks.soak --minutes 30``.

Each round is a sweep of small runs in a folder of its own, in batches, by one driver or by two workers. Drivers and workers get
SIGKILL, and drivers Ctrl-C, at random moments; then the same command is given again, until one is left to finish. Then the
round's runs are held, to the last bit, against those of the same sweep without a fault. Runs lost, duplicated or differing make
the exit status 1. Memory and open files are those of this process, which reads every run and the database after each round.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from moo_mtl import runs
from moo_mtl.results import frame

SWEEP = """
kind = "trace"
problem = { name = "two-task-toy", scale = 0.1 }
rule = ["mgda", "imtl-g", { name = "db-mtl", lower_bound = "problem" }, "mine:Slow"]
optimizer = "adam"
lr = [1e-3, 1e-2]
seed = { range = 3 }
gradient_noise = 0.1
steps = 60
"""
MINE = """
import os, time
import torch
from moo_mtl import Needs, Rule, Weighing, runs

runs.CHECKPOINT_EVERY = 0.0  # also in worker processes, which import this to know the rule

class Slow(Rule):
    name, needs = "slow", Needs.LOSSES

    def weigh(self, obs, state):
        time.sleep(float(os.environ.get("NAP", "0")))
        return Weighing(torch.full_like(obs.losses, 0.5)), state
"""
COUNT = 24
MODES: dict[str, list[str]] = {"batches": [], "one by one": ["--no-batch"], "two workers": ["--no-batch", "--jobs", "2"]}
Arrays = dict[str, dict[str, np.ndarray]]


def command(mode: str, folder: Path, nap: float, *, wait: bool = False) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "moo_mtl", "sweep", "soak.toml", "--out", str(folder), *MODES[mode]]
    environment = {**os.environ, "NAP": str(nap), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if wait:
        process.wait(timeout=600)
    return process


def workers(process: int) -> list[int]:
    """The workers of a driver, without the processes that joblib starts beside them."""
    try:
        listed = Path(f"/proc/{process}/task/{process}/children").read_text()
        return [int(child) for child in listed.split() if b"LokyProcess" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except OSError:
        return []


def ended(process: subprocess.Popen[bytes], folder: Path, chance: random.Random) -> bool:
    """Whether a driver came to its end before the moment to stop it: any moment, but three times in four one of its work."""
    began, patience = time.time(), chance.uniform(0, 8)
    if chance.random() < 0.75:
        while process.poll() is None and not any(file.stat().st_mtime > began for file in folder.rglob("*lock")):
            time.sleep(0.02)
        patience = chance.uniform(0, 3)
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        return False
    return True


def stopped(process: subprocess.Popen[bytes], chance: random.Random) -> str:
    """What was done to a driver that is at work, or to one of its workers."""
    started = workers(process.pid)
    kind = chance.choice(["worker", "worker", "kill", "ctrl-c"] if started else ["kill", "kill", "ctrl-c"])
    try:
        if kind == "worker":
            os.kill(chance.choice(started), signal.SIGKILL)
            process.wait(timeout=600)
        else:
            process.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGINT)
            process.wait(timeout=600)
            deadline = time.monotonic() + 60  # workers notice by themselves; two drivers are another test
            while not all(map(_gone, started)) and time.monotonic() < deadline:
                time.sleep(0.1)
    except ProcessLookupError:
        return "nothing"
    return kind


def _gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def arrays(folder: Path) -> Arrays:
    """The arrays of every finished run by what it computes."""
    found: Arrays = {}
    for file in sorted((folder / "soak").glob("*/result.npz")):
        config = runs.read(file.parent).config
        with np.load(file, allow_pickle=False) as content:
            found[str((config["rule"], config["lr"], config["seed"]))] = {name: content[name] for name in content.files}
    return found


def judged(folder: Path, expected: Arrays) -> Counter[str]:
    """Runs lost, duplicated and differing."""
    found, table = arrays(folder), frame(folder)
    wrong: Counter[str] = Counter()
    wrong["lost"] = len(expected.keys() - found.keys()) + int((table.state != "finished").sum())
    wrong["duplicated"] = len(list((folder / "soak").glob("*/result.npz"))) - len(found) + len(table) - table.hash.nunique()
    for name in expected.keys() & found.keys():
        ours, theirs = found[name], expected[name]
        same = ours.keys() == theirs.keys() and all(np.array_equal(ours[k], theirs[k], equal_nan=True) for k in theirs)
        wrong["differing"] += not same
    wrong["left behind"] = len([file for file in folder.rglob("*.pt") if not file.name.startswith(".")])
    return wrong


def held() -> tuple[float, int]:
    """Memory of this process, MiB, and its open files."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(os.listdir("/proc/self/fd"))


def soak(minutes: float, seed: int) -> int:
    chance, until = random.Random(seed), time.monotonic() + 60 * minutes
    Path("soak.toml").write_text(SWEEP, encoding="utf-8")
    Path("mine.py").write_text(MINE, encoding="utf-8")
    expected = {}
    for mode in ("batches", "one by one"):
        command(mode, Path(mode), 0, wait=True)
        expected[mode] = arrays(Path(mode))
    expected["two workers"] = expected["one by one"]
    assert all(len(found) == COUNT for found in expected.values()), "the sweep without a fault did not finish"
    total: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    rounds: Counter[str] = Counter()
    memory: list[tuple[float, int]] = []
    while time.monotonic() < until:
        mode, folder = chance.choice([*MODES, "two workers"]), Path(f"round-{rounds.total()}")
        for _ in range(chance.randint(1, 5)):
            process = command(mode, folder, chance.choice([0.0, 0.003, 0.01]))
            faults["none: it was done" if ended(process, folder, chance) else stopped(process, chance)] += 1
        code = command(mode, folder, 0, wait=True).returncode
        wrong = judged(folder, expected[mode])
        wrong["of the last command's failures"] = int(code != 0)
        total += wrong
        rounds[mode] += 1
        memory.append(held())
        if any(wrong.values()):
            print(f"{folder} ({mode}): {dict(wrong)}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    print(f"{rounds.total()} rounds of {COUNT} runs in {minutes:g} minutes, seed {seed}: {dict(rounds)}")
    print(f"faults: {dict(faults)}")
    for name in ("lost", "duplicated", "differing", "left behind", "of the last command's failures"):
        print(f"runs {name}: {total[name]}" if name in ("lost", "duplicated", "differing") else f"{name}: {total[name]}")
    later = memory[len(memory) // 4 :]
    print(
        f"this process: {later[0][0]:.1f} MiB at most after a quarter of the rounds, {later[-1][0]:.1f} MiB at the end; "
        f"{later[0][1]} open files, then {later[-1][1]}"
    )
    return int(any(total.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        code = soak(arguments.minutes, arguments.seed)
        os.chdir("/")
    sys.exit(code)


if __name__ == "__main__":
    main()
