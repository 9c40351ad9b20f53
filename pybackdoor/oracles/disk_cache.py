"""An oracle that remembers its answers in a file, across runs and between processes."""

from __future__ import annotations

import hashlib
import json
import os

import torch

from pybackdoor.oracles.answer_file import AnswerFile
from pybackdoor.oracles.identity import identity
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.oracles.wrappers import CachedOracle
from pybackdoor.records.evaluation import Evaluation


class DiskCachedOracle(CachedOracle):
    """As `CachedOracle`, in a file: a hit costs 0, bit for bit the answer once given, gradients too; failures are not kept.

    Answers belong to the oracle's name, domain, settings and code (see `identity`) and to the point's exact bytes. Several processes may use one file
    at once, for one oracle or many. `limit`: the most answers it holds; the oldest go first. version: your word for the state of the code,
    needed for functions that are not plain ones in a file.

    Raises FileRefusedError for a file that is none of ours or damaged, and InputError where a version is needed.
    """

    def __init__(self, inner: Oracle, path: str | os.PathLike[str], *, version: str | None = None, limit: int = 1_000_000) -> None:
        super().__init__(inner)
        words = json.dumps(identity(inner, version), sort_keys=True)
        self._oracle = hashlib.blake2b(words.encode(), digest_size=16).digest()
        self._file = AnswerFile(path, limit=limit)

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        keys = dict.fromkeys(row.tobytes() for row in x.cpu().contiguous().numpy())
        kept = self._file.read(self._oracle, list(keys), x.shape[1])
        self._rows = {
            key: (value, error, None if slopes is None else torch.tensor(slopes, dtype=torch.float64)) for key, (value, error, slopes) in kept.items()
        }
        return super()._evaluate(x, gradient)

    def _remember(self, keys: list[bytes], asked: Evaluation) -> dict[bytes, int]:
        failed = super()._remember(keys, asked)
        rows = {key: self._rows[key] for key in keys if key not in failed}
        self._file.write(
            self._oracle,
            {key: (value, error, None if slopes is None else tuple(slopes.tolist())) for key, (value, error, slopes) in rows.items()},
        )
        return failed
