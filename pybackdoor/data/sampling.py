"""Labelled samples from an oracle."""

from __future__ import annotations

import math

import torch

from pybackdoor.data.designs import design
from pybackdoor.errors import InputError, OracleFailedError
from pybackdoor.ops.philox import normals
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records import EvaluationStatus, Samples
from pybackdoor.stages import staged

ROWS_PER_CALL = 1024


@staged("sample")
def sample(oracle: Oracle, rows: int, *, method: str = "sobol", seed: int = 0, noise: float = 0.0, progress: bool = False) -> Samples:
    """`rows` points of the oracle's domain by `design`, labelled by the oracle; spends `rows` value calls.

    noise: standard deviation, in target units, of independent Gaussian noise added to the labels (Philox).
    progress: show a bar when it takes longer than two seconds.
    Raises InputError for fewer than two rows or a negative noise, OracleFailedError naming the first row without a value, and why.
    """
    from tqdm import tqdm

    if not isinstance(rows, int) or rows < 2:
        raise InputError(f"sample: {rows!r} rows; a whole number of at least 2 is needed")
    if not (math.isfinite(noise) and noise >= 0):
        raise InputError(f"sample: noise {noise}; a standard deviation >= 0, in target units, is needed")
    x = design(oracle.domain, rows, method=method, seed=seed)
    parts = []
    with tqdm(total=rows, desc=f"sampling {oracle.name}", unit="row", delay=2, leave=False, disable=not progress) as bar:
        for first in range(0, rows, ROWS_PER_CALL):
            part = x[first : first + ROWS_PER_CALL]
            evaluation = oracle.evaluate(part)
            if not bool(evaluation.ok.all()):
                row = int((~evaluation.ok).nonzero()[0])
                why = EvaluationStatus(int(evaluation.status[row])).explanation
                raise OracleFailedError(f"sample: row {first + row}: oracle {oracle.name}: {why}")
            parts.append(evaluation.values)
            bar.update(part.shape[0])
    y = torch.cat(parts)
    if noise:
        y = y + noise * normals(rows, seed=seed, purpose="label noise").to(y)
    return Samples(oracle.domain, x.to(y.device), y)
