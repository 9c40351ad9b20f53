"""The record of an active-learning run, and the state between two of its rounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from pybackdoor.errors import InputError
from pybackdoor.models.network_surrogate import NetworkSurrogate
from pybackdoor.records import Samples


@dataclass(frozen=True)
class LearningHistory:
    """One entry a round, taken after its fit; entry 0 is the start's.

    rows: training rows; oracle_calls: value calls spent so far, all of them but those of the test set; failures: points so far that got no value;
    fit_seconds: of this round's fit; fresh_rmse: root mean square error, before the fit, on the round's space-filling rows, which the surrogate had
    not seen (None in round 0, or without such rows); test_rmse, test_max_error: on the test set, None without one.
    test_rows, test_calls: size and price of the test set; strategy, seed: of the run.
    """

    strategy: str
    seed: int
    rows: tuple[int, ...] = ()
    oracle_calls: tuple[float, ...] = ()
    failures: tuple[int, ...] = ()
    fit_seconds: tuple[float, ...] = ()
    fresh_rmse: tuple[float | None, ...] = ()
    test_rmse: tuple[float | None, ...] = ()
    test_max_error: tuple[float | None, ...] = ()
    test_rows: int = 0
    test_calls: float = 0.0

    @property
    def rounds(self) -> int:
        """Entries so far."""
        return len(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> LearningHistory:
        """What `to_dict` wrote."""
        known = {field.name for field in fields(cls)}
        if not isinstance(content, dict) or set(content) != known:
            raise InputError(f"learning history: a JSON object with exactly {', '.join(sorted(known))} is needed")
        entries: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
        return cls(**entries)


@dataclass(frozen=True)
class LearningState:
    """Everything the next round depends on: the rows, the fitted networks (two, or one when sampling at random), the history and the test set."""

    samples: Samples
    surrogates: tuple[NetworkSurrogate, ...]
    history: LearningHistory
    test: Samples | None = None

    @property
    def surrogate(self) -> NetworkSurrogate:
        """The network that is the result."""
        return self.surrogates[0]
