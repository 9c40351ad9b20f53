"""Folders of results that appear whole or not at all: filled beside their place, renamed when finished."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pybackdoor.errors import FileRefusedError, PybackdoorError
from pybackdoor.files import as_path, read_json, write_json

MARK = "run.json"


@contextmanager
def replacing_folder(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path` to fill: moved to `path` when the block ends, removed when it raises.

    The block must write `run.json` ({"program": "pybackdoor", ...}); the names of all files are added to it. What stands at `path` is replaced when
    it is a folder that is empty or holds nothing but the files its own `run.json` lists. Anything else is refused (FileRefusedError), or with `force`
    moved aside to `path.old-N`: never deleted. The temporary folder is made on entry, so that a place that cannot be written is refused at once.
    """
    target = as_path(path).resolve()
    foreign = os.path.lexists(target) and not _is_ours(target)
    if foreign and not force:
        raise FileRefusedError(f"{path}: exists and is not a folder that pybackdoor alone has filled; name another, or use --force to move it aside")
    if target in (Path.cwd(), *Path.cwd().parents):
        raise FileRefusedError(f"{path}: is the current folder or one around it; name a folder inside it")
    partial = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    old = _unused(target) if foreign else partial.with_suffix(".old")
    try:
        with _refusing(path):
            partial.mkdir()
        yield partial
        with _refusing(path):
            write_json(partial / MARK, read_json(partial / MARK) | {"files": _names(partial)})
            _swap(partial, target, old)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if not foreign:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileRefusedError(
            f"{path}: cannot be written ({error.strerror or error}); give a place in a folder that exists, is writable and has room"
        ) from error


def _swap(partial: Path, target: Path, old: Path) -> None:
    standing = os.path.lexists(target)
    if standing:
        os.replace(target, old)
    try:
        os.replace(partial, target)
    except OSError:
        if standing:
            os.replace(old, target)
        raise


def _names(folder: Path) -> list[str]:
    return sorted(str(entry.relative_to(folder)) for entry in folder.rglob("*") if entry.is_symlink() or not entry.is_dir())


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = _names(folder)
    if not names:
        return not any(folder.iterdir())
    try:
        content = read_json(folder / MARK)
    except PybackdoorError:
        return False
    return isinstance(content, dict) and content.get("program") == "pybackdoor" and set(names) <= set(content.get("files", []))


def _unused(target: Path) -> Path:
    number = 1
    while os.path.lexists(aside := target.with_name(f"{target.name}.old-{number}")):
        number += 1
    return aside
