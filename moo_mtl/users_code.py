"""An exception that a user's own code raised, in one sentence that says in which line of it."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from traceback import FrameSummary, extract_tb

_PACKAGE = Path(__file__).parent
_LIBRARY = Path(sysconfig.get_path("stdlib"))


def users_line(error: BaseException) -> FrameSummary | None:
    """The last line that ``error`` passed of a file that is neither this package's nor installed, if there is one."""
    own = [frame for frame in extract_tb(error.__traceback__) if _is_users(Path(frame.filename))]
    return own[-1] if own else None


def sentence(error: BaseException) -> str:
    """An exception that is not ours, in one line that says where: in the user's code if it passed there."""
    frame = users_line(error) or extract_tb(error.__traceback__)[-1]
    first_line = str(error).partition("\n")[0]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}: {first_line}"


def _is_users(file: Path) -> bool:
    installed = not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
    return file.suffix == ".py" and not installed and not file.is_relative_to(_PACKAGE) and not file.is_relative_to(_LIBRARY)
