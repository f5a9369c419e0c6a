"""A run in several processes: ``torchrun`` starts them, and this process waits and says how it ended.

They hold on to this process by a pipe: when it is gone, however it went, they go as well, and the run is unfinished.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from moo_mtl import errors
from moo_mtl.config import TrainRun
from moo_mtl.runs import Run

POLL = 0.1  # seconds between two looks at how far they are
ORDER, STEP, ANSWER = "order.json", "step", "answer.json"  # what goes to the processes and comes back, in a folder of the call


def perform(config: TrainRun, run: Run, advance: Callable[[int], None]) -> None:
    """What ``single_run.perform`` does, in ``config.processes`` processes.

    When one of them dies, torchrun starts them all again, once, from the last checkpoint. If that kills one again, the run has
    failed.

    Args:
        config: what to compute.
        run: the folder to write to.
        advance: called with the number of epochs done so far.

    Raises:
        DamageError: what is in the folder cannot be trusted.
        BusyError: another process computes this run.
        RunError: the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="moo-mtl-") as name:
        folder = Path(name)
        order = {"config": config.resolved(), "folder": str(run.folder.absolute())}
        (folder / ORDER).write_text(json.dumps(order), encoding="utf-8")
        _wait(config.processes, folder, advance)
        if (folder / ANSWER).exists():
            answer = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
            if answer["raised"] is not None:
                raise getattr(errors, answer["raised"])(answer["message"])
            return
        said = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in sorted(folder.rglob("*.log"))).strip()
    with run.writing():
        if run.state != "finished":
            run.fail(f"one of its {config.processes} processes died twice; moo-mtl sweep --retry tries again", {}, said)


def _wait(processes: int, folder: Path, advance: Callable[[int], None]) -> None:
    """Start torchrun, and stay until it has ended or this process is interrupted."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    more = ["--max-restarts", "1", "--log-dir", str(folder), "--redirects", "2", "-m", "moo_mtl.sweeps.member", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # the user's modules, wherever this is
    with (
        (folder / "torchrun.log").open("w") as log,
        subprocess.Popen(
            [*launcher, *more], stdin=subprocess.PIPE, stderr=log, env=environment, start_new_session=True
        ) as process,
    ):
        try:
            while process.poll() is None:
                time.sleep(POLL)
                with suppress(OSError, ValueError):  # not there yet, or half written
                    advance(int((folder / STEP).read_text()))
        finally:
            process.terminate()  # it takes the others with it
