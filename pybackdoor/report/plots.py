"""The pictures: errors before and after, a slice through a backdoor, maximizers and their kinds, learning curves.

Each function draws from plain arrays and writes one PNG. No window system and no global state of matplotlib is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Array = npt.NDArray[np.float64]
COLORS = {
    "clean": "#0072b2",
    "poisoned, no shield": "#e69f00",
    "poisoned": "#d55e00",
    "repaired": "#009e73",
    "disagreement": "#0072b2",
    "maximizers": "#cc79a7",
    "random": "#999999",
    "error on new rows": "#0072b2",
    "test error": "#d55e00",
}
DASHES = {"poisoned, no shield": "-.", "repaired": "--", "random": "--", "maximizers": "-."}
MARKERS = {
    "poisoned": ("X", "#d55e00"),
    "mislabeled": ("P", "#cc79a7"),
    "model_mismatch": ("s", "#e69f00"),
    "kink": ("^", "#56b4e9"),
    "underfit": ("v", "#009e73"),
    "coverage_gap": ("o", "#0072b2"),
    "": (".", "#bbbbbb"),
}
SMALLEST = 1e-12


@dataclass(frozen=True)
class Boundary:
    """The lines of the decision in the picture of maximizers: an error is significant above `error`, data are dense above `crowding`."""

    error: float
    crowding: float


def plot_test_errors(path: Path, errors: Mapping[str, Array], target: str) -> None:
    """Share of test points whose absolute error exceeds a size, one curve a model: errors {name: [N]} in target units."""
    with _axes(path) as axes:
        for name, values in errors.items():
            size = np.sort(np.maximum(np.abs(values), SMALLEST))
            share = 1.0 - np.arange(size.size) / size.size
            rmse = float(np.sqrt(np.mean(np.square(values))))
            axes.plot(size, share, label=f"{name} (RMSE {rmse:.3g})", **_style(name))
        largest = max(float(np.max(np.abs(values))) for values in errors.values())
        axes.set(
            xscale="log",
            yscale="log",
            xlabel=f"absolute error ({target})",
            ylabel="share of test points with a larger error",
            xlim=(max(largest, SMALLEST) * 1e-5, max(largest, SMALLEST) * 1.5),
            title="Test error",
        )
        axes.legend(loc="lower left")


def plot_slice(
    path: Path,
    positions: Array,
    curves: Mapping[str, Array],
    *,
    feature: str,
    target: str,
    ball: tuple[float, float],
    shell: tuple[float, float] | None = None,
    log: bool = False,
) -> None:
    """Models and oracle along one feature through a backdoor: curves {name: [N]} at positions [N]; ball and shell: intervals of the feature."""
    with _axes(path) as axes:
        if shell is not None:
            axes.axvspan(*shell, color="#0072b2", alpha=0.08, linewidth=0, label="shield")
        axes.axvspan(*ball, color="#d55e00", alpha=0.15, linewidth=0, label="ball")
        for name, values in curves.items():
            axes.plot(positions, values, label=name, **_style(name))
        axes.set(
            xlabel=f"{feature} (other features at the ball's center)",
            ylabel=target,
            title="Slice through the backdoor",
            xlim=(float(positions.min()), float(positions.max())),
            xscale="log" if log else "linear",
        )
        axes.legend(loc="best")


def plot_region(
    path: Path,
    positions: Array,
    model: Array,
    *,
    rows: Mapping[str, tuple[Array, Array]],
    feature: str,
    target: str,
    ball: tuple[float, float],
    title: str,
    log: bool = False,
) -> None:
    """A model [N] along one feature at positions [N] through a region, with the labels of rows near: {name: (positions [M], labels [M])}."""
    with _axes(path) as axes:
        axes.axvspan(*ball, color="#d55e00", alpha=0.15, linewidth=0, label="region")
        for name, (places, labels) in rows.items():
            marker, color = ("x", "#d55e00") if name.startswith("rejected") else (".", "#777777")
            axes.scatter(places, labels, s=18, marker=marker, color=color, linewidth=1, label=f"{name} ({places.size})", zorder=3)
        axes.plot(positions, model, label="model", color="#0072b2", linewidth=1.6)
        axes.set(
            xlabel=f"{feature} (model: other features at the region's center)",
            ylabel=target,
            title=title,
            xscale="log" if log else "linear",
            xlim=(float(positions.min()), float(positions.max())),
        )
        axes.legend(loc="best")


def plot_maximizers(path: Path, errors: Array, crowding: Array, kinds: Sequence[str], *, boundary: Boundary | None, target: str) -> None:
    """Local error maximizers: |error| [M] against how densely rows lie around them [M] (1 is typical), marked by the kind of their region [M]."""
    with _axes(path) as axes:
        size, dense = np.maximum(np.abs(errors), SMALLEST), np.maximum(crowding, 1e-3)
        for kind, (marker, color) in MARKERS.items():
            chosen = np.array([each == kind for each in kinds], dtype=bool)
            if chosen.any():
                label = f"{kind.replace('_', ' ') or 'error not significant'} ({int(chosen.sum())})"
                axes.scatter(dense[chosen], size[chosen], marker=marker, color=color, s=30 if marker == "." else 60, zorder=3, label=label)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="density of training rows around it (1 = typical)",
            ylabel=f"absolute error ({target})",
            title="Local error maximizers",
        )
        if boundary is not None:
            _draw_boundary(axes, boundary)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        _plain_numbers(axes.xaxis)
        _plain_numbers(axes.yaxis)


def plot_learning(path: Path, curves: Mapping[str, tuple[Array, Array]], target: str) -> None:
    """RMSE against oracle calls: curves {name: (calls [K], errors [S, K])}; with several seeds S the median, and the range as a band."""
    with _axes(path) as axes:
        for name, (calls, errors) in curves.items():
            style = _style(name)
            label = name if errors.shape[0] == 1 else f"{name} (median and range of {errors.shape[0]} seeds)"
            axes.plot(calls, np.median(errors, axis=0), marker="o", markersize=4, label=label, **style)
            if errors.shape[0] > 1:
                axes.fill_between(calls, errors.min(axis=0), errors.max(axis=0), color=style["color"], alpha=0.2, linewidth=0)
        axes.set(yscale="log", xlabel="oracle calls", ylabel=f"RMSE ({target})", title="Error against oracle calls")
        _plain_numbers(axes.yaxis)
        axes.legend(loc="upper right")


def _draw_boundary(axes: Axes, boundary: Boundary) -> None:
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    right, top = max(right, 2 * boundary.crowding), max(top, 2 * boundary.error)
    axes.set(xlim=(min(axes.get_xlim()[0], boundary.crowding / 2), right), ylim=(min(axes.get_ylim()[0], boundary.error / 2), top))
    axes.plot(
        [boundary.crowding, boundary.crowding, right],
        [top, boundary.error, boundary.error],
        color="black",
        linewidth=1,
        linestyle=":",
        label="suspicious beyond",
    )
    axes.fill_between([boundary.crowding, right], boundary.error, top, color="#d55e00", alpha=0.07, linewidth=0, zorder=0)


def _plain_numbers(axis: Axis) -> None:
    """0.2 rather than 2 x 10^-1 on a logarithmic axis, at 1, 2 and 5 of each decade when these are few. Called when the limits are set."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 1e3 * low else (1.0,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _style(name: str) -> dict[str, Any]:
    if name == "oracle":
        return {"color": "black", "alpha": 0.3, "linewidth": 5.0}  # broad and pale: the curves that follow it stay visible on it
    return {"color": COLORS.get(name), "linestyle": DASHES.get(name, "-"), "linewidth": 1.6}


@contextmanager
def _axes(path: Path) -> Iterator[Axes]:
    """Axes to draw on; the picture is written when the block ends."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.grid(True, which="major", alpha=0.3)
    yield axes
    figure.savefig(path, dpi=130)
