"""Files as this package touches them: written whole or not at all, and never read beyond a stated size."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pybackdoor.errors import FileRefusedError, InputTypeError

JSON_LIMIT = 64 << 20


def as_path(value: Any, name: str = "path") -> Path:
    """`value` as a Path; raises InputTypeError for anything but a text or a path."""
    if not isinstance(value, str | os.PathLike):
        raise InputTypeError(f"{name}: got {type(value).__name__}; the path of a file is needed")
    return Path(os.fsdecode(value))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the folder of `path`, with its suffix: moved over `path` when the block ends, removed when it raises.

    Raises FileRefusedError when the folder is missing or cannot be written, or the disk is full.
    """
    target = as_path(path)
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(8)}.tmp{target.suffix}")
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise FileRefusedError(
            f"{target}: cannot be written ({error.strerror or error}); give a file in a folder that exists, is writable and has room"
        ) from error
    finally:
        with _ignoring_missing():
            temporary.unlink()


@contextmanager
def _ignoring_missing() -> Iterator[None]:
    try:
        yield
    except OSError:  # moved away already, or never made
        return


def checked_file(path: str | os.PathLike[str], *, max_bytes: int, kind: str) -> Path:
    """`path`, if it is a regular file, not empty and not longer than `max_bytes`; raises FileRefusedError otherwise.

    kind: what the file should be, for messages.
    """
    target = as_path(path)
    try:
        regular, there, size = target.is_file(), target.exists(), 0
        if regular:
            with target.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise _unreadable(target, error) from error
    if not regular:
        raise FileRefusedError(f"{target}: {'is not a file' if there else 'does not exist'}; a {kind} file is needed")
    if size == 0:
        raise FileRefusedError(f"{target}: is empty; a {kind} file is needed")
    if size > max_bytes:
        raise FileRefusedError(
            f"{target}: {size} bytes are more than the limit of {max_bytes} for a {kind} file; raise max_bytes if it is meant to be so large"
        )
    return target


def read_json(path: str | os.PathLike[str], *, kind: str = "JSON", max_bytes: int = JSON_LIMIT) -> Any:
    """The content of a JSON file; raises FileRefusedError when it is missing, too long or malformed."""
    target = checked_file(path, max_bytes=max_bytes, kind=kind)
    try:
        return json.loads(target.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(target, error) from error
    except (ValueError, RecursionError) as error:
        raise FileRefusedError(f"{target}: is not valid JSON ({one_line(error)}); a {kind} file is needed") from error


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes `content` as indented JSON, whole or not at all; NaN and infinity are refused (ValueError), JSON has none."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def one_line(error: object, length: int = 200) -> str:
    """The text of an exception on one line of at most `length` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 3] + "..."


def _unreadable(target: Path, error: Exception) -> FileRefusedError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
    return FileRefusedError(f"{target}: cannot be read ({reason}); check the path and its permissions")
