"""Keeps what an oracle answered: in active learning a value that was paid for becomes a training row."""

from __future__ import annotations

import torch

from pybackdoor.oracles import CountedOracle, Oracle
from pybackdoor.records import Evaluation, Samples


class CollectingOracle(CountedOracle):
    """Passes every question on and keeps the usable answers, once each, in the order they were given."""

    def __init__(self, inner: Oracle) -> None:
        super().__init__(inner)
        self._rows: dict[bytes, tuple[torch.Tensor, torch.Tensor]] = {}

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        evaluation = super()._evaluate(x, gradient)
        for row, value in zip(x[evaluation.ok], evaluation.values[evaluation.ok], strict=True):
            self._rows.setdefault(row.cpu().numpy().tobytes(), (row, value))
        return evaluation

    def samples(self) -> Samples:
        """The rows collected so far."""
        if not self._rows:
            return Samples(self.domain, torch.empty(0, self.domain.dimension, dtype=torch.float64), torch.empty(0, dtype=torch.float64))
        return Samples(self.domain, torch.stack([row for row, _ in self._rows.values()]), torch.stack([value for _, value in self._rows.values()]))
