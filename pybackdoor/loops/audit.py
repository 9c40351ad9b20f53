"""The audit: labels first, where a screen points for free, then the model's error maximizers, within one budget of oracle calls."""

from __future__ import annotations

import time

import torch

from pybackdoor.errors import InputError
from pybackdoor.loops.audit_config import AuditConfig
from pybackdoor.loops.audit_report import report
from pybackdoor.loops.label_audit import LabelAudit
from pybackdoor.loops.model_audit import ModelFindings, audit_model, typical_errors
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.oracles import BudgetedOracle, Oracle
from pybackdoor.records import AuditReport, Samples
from pybackdoor.stages import staged

OUTLIERS = 0.9  # of the label's remaining calls, before the neighbours of the wrong ones are looked at


@staged("audit")
def audit(
    oracle: Oracle, surrogate: Surrogate | None = None, samples: Samples | None = None, config: AuditConfig | None = None, *, progress: bool = False
) -> AuditReport:
    """What contradicts the oracle, in the labels of `samples`, in `surrogate`, or in both. config: default `AuditConfig()`.

    Order of spending: a few random rows for a provisional label tolerance (none when `label_error` is declared); the clusters the screen suspects,
    each probed until confirmed or refuted and, if confirmed, grown to all its rows; the other random rows (certificate, tolerance, typical model
    error); rows that stand alone, and the neighbours of the wrong ones; the search of error maximizers, of which the suspicious ones have the labels
    near them compared.
    Never spends more than `config.budget` value calls. An oracle that fails at some points is counted and reported; an audit that could conclude
    nothing is INCONCLUSIVE; Ctrl-C gives an INTERRUPTED report of what is known by then.
    Same inputs and seed, same report but for `seconds`. Raises InputError when neither samples nor a surrogate is given, on different domains, and
    on fewer than two rows.
    """
    config = config or AuditConfig()
    if samples is None and surrogate is None:
        raise InputError("audit: neither samples nor a surrogate was given; name what is to be audited")
    for name, audited in (("samples", samples), ("surrogate", surrogate)):
        if audited is not None and audited.domain != oracle.domain:
            raise InputError(
                f"audit: the domain of the {name} ({', '.join(audited.domain.names)}) is not the oracle's "
                f"({', '.join(oracle.domain.names)}), or its bounds or scales differ; bring both to the same domain"
            )
    if samples is not None and samples.count < 2:
        raise InputError(f"audit: {samples.count} rows; at least two are needed")
    budgeted = BudgetedOracle(oracle, config.budget)
    start = time.perf_counter()
    labels: LabelAudit | None = None
    model: ModelFindings | None = None
    errors = torch.zeros(0, dtype=torch.float64)
    interrupted = False
    try:
        if samples is not None:
            labels = LabelAudit(samples, budgeted, config, progress=progress)
            _audit_labels(labels, config, reserve=config.search_calls if surrogate is not None else 0)
        if surrogate is not None:
            errors = typical_errors(surrogate, budgeted, labels, config)
            model = audit_model(surrogate, budgeted, labels, config, errors, progress=progress)
    except KeyboardInterrupt:
        interrupted = True
    usable = errors.numel() if labels is None else int(labels.checks.known[labels.compared].sum())
    return report(budgeted, surrogate, labels, model, config, usable_random=usable, interrupted=interrupted, seconds=time.perf_counter() - start)


def _audit_labels(labels: LabelAudit, config: AuditConfig, *, reserve: int) -> None:
    """Spends the label's share: all but `reserve` calls."""
    if config.label_error is None:
        labels.pilot()
    random_left = int((~labels.checks.asked[labels.random_rows]).sum())
    labels.clusters(labels.oracle.remaining - random_left - reserve)
    labels.finish_random()
    labels.outside()
    labels.outliers(OUTLIERS * (labels.oracle.remaining - reserve))
    labels.around_outliers(labels.oracle.remaining - reserve)
