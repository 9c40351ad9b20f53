"""The demo's experiment as tables, pictures and a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pybackdoor.loops.comparison import LearningCurves
from pybackdoor.loops.experiment import CLEAN, POISONED, SHELLS, ExperimentConfig, Slice, Trial
from pybackdoor.report.audit import write_audit
from pybackdoor.report.plots import plot_learning, plot_slice, plot_test_errors
from pybackdoor.report.tables import Table, aligned, markdown, with_interval

COLUMNS = 6  # of the learning table; the picture shows all


def experiment_tables(trials: Sequence[Trial], learning: LearningCurves) -> list[Table]:
    """Errors of the models, findings of the audits, learning curves: one table each, with 95 % intervals when there are several trials."""
    return [_error_table(trials), _audit_table(trials), _learning_table(learning)]


def experiment_text(trials: Sequence[Trial], learning: LearningCurves, seconds: float) -> str:
    """What the demo prints."""
    count = len(trials)
    return aligned(*experiment_tables(trials, learning)) + f"\n{count} seed{'' if count == 1 else 's'}, {seconds:.0f} seconds in all"


def write_experiment(
    folder: Path, trials: Sequence[Trial], learning: LearningCurves, view: Slice, config: ExperimentConfig, invocation: str, seconds: float
) -> None:
    """Writes report.md, the pictures, and the audits of the first trial into `folder`."""
    first = trials[0]
    target = first.surrogates[POISONED].domain.target
    plot_test_errors(folder / "test_errors.png", {name: errors.numpy() for name, errors in first.test_errors.items()}, target)
    plot_slice(
        folder / "slice.png",
        view.positions.numpy(),
        {name: values.numpy() for name, values in view.curves.items()},
        feature=view.feature,
        target=target,
        ball=view.ball,
        shell=view.shell,
        log=view.log,
    )
    plot_learning(folder / "learning.png", {name: (learning.calls.numpy(), errors.numpy()) for name, errors in learning.errors.items()}, target)
    for name, detection in first.detections.items():
        (folder / f"audit-{name}").mkdir()
        write_audit(folder / f"audit-{name}", detection.report, invocation, surrogate=first.surrogates[name])
    (folder / "report.md").write_text(_markdown(trials, learning, config, invocation, seconds), encoding="utf-8")


def _error_table(trials: Sequence[Trial]) -> Table:
    shells = [f"RMSE {inner:g}-{outer:g} r" for inner, outer in SHELLS]
    head = ["errors of the model", "test RMSE", "maximum", "in-ball mean", "in-ball RMSE", *shells]
    rows = []
    for name in trials[0].errors:
        each = [trial.errors[name] for trial in trials]
        rows.append(
            [
                name,
                *(with_interval([pick(errors) for errors in each]) for pick in _PICKS),
                *(with_interval([errors.shells[index] for errors in each]) for index in range(len(SHELLS))),
            ]
        )
    return head, rows


_PICKS: tuple[Callable[..., float], ...] = (
    lambda errors: errors.test_rmse,
    lambda errors: errors.maximum,
    lambda errors: errors.ball,
    lambda errors: errors.ball_rmse,
)


def _audit_table(trials: Sequence[Trial]) -> Table:
    head = ["audit of", "poison found", "suspicious", "precision", "recall", "oracle calls", "calls to first", "seconds"]
    rows = []
    for name in trials[0].detections:
        each = [trial.detections[name] for trial in trials]
        found = sum(detection.report.poisoned for detection in each)
        firsts = [calls for detection in each if (calls := detection.report.oracle_calls_to_first_confirmation) is not None]
        rows.append(
            [
                name,
                ("yes" if found else "no") if len(each) == 1 else f"{found} of {len(each)}",
                with_interval([float(len(detection.report.suspicious_rows)) for detection in each]),
                *(
                    ["-", "-"]
                    if name == CLEAN
                    else [with_interval([detection.precision for detection in each]), with_interval([detection.recall for detection in each])]
                ),
                with_interval([detection.report.oracle_calls for detection in each]),
                with_interval(firsts) if firsts else "-",
                with_interval([detection.report.seconds for detection in each]),
            ]
        )
    return head, rows


def _learning_table(learning: LearningCurves) -> Table:
    shown = torch.linspace(0, learning.calls.shape[0] - 1, min(learning.calls.shape[0], COLUMNS)).round().long()
    head = ["learning, test RMSE at calls", *(f"{calls:g}" for calls in learning.calls[shown].tolist())]
    return head, [[name, *(with_interval(column.tolist()) for column in errors.T[shown])] for name, errors in learning.errors.items()]


def _markdown(trials: Sequence[Trial], learning: LearningCurves, config: ExperimentConfig, invocation: str, seconds: float) -> str:
    attack, first = config.attack, trials[0]
    stages = ", ".join(f"{name} {sum(trial.seconds[name] for trial in trials):.1f}" for name in first.seconds)
    parts = [
        "# A localized backdoor, found and removed",
        f"Oracle `{config.oracle}`; {config.rows} rows by Sobol points, {config.test_rows} uniform test points; network {config.fit.widths}, "
        f"{config.fit.activation}, {config.fit.epochs} epochs. Attack: {attack.poison} rows of a ball of radius {attack.radius:g} (unit cube) around "
        f'{first.truth.settings["center"]} with labels changed by "{attack.rule}" {attack.amount:g}, shielded by {attack.shield} right ones up to '
        f"radius {attack.outer_radius:g}. Audit budget {config.audit.budget} value calls. Seeds {', '.join(str(trial.seed) for trial in trials)}."
        + (" Numbers are means with 95 % intervals." if len(trials) > 1 else ""),
        *(markdown(*table) for table in experiment_tables(trials, learning)),
        f"Seconds: {stages}; {seconds:.1f} in all.",
        "![Share of test points with a larger error](test_errors.png)",
        "![Slice through the backdoor](slice.png)",
        "![Learning curves](learning.png)",
        "\n".join(f"- [Audit of the {name} data](audit-{name}/report.md)" for name in first.detections),
        'The attack and the defense follow X. Li, G. Kesidis, D. J. Miller, V. Lucic, "Backdoor Attack and Defense for Deep Regression", '
        "arXiv 2109.02381 (2021); sizes, settings and every number are ours.",
        f"To run it again:\n\n```\n{invocation}\n```",
    ]
    return "\n\n".join(parts) + "\n"
