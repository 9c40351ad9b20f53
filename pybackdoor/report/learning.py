"""Fills the folder of an active-learning run: report.md and the picture of its error against oracle calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pybackdoor.active import LearningHistory
from pybackdoor.report.plots import plot_learning
from pybackdoor.report.tables import markdown, number


def write_learning(folder: Path, history: LearningHistory, invocation: str, *, target: str, inputs: dict[str, str]) -> None:
    """Writes report.md and, where any error was measured, learning.png."""
    calls = history.oracle_calls
    # the error on a round's new rows is that of the surrogate before it, at the calls spent by then
    before = [(calls[entry - 1], error) for entry, error in enumerate(history.fresh_rmse) if entry and error is not None]
    tested = [(spent, error) for spent, error in zip(calls, history.test_rmse, strict=True) if error is not None]
    curves = {
        name: (np.array([spent for spent, _ in points]), np.array([[error for _, error in points]]))
        for name, points in (("error on new rows", before), ("test error", tested))
        if points
    }
    if curves:
        plot_learning(folder / "learning.png", curves, target)
    (folder / "report.md").write_text(_markdown(history, invocation, bool(curves), inputs), encoding="utf-8")


def _markdown(history: LearningHistory, invocation: str, picture: bool, inputs: dict[str, str]) -> str:
    head = ["round", "rows", "oracle calls", "failures", "RMSE on the round's new rows, before the fit", "test RMSE", "largest test error", "seconds"]
    columns = (
        history.rows,
        history.oracle_calls,
        history.failures,
        history.fresh_rmse,
        history.test_rmse,
        history.test_max_error,
        history.fit_seconds,
    )
    rows = [
        [str(entry), str(count), f"{calls:g}", str(failures), number(fresh), number(test), number(largest), f"{seconds:.1f}"]
        for entry, (count, calls, failures, fresh, test, largest, seconds) in enumerate(zip(*columns, strict=True))
    ]
    apart = f" The test set of {history.test_rows} rows cost {history.test_calls:g} calls apart." if history.test_rows else ""
    parts = [
        "# Active learning",
        f"Strategy {history.strategy}, seed {history.seed}; {history.oracle_calls[-1]:g} oracle calls, "
        f"{history.failures[-1]} points without a usable value.{apart}",
        markdown(head, rows),
        "![Error against oracle calls](learning.png)" if picture else "",
        "What is not proven: the error on new rows is a sample of the error over the domain, not a bound; search the result for local errors with "
        "`pybackdoor audit`.",
        "\n".join(f"- {role}: `{value}`" for role, value in inputs.items()),
        f"To run it again:\n\n```\n{invocation}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
