"""Figure scripts: finished runs in, files out. A script draws a figure, writes a table, or both.

Matplotlib looks up fonts, ticks and what goes into a PDF only while it writes. So a script names its venue, as ``VENUE``, and
is both called and written under the settings of that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from moo_mtl import storage
from moo_mtl.errors import InputError, MooMtlError
from moo_mtl.plotting import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(script: Path, records: Sequence[Any], place: Path) -> list[Path]:
    """What a script makes of the runs: ``place.pdf`` and ``place.png`` by ``draw``, ``place.tex`` by ``table``.

    Args:
        script: a Python file with a function ``draw(records) -> Figure``, ``table(records) -> str``, or both; one of
            ``style.VENUES`` as ``VENUE``, by default ``"screen"``.
        records: finished runs, as the functions receive them.
        place: where to, without a suffix.

    Raises:
        InputError: the script raises, has neither function, or one returns something else than it should; the
            venue is unknown.
        RunError: a file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("agg")
    storage.prepare(place.parent)
    module = _imported(script)
    written: list[Path] = []

    def write(suffix: str, save: Callable[[Path], object]) -> None:
        written.append(place.with_name(f"{place.name}.{suffix}"))
        storage.write(written[-1], save)

    if hasattr(module, "draw"):
        with mpl.rc_context(style.rc(getattr(module, "VENUE", "screen"))):
            figure = _figure(script, module.draw, records)
            for suffix in ("pdf", "png"):
                write(suffix, partial(figure.savefig, format=suffix))
            _close(figure)
    if hasattr(module, "table"):
        text = _table(script, module.table, records)
        write("tex", lambda part: part.write_text(text, encoding="utf-8"))
    return written


def _imported(script: Path) -> Any:
    """The script as a module; its neighbours can be imported, as under ``python script.py``."""
    spec = spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise InputError(f"figures: {script} is not a Python file; its name must end in .py")
    module = module_from_spec(spec)
    sys.path.insert(0, str(script.parent))
    try:
        spec.loader.exec_module(module)
    except MooMtlError:
        raise
    except Exception as error:
        raise _raised(script, error) from error
    finally:
        sys.path.remove(str(script.parent))
    if not hasattr(module, "draw") and not hasattr(module, "table"):
        raise InputError(
            f"figures: {script} has no function draw(records); it receives the finished runs and returns a figure "
            "(or table(records), which returns LaTeX)"
        )
    return module


def _figure(script: Path, function: Any, records: Sequence[Any]) -> Figure:
    from matplotlib.figure import Figure

    try:
        figure = function(records)
        if not isinstance(figure, Figure):
            raise InputError(f"figures: draw in {script} returned {type(figure).__name__}, expected a matplotlib Figure")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once; each format would do it again
    except MooMtlError:
        raise
    except Exception as error:
        raise _raised(script, error) from error
    return figure


def _table(script: Path, function: Any, records: Sequence[Any]) -> str:
    try:
        text = function(records)
    except MooMtlError:
        raise
    except Exception as error:
        raise _raised(script, error) from error
    if not isinstance(text, str):
        raise InputError(f"figures: table in {script} returned {type(text).__name__}, expected LaTeX text")
    return text


def _raised(script: Path, error: Exception) -> InputError:
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(script.absolute())]
    where, first_line = f" in line {lines[-1]}" if lines else "", str(error).partition("\n")[0]
    return InputError(
        f"figures: {script} raised {type(error).__name__}{where}: {first_line}; the runs are kept, and the same command "
        "draws again"
    )


def _close(figure: Figure) -> None:
    import matplotlib.pyplot as plt

    plt.close(figure)
