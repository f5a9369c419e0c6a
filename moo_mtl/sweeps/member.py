"""One of the processes that compute a run together, started by ``torchrun.perform``: ``-m moo_mtl.sweeps.member FOLDER``."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

from moo_mtl import launch, storage
from moo_mtl.config import TrainRun
from moo_mtl.errors import LostError, MooMtlError
from moo_mtl.kinds import single_run, train_run
from moo_mtl.runs import Run
from moo_mtl.sweeps.torchrun import ANSWER, ORDER, STEP


def main() -> None:
    """Take part; the first process computes, and answers."""
    threading.Thread(target=_leave_with_the_caller, daemon=True).start()
    folder = Path(sys.argv[1])
    with launch.joined():
        if launch.first():
            storage.write_json(folder / ANSWER, _computed(folder))
        else:
            launch.follow(train_run.take_part)


def _computed(folder: Path) -> dict[str, str | None]:
    order = storage.read_json(folder / ORDER)
    config, run = TrainRun.model_validate(order["single"]), Run(Path(order["folder"]), order["single"])
    try:
        single_run.perform(config, run, lambda step: _note(folder / STEP, step))
    except LostError:
        raise  # to be started again with the one that is gone
    except MooMtlError as error:
        return {"raised": type(error).__name__, "message": str(error)}
    return {"raised": None, "message": None}


def _note(file: Path, step: int) -> None:
    file.write_text(str(step))


def _leave_with_the_caller() -> NoReturn:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written; it ends when the process at the other end does
    os._exit(1)


if __name__ == "__main__":
    main()
