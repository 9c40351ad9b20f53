"""Files and folders that appear whole or not at all: written beside their place, renamed when finished."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pybackdoor.errors import FileRefusedError

MARK = "run.json"


@contextmanager
def replaced_file(path: str | Path) -> Iterator[Path]:
    """A temporary sibling of `path`, with its suffix, to write to; it takes the place of `path` when the block ends well and is removed otherwise.

    The sibling is created on entry, so that a place that cannot be written is refused (FileRefusedError) before any work is done.
    """
    target = Path(path)
    if target.is_dir():
        raise FileRefusedError(f"{target}: is a folder; the name of a file is needed")
    partial = _sibling(target, suffix=target.suffix)
    try:
        partial.touch(exist_ok=False)
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replaced_folder(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary sibling folder of `path` to fill; it takes the place of `path` when the block ends well and is removed otherwise.

    The block must write `run.json` ({"program": "pybackdoor", ...}); the names of all files are added to it. A folder that stands at `path` is
    replaced when it is empty or holds nothing but the files its own `run.json` lists. Any other is refused (FileRefusedError), or with `force`
    moved aside to `path.old-N`: never deleted.
    """
    target = Path(path).resolve()
    foreign = target.exists() and not _is_ours(target)
    if foreign and not force:
        raise FileRefusedError(f"{path}: exists and holds files that pybackdoor did not write; name another folder, or use --force to move it aside")
    if target == Path.cwd():
        raise FileRefusedError(f"{path}: is the current folder; name a folder inside it")
    partial = _sibling(target)
    try:
        partial.mkdir()
    except OSError as error:
        raise _unwritable(Path(path), error) from error
    try:
        yield partial
        _list_files(partial)
        if foreign:
            os.replace(target, _unused(target))
        elif target.exists():
            old = _sibling(target)
            os.replace(target, old)
            os.replace(partial, target)
            shutil.rmtree(old)
            return
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` (UTF-8) to `path`, whole or not at all."""
    with replaced_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _sibling(target: Path, suffix: str = "") -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial{suffix}")


def _unused(target: Path) -> Path:
    number = 1
    while (aside := target.with_name(f"{target.name}.old-{number}")).exists():
        number += 1
    return aside


def _unwritable(path: Path, error: OSError) -> FileRefusedError:
    folder = path.resolve().parent
    why = f"the folder {folder} does not exist; create it" if not folder.exists() else f"cannot be written ({error.strerror or error})"
    return FileRefusedError(f"{path}: {why}; or name another place")


def _names(folder: Path) -> list[str]:
    return sorted(str(entry.relative_to(folder)) for entry in folder.rglob("*") if not entry.is_dir())


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = _names(folder)
    if not names:
        return True
    try:
        content = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("program") == "pybackdoor" and set(names) <= set(content.get("files", []))


def _list_files(folder: Path) -> None:
    content = json.loads((folder / MARK).read_text(encoding="utf-8"))
    content["files"] = _names(folder)
    (folder / MARK).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
