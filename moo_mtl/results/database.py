"""The SQLite file beside the run folders, and how it keeps to what they say."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from moo_mtl.errors import DamageError, RunError
from moo_mtl.results.row import COLUMNS, FINAL, OPEN, SCHEMA, VERSION, Numbers, Row, config_of, read, waiting
from moo_mtl.runs import Run

FILE = "results.sqlite"
PATIENCE = 30.0  # seconds to wait for another writer

Value = TypeVar("Value")


@dataclass(frozen=True)
class Database:
    """The database of a runs folder. A connection lasts for one call, and a file is made anew while there is none.

    Attributes:
        root: the folder that holds ``<experiment>/<hash>/``.
        say: told what was made anew, and why.
    """

    root: Path
    say: Callable[[str], None] = lambda line: None

    @property
    def file(self) -> Path:
        return self.root / FILE

    def enrol(self, runs: Iterable[Run]) -> None:
        """Enter runs that are about to be computed.

        Raises:
            RunError: the database cannot be written (so for all methods).
        """
        self._enter([(waiting(run), {}) for run in runs])

    def record(self, ended: Iterable[tuple[Run, str]]) -> None:
        """Enter what the runs' folders say now; with each run the error that it met, in case its folder does not say it."""
        self._enter([read(run, error) for run, error in ended])

    def complete(self, runs: Iterable[Run]) -> None:
        """Enter those of the runs that the database does not know to be finished or failed."""
        final = self._sound(lambda: set(self._named(FINAL)))
        self.record((run, "") for run in runs if (run.folder.parent.name, run.folder.name) not in final)

    def refresh(self) -> None:
        """Look again at every run not known to be finished or failed; a driver that was killed may have missed its end."""
        begun = [Run(self.root / experiment / hash_, {}) for experiment, hash_ in self._sound(lambda: self._named(OPEN))]
        self.record((run, "") for run in map(_configured, begun) if run is not None)

    def rebuild(self, *, unless_there: bool = False) -> int:
        """Make the database anew from the run folders; the answer is how many there are.

        Args:
            unless_there: do nothing, and answer 0, if another process has made one in the meantime.
        """
        with self._alone():
            if unless_there and self._is_there():
                return 0
            part = self.file.with_name(f".part-{FILE}")
            part.unlink(missing_ok=True)
            folders = sorted(file.parent for file in self.root.glob("*/*/status.json"))
            runs = [run for run in (_configured(Run(folder, {})) for folder in folders) if run is not None]
            with closing(_connected(part, create=True)) as connection:
                _insert(connection, map(read, runs))
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for beside in ("-wal", "-shm"):
                self.file.with_name(FILE + beside).unlink(missing_ok=True)
                part.with_name(part.name + beside).unlink(missing_ok=True)
            part.replace(self.file)
            return len(folders)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that can change nothing."""
        address = f"{self.file.absolute().as_uri()}?mode=ro"
        with self._among_others(), closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as connection:
            yield connection

    def _enter(self, entries: list[tuple[Row, Numbers]]) -> None:
        def write() -> None:
            with self._among_others(), closing(_connected(self.file)) as connection:
                _insert(connection, entries)

        if entries:
            self._sound(write)

    def _is_there(self) -> bool:
        try:
            _connected(self.file).close()
        except (_AbsentError, sqlite3.DatabaseError):
            return False
        return True

    def _named(self, states: Sequence[str]) -> list[tuple[str, str]]:
        """Experiment and hash of the runs in some states."""
        among = ", ".join("?" * len(states))
        with self._among_others(), closing(_connected(self.file)) as connection:
            return connection.execute(f"SELECT experiment, hash FROM runs WHERE state IN ({among})", tuple(states)).fetchall()

    def _sound(self, action: Callable[[], Value]) -> Value:
        """The action's value; where the file turns out to be damaged, it is made anew and the action done again."""
        try:
            return action()
        except _AbsentError as error:
            count = self.rebuild(unless_there=True)
            if count:
                self.say(f"{self.file} {error}; it has been made from {count} run folders")
            return action()
        except sqlite3.DatabaseError as error:
            if _cannot_write(error):
                raise RunError(f"cannot write {self.file}: {error}; the runs themselves are kept in their folders") from error
            count = self.rebuild()
            self.say(f"{self.file} was damaged ({error}); it has been made anew from {count} run folders")
            return action()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No connection but one's own: others would go on writing to a file that nobody reads any more."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._lock.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except (OSError, sqlite3.OperationalError) as error:
            raise RunError(f"cannot write {self.file}: {error}; the runs themselves are kept in their folders") from error

    @contextmanager
    def _among_others(self) -> Iterator[None]:
        """Nobody makes the file anew meanwhile. Where no lock can be made, in a folder that is only read, none is needed."""
        try:
            lock = os.open(self._lock, os.O_RDONLY | os.O_CREAT, 0o666)
        except OSError:
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
        finally:
            os.close(lock)

    @property
    def _lock(self) -> Path:
        return self.root / f".{FILE}.lock"


class _AbsentError(Exception):
    """There is no database of this version's columns."""


def _connected(file: Path, *, create: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if create:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif found != VERSION:
            raise _AbsentError("was of another version" if found else "was not there")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _insert(connection: sqlite3.Connection, entries: Iterable[tuple[Row, Numbers]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for row, numbers in entries:
        (run,) = connection.execute(_UPSERT, row).fetchone()
        connection.execute("DELETE FROM metrics WHERE run = ?", (run,))
        connection.executemany("INSERT INTO metrics VALUES (?, ?, ?)", [(name, run, value) for name, value in numbers.items()])
    connection.execute("COMMIT")


_UPSERT = """
INSERT INTO runs ({names}) VALUES ({places})
ON CONFLICT (experiment, hash) DO UPDATE SET {changes} RETURNING id""".format(
    names=", ".join(f'"{name}"' for name in COLUMNS),
    places=", ".join(f":{name}" for name in COLUMNS),
    changes=", ".join(f'"{name}" = excluded."{name}"' for name in COLUMNS),
)


def _configured(run: Run) -> Run | None:
    """The run with its configuration; one that has no folder yet is left out, and one without a readable file has none."""
    if not (run.folder / "status.json").exists():
        return None
    try:
        return config_of(run)
    except DamageError:
        return run


def _cannot_write(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is whole and only writing fails: the disk is full, another writer does not let go, no permission."""
    hopeless = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    return isinstance(error, sqlite3.OperationalError) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in hopeless
