"""Takes what an audit rejected out of the data, or has it labelled anew."""

from __future__ import annotations

import torch

from pybackdoor.errors import InputError
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records import AuditReport, Samples
from pybackdoor.stages import staged

MODES = ("drop", "relabel")


@staged("repair")
def repair(samples: Samples, report: AuditReport, oracle: Oracle | None = None, *, mode: str = "drop") -> Samples:
    """`samples` without the report's suspicious rows ("drop"), or with the oracle's labels on them ("relabel", one value call a row).

    Rows keep their order. Raises InputError on an unknown mode, on row numbers that the samples do not have, when nothing would remain, and for
    "relabel" without an oracle; OracleFailedError when the oracle has no value at one of the rows.
    """
    if mode not in MODES:
        raise InputError(f"repair: mode {mode!r}; one of {', '.join(MODES)} is needed")
    rows = torch.tensor(report.suspicious_rows, dtype=torch.int64)
    if rows.numel() and int(rows.max()) >= samples.count:
        raise InputError(f"repair: the report names row {int(rows.max())}, the data have {samples.count} rows; give the file that was audited")
    if mode == "drop":
        keep = torch.ones(samples.count, dtype=torch.bool)
        keep[rows] = False
        if not bool(keep.any()):
            raise InputError("repair: every row is suspicious, nothing would remain; use mode 'relabel'")
        return samples.rows(keep)
    if oracle is None:
        raise InputError("repair: mode 'relabel' needs the oracle for the new labels; give one, or use mode 'drop'")
    labels = samples.y.clone()
    if rows.numel():
        labels[rows] = oracle.values(samples.x[rows], strict=False)
    return Samples(samples.domain, samples.x, labels)
