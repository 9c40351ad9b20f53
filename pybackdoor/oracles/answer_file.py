"""A file of answers (SQLite): safe for several processes at once, bounded, and checked before it is believed."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pybackdoor.errors import FileRefusedError, InputError
from pybackdoor.files import as_path

_log = logging.getLogger(__name__)
_APPLICATION, _VERSION = 0x70624F43, 1  # "pbOC" in the file's header, and the version of the table
_MAGIC = b"SQLite format 3\0"
_TABLE = (
    "CREATE TABLE answers (id INTEGER PRIMARY KEY, oracle BLOB NOT NULL, point BLOB NOT NULL, value REAL NOT NULL, error REAL NOT NULL, "
    "gradient BLOB, digest BLOB NOT NULL, UNIQUE (oracle, point))"
)
_SCHEMA = {("table", "answers", _TABLE), ("index", "sqlite_autoindex_answers_1", None)}
_WRITE = (
    "INSERT INTO answers (oracle, point, value, error, gradient, digest) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (oracle, point) DO UPDATE SET "
    "value = excluded.value, error = excluded.error, gradient = excluded.gradient, digest = excluded.digest WHERE excluded.gradient IS NOT NULL"
)

Answer = tuple[float, float, tuple[float, ...] | None]  # value, standard error, gradient


class AnswerFile:
    """Answers by (oracle, point), both bytes, in one file that is made when it does not exist.

    Every answer carries a digest of itself: damage is refused, not served. Holds at most `limit` answers: the oldest go first. The file is opened for
    each call, so that a fork or another thread may go on with it. Raises FileRefusedError, with the reason, for a file that is none of ours or
    damaged, and InputError on a limit below 1.
    """

    def __init__(self, path: str | os.PathLike[str], *, limit: int = 1_000_000) -> None:
        self.path = as_path(path, "oracle cache")
        if limit < 1:
            raise InputError(f"oracle cache {self.path}: a limit of {limit} answers; at least 1 is needed")
        self.limit = limit
        self.timeout = 60.0  # seconds to wait for another process that writes
        self._told = False
        with self._open():
            pass

    def read(self, oracle: bytes, points: Sequence[bytes], dimension: int) -> dict[bytes, Answer]:
        """Those of the points [d float64, as bytes] that the file has an answer for."""
        found: dict[bytes, Answer] = {}
        with self._open() as connection:
            for point in points:
                row = connection.execute(
                    "SELECT value, error, gradient, digest FROM answers WHERE oracle = ? AND point = ?", (oracle, point)
                ).fetchone()
                if row is not None:
                    found[point] = self._checked(oracle, point, row, dimension)
        return found

    def write(self, oracle: bytes, answers: Mapping[bytes, Answer]) -> None:
        """Keeps answers, all or none. Where that fails (a full disk, a file that may not be written) a warning says so, once, and that is all."""
        rows = []
        for point, (value, error, gradient) in answers.items():
            packed = None if gradient is None else struct.pack(f"<{len(gradient)}d", *gradient)
            rows.append((oracle, point, value, error, packed, _digest(oracle, point, value, error, packed)))
        with self._open() as connection:
            try:
                with _transaction(connection):
                    connection.executemany(_WRITE, rows)
                    connection.execute("DELETE FROM answers WHERE id <= (SELECT max(id) FROM answers) - ?", (self.limit,))
            except sqlite3.OperationalError as error:
                if not self._told:
                    _log.warning("oracle cache %s: answers are not kept (%s); make the file writable, or leave the cache out", self.path, error)
                self._told = True

    def _checked(self, oracle: bytes, point: bytes, row: tuple[object, ...], dimension: int) -> Answer:
        value, error, packed, digest = row
        sound = isinstance(value, float) and isinstance(error, float) and math.isfinite(value) and math.isfinite(error) and error >= 0
        sound = sound and (packed is None or (isinstance(packed, bytes) and len(packed) == 8 * dimension))
        if not sound or digest != _digest(oracle, point, value, error, packed):  # type: ignore[arg-type]
            raise self._refusal("an answer in it is damaged")
        gradient = None if packed is None else struct.unpack(f"<{dimension}d", packed)  # type: ignore[arg-type]
        return value, error, gradient  # type: ignore[return-value]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection to the file, made or checked."""
        connection = None
        try:
            self._look()
            connection = sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 20)
            for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
                connection.execute(f"PRAGMA {setting}")
            self._check_schema(connection)
            yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where damage has reached a name or a message
            raise self._refusal(str(error)) from error
        finally:
            if connection is not None:
                connection.close()

    def _look(self) -> None:
        """Refuses what SQLite should not even open."""
        try:
            if not self.path.exists():
                if not self.path.parent.is_dir():
                    raise self._refusal("its folder does not exist")
                return
            if not self.path.is_file():
                raise self._refusal("it is not a regular file")
            with self.path.open("rb") as file:
                if file.read(len(_MAGIC)) not in (b"", _MAGIC):
                    raise self._refusal("it is not a cache of oracle answers")
        except OSError as error:
            raise self._refusal(str(error.strerror or error)) from error

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            with _transaction(connection):  # whoever comes second finds the table made
                if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    connection.execute(_TABLE)
                    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {_VERSION}")
        if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            raise self._refusal("it is not a cache of oracle answers")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise self._refusal(f"it is of version {version}, this program writes version {_VERSION}")
        if set(connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()) != _SCHEMA:
            raise self._refusal("it holds something else than a table of answers")

    def _refusal(self, reason: str) -> FileRefusedError:
        return FileRefusedError(f"oracle cache {self.path}: {reason}; delete it, or name another file")


def _digest(oracle: bytes, point: bytes, value: float, error: float, gradient: bytes | None) -> bytes:
    content = b"".join((oracle, struct.pack("<q", len(point)), point, struct.pack("<dd", value, error), gradient or b""))
    return hashlib.blake2b(content, digest_size=16).digest()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
