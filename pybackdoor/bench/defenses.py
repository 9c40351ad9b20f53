"""The defenses that a sweep compares: each spends oracle calls on rows and a model, and names rows; none is told of the attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pybackdoor.loops import AuditConfig, audit
from pybackdoor.models import NetworkSurrogate
from pybackdoor.ops.philox import permutation
from pybackdoor.oracles import Oracle
from pybackdoor.records import Samples

TOLERANCE = 1e-3  # of the labels' standard deviation: how far a right label may lie from an oracle without noise


@dataclass(frozen=True)
class Finding:
    """What a defense says: the verdict, the rows it names, value calls spent, and calls until the first wrong label was confirmed (or None)."""

    poisoned: bool
    rows: tuple[int, ...]
    calls: float
    first: float | None


def audited(source: Oracle, surrogate: NetworkSurrogate, rows: Samples, seed: int, *, budget: int) -> Finding:
    """The audit of this package."""
    report = audit(source, surrogate, rows, AuditConfig(budget=budget, seed=seed))
    return Finding(report.poisoned, tuple(report.suspicious_rows), report.oracle_calls, report.oracle_calls_to_first_confirmation)


def random_rows(source: Oracle, surrogate: NetworkSurrogate, rows: Samples, seed: int, *, budget: int) -> Finding:
    """The baseline: compares as many rows, drawn at random, as there are calls; it names the wrong ones among them, and knows of no other."""
    drawn = permutation(rows.count, seed=seed, purpose="sweep.random rows")[:budget]
    wrong = (source.values(rows.x[drawn], strict=False) - rows.y[drawn]).abs() > TOLERANCE * float(rows.y.std())
    places = wrong.nonzero()[:, 0].tolist()
    return Finding(bool(places), tuple(drawn[wrong].tolist()), float(drawn.numel()), float(places[0] + 1) if places else None)


DEFENSES: dict[str, Callable[[Oracle, NetworkSurrogate, Samples, int], Finding]] = {
    "audit_500": partial(audited, budget=500),
    "audit_250": partial(audited, budget=250),
    "random_500": partial(random_rows, budget=500),
}
