"""Every exception of the package: what was found, what is expected, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class MooMtlError(Exception):
    """Base of all errors raised on purpose; the command line prints its message alone and exits with code 2."""


class InputError(MooMtlError, ValueError):
    """An argument, a key or a file's content is not of the expected kind."""


class NonFiniteError(MooMtlError, ArithmeticError):
    """A loss or a gradient is NaN or infinite; the message names the task and the step."""


class SolverError(MooMtlError, RuntimeError):
    """A convex program has no answer, or the library asked to solve it gave none."""


class DataError(MooMtlError):
    """A data set is absent, or is not what its checksum promises."""


class RunError(MooMtlError):
    """A run's folder cannot be created, read or trusted."""


class DamageError(RunError):
    """The files of one run contradict each other or their checksums; other runs are not concerned."""


class BusyError(RunError):
    """Another process is computing this very run."""


class LostError(RunError):
    """One of several processes that train together cannot be reached; the run goes on from its last checkpoint."""


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a list, with the nearest match.

    >>> str(unknown("rule", "mgad", ["mgda", "equal"]))
    "unknown rule 'mgad'; did you mean 'mgda'? Known: equal, mgda"
    """
    names = sorted(known)
    spelt = {other.lower().replace("_", "-"): other for other in names}  # MGDA is mgda, and db_mtl is db-mtl
    near = [spelt[match] for match in get_close_matches(str(name).lower().replace("_", "-"), spelt, n=1)]
    if near and len(names) > _A_SCREEN:
        return InputError(f"unknown {kind} {name!r}; did you mean {near[0]!r}?")
    hint = f"did you mean {near[0]!r}? Known" if near else "known"
    return InputError(f"unknown {kind} {name!r}; {hint}: {', '.join(names)}")


_A_SCREEN = 30  # names that are still listed beside the nearest one
