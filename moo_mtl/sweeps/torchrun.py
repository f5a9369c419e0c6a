"""A run in several processes: ``torchrun`` starts them, and this process waits and says how it ended.

They hold on to this process by a pipe: when it is gone, however it went, they go as well, and the run is unfinished.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moo_mtl import errors, storage
from moo_mtl.config import TrainRun
from moo_mtl.kinds.single_run import writable
from moo_mtl.runs import CALLER, Run, locked

ATTEMPTS = 2
CALL = ".call-"  # a prefix, of the folder of one attempt within the run's
POLL = 0.1  # seconds between two looks at how far they are
ORDER, STEP, ANSWER = "order.json", "step", "answer.json"  # in that folder: what goes to the processes, and comes back


def perform(config: TrainRun, run: Run, advance: Callable[[int], None]) -> None:
    """What ``single_run.perform`` does, in ``config.processes`` processes.

    When one of them dies, all are started again, once, and go on from the last checkpoint. If that kills one again, the run has
    failed. Torchrun's own restarts are not asked: the processes of a second attempt may wait for those of the first.

    Args:
        config: what to compute.
        run: the folder to write to.
        advance: called with the number of epochs done so far.

    Raises:
        DamageError: what is in the folder cannot be trusted.
        BusyError: another process computes this run.
        RunError: the folder cannot be written.
    """
    said = ""
    for _ in range(ATTEMPTS):
        with _call(run) as folder:
            order = {"single": config.resolved(), "folder": str(run.folder.absolute())}
            storage.write_json(folder / ORDER, order)
            _wait(config.processes, folder, advance)
            if (folder / ANSWER).exists():
                answer = storage.read_json(folder / ANSWER)
                if answer["raised"] is not None:
                    raise getattr(errors, answer["raised"])(answer["message"])
                return
            said = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in sorted(folder.rglob("*.log")))
    with run.writing(), writable(run.folder):
        if run.state != "finished":
            why = f"one of its {config.processes} processes died, {ATTEMPTS} times; moo-mtl sweep --retry tries again"
            run.fail(why, {}, said.strip())


@contextmanager
def _call(run: Run) -> Iterator[Path]:
    """A new folder within the run's, of this process alone; those that a killed one has left go first."""
    storage.create(run.folder)
    with locked(run.folder / CALLER), writable(run.folder):
        for left in run.folder.glob(f"{CALL}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=CALL, dir=run.folder.absolute(), ignore_cleanup_errors=True) as name:
            yield Path(name)


def _wait(processes: int, folder: Path, advance: Callable[[int], None]) -> None:
    """Start torchrun, and stay until it has ended or this process is interrupted."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    more = ["--log-dir", str(folder), "--redirects", "2", "-m", "moo_mtl.sweeps.member", str(folder)]
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
            process.wait()
