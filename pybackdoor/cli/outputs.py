"""What the commands write: files and folders claimed before any work is done, and the record of the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pybackdoor.errors import FileRefusedError
from pybackdoor.files import replacing, write_json
from pybackdoor.folders import MARK, replacing_folder
from pybackdoor.info import versions


@contextmanager
def samples_file(path: Path) -> Iterator[Path]:
    """`files.replacing` for a file of samples; another suffix is refused on entry, before any oracle is asked."""
    from pybackdoor.data.formats import FORMATS

    with _claimed(path, tuple(FORMATS)) as partial:
        yield partial


@contextmanager
def model_files(checkpoint: Path | None, onnx: Path | None = None) -> Iterator[tuple[Path | None, Path | None]]:
    """The same for a checkpoint and an ONNX file; one that is not wanted is None."""
    with _claimed(checkpoint, (".safetensors",)) as first, _claimed(onnx, (".onnx",)) as second:
        yield first, second


@contextmanager
def run_folder(path: Path, invocation: str, *, force: bool, inputs: dict[str, str], options: dict[str, Any]) -> Iterator[Path]:
    """`folders.replacing_folder` with `run.json`: the command, its options, versions and input hashes."""
    with replacing_folder(path, force=force) as folder:
        write_json(folder / MARK, {"program": "pybackdoor", "command": invocation, "options": options, "inputs": inputs, "versions": versions()})
        yield folder


@contextmanager
def _claimed(path: Path | None, suffixes: tuple[str, ...]) -> Iterator[Any]:
    if path is not None and path.suffix.lower() not in suffixes:
        raise FileRefusedError(f"{path}: ends in {path.suffix or 'no suffix'}; {' or '.join(suffixes)} is needed")
    with nullcontext() if path is None else replacing(path) as partial:
        yield partial
