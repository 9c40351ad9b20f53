"""The state of a learning run between two rounds, on disk, so that an interrupted run goes on without loss."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pybackdoor.active import LearningHistory, LearningState
from pybackdoor.data import read_samples, write_samples
from pybackdoor.errors import FileRefusedError, InputError
from pybackdoor.files import read_json, write_json
from pybackdoor.folders import MARK, replacing_folder
from pybackdoor.models import save_model
from pybackdoor.models.checkpoint import load_checkpoint


class SavedRun:
    """The folder `DIR.unfinished` beside the run's DIR: written whole after every round, removed when the run is done.

    identity: inputs and options of the run, plain JSON; a folder saved by another run is refused rather than continued.
    """

    def __init__(self, out: Path, identity: dict[str, Any]) -> None:
        self.folder = out.resolve().with_name(f"{out.resolve().name}.unfinished")
        self.identity = identity

    def load(self) -> LearningState | None:
        """The state saved last, or None when there is none. Raises InputError when another command left it, FileRefusedError when it is damaged."""
        if not self.folder.exists():
            return None
        content = read_json(self.folder / MARK, kind="saved run (JSON)")
        if not isinstance(content, dict) or not isinstance(content.get("networks"), int) or not 0 < content["networks"] <= 2:
            raise FileRefusedError(f"{self.folder}: is not the saved state of a run; remove it to begin anew")
        if content.get("identity") != plain(self.identity):
            raise InputError(
                f"{self.folder}: is the saved state of a run with other inputs or options; give the same to go on, or remove it to begin anew"
            )
        samples = read_samples(self.folder / "samples.parquet")
        test = read_samples(self.folder / "test.parquet") if (self.folder / "test.parquet").exists() else None
        surrogates = tuple(load_checkpoint(self.folder / f"network{number}.safetensors") for number in range(content["networks"]))
        return LearningState(samples, surrogates, LearningHistory.from_dict(content.get("history", {})), test)

    def save(self, state: LearningState, invocation: str) -> None:
        """Replaces what was saved before."""
        with replacing_folder(self.folder) as partial:
            write_samples(partial / "samples.parquet", state.samples)
            if state.test is not None:
                write_samples(partial / "test.parquet", state.test)
            for number, surrogate in enumerate(state.surrogates):
                save_model(partial / f"network{number}.safetensors", surrogate)
            write_json(
                partial / MARK,
                {
                    "program": "pybackdoor",
                    "command": invocation,
                    "identity": self.identity,
                    "networks": len(state.surrogates),
                    "history": state.history.to_dict(),
                },
            )

    def remove(self) -> None:
        """Forgets the run: it is done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def plain(content: Any) -> Any:
    """`content` as JSON gives it back: tuples as lists."""
    if isinstance(content, dict):
        return {name: plain(value) for name, value in content.items()}
    return [plain(value) for value in content] if isinstance(content, list | tuple) else content
