"""Measures how oracles converge and draws it: `python -m benchmarks.oracle_convergence [FAMILY ...] [--out docs/images]`.

A family is a module `benchmarks/convergence_FAMILY.py` with a function `curves() -> list[Curve]`. Its picture is `convergence_FAMILY.png`, one
panel an oracle that has sizes to grow; the same numbers are printed as a table for docs/oracles.md, with the order measured: the slope of the
median error between the first and the last size.
"""

from __future__ import annotations

import argparse
import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pybackdoor.domain import Domain
from pybackdoor.oracles import Oracle

ROOT = Path(__file__).resolve().parents[1]
FLOOR = 1e-17  # where an error of 0 is drawn


@dataclass(frozen=True)
class Curve:
    """Errors of one oracle as something grows: `axis` ("cells", "paths"), and what the errors are of ("value", "gradient")."""

    oracle: str
    of: str
    axis: str
    sizes: tuple[float, ...]
    median: tuple[float, ...]
    largest: tuple[float, ...]

    @property
    def order(self) -> float:
        """The slope of the median error, -d log(error) / d log(size); NaN for a single size."""
        if len(self.sizes) < 2:
            return math.nan
        return math.log(max(self.median[0], FLOOR) / max(self.median[-1], FLOOR)) / math.log(self.sizes[-1] / self.sizes[0])


def curve(oracle: str, of: str, axis: str, sizes: Sequence[float], errors: Sequence[torch.Tensor]) -> Curve:
    """The curve of `errors`, one tensor a size; rows that are NaN in one are an error of the caller's."""
    if any(bool(torch.isnan(error).any()) for error in errors):
        raise ValueError(f"{oracle}, {of}: an error is NaN; compare rows that have a value")
    return Curve(oracle, of, axis, tuple(sizes), tuple(float(e.median()) for e in errors), tuple(float(e.max()) for e in errors))


def gradient_error(domain: Domain, x: torch.Tensor, ours: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The largest error over the features of a gradient in the unit cube: what it makes over the width of the domain, in units of the target [N]."""
    return domain.gradient_to_unit(x, ours - truth).abs().amax(dim=1)


Answers = Sequence[tuple[torch.Tensor, torch.Tensor]]  # values [N] and gradients [N, d], of each size


def curves_of(
    made: Oracle, axis: str, sizes: Sequence[float], x: torch.Tensor, answers: Answers, truth: tuple[torch.Tensor, torch.Tensor]
) -> list[Curve]:
    """Two curves, for `answers` and `truth` at x: errors of the values and of the gradients."""
    values = [(value - truth[0]).abs() for value, _ in answers]
    gradients = [gradient_error(made.domain, x, gradient, truth[1]) for _, gradient in answers]
    return [curve(made.name, "value", axis, sizes, values), curve(made.name, "gradient", axis, sizes, gradients)]


def families() -> list[str]:
    """The families that there are modules for."""
    return sorted(path.stem.removeprefix("convergence_") for path in Path(__file__).parent.glob("convergence_*.py"))


def table(curves: Sequence[Curve]) -> str:
    """The curves as a Markdown table."""
    lines = ["| oracle | errors of | sizes | median | largest | order |", "| --- | --- | --- | --- | --- | --- |"]
    for one in curves:
        sizes = ", ".join(f"{size:g}" for size in one.sizes) + f" {one.axis}"
        median, largest = (", ".join(f"{value:.1e}" for value in values) for values in (one.median, one.largest))
        lines.append(f"| {one.oracle} | {one.of} | {sizes} | {median} | {largest} | {'' if math.isnan(one.order) else f'{one.order:.1f}'} |")
    return "\n".join(lines)


def draw(curves: Sequence[Curve], path: Path) -> None:
    """One panel an oracle: medians as full lines, largest errors dashed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["font.size"] = 8
    panels = list(dict.fromkeys(one.oracle for one in curves if len(one.sizes) > 1))
    columns = min(3, len(panels))
    figure, axes = plt.subplots(-(-len(panels) // columns), columns, figsize=(3.2 * columns, 2.6 * -(-len(panels) // columns)), squeeze=False)
    for panel, ax in zip(panels, axes.flat, strict=False):
        for number, one in enumerate(one for one in curves if one.oracle == panel):
            _lines(ax, one, f"C{number}")
        ax.set_title(panel)
        ax.grid(alpha=0.3)
        ax.legend(frameon=False)
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _lines(ax: Any, one: Curve, colour: str) -> None:
    order = "" if math.isnan(one.order) else f", order {one.order:.1f}"
    ax.loglog(one.sizes, [max(e, FLOOR) for e in one.median], "o-", color=colour, markersize=3, label=f"{one.of}{order}")
    ax.loglog(one.sizes, [max(e, FLOOR) for e in one.largest], "--", color=colour, linewidth=0.8, label=f"{one.of}, largest")
    ax.set_xlabel(one.axis)
    ax.set_xticks(one.sizes, [f"{size:g}" for size in one.sizes])
    ax.minorticks_off()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints the families named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="*", choices=[*families(), []], help="default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args(arguments)
    for family in options.family or families():
        curves = importlib.import_module(f"benchmarks.convergence_{family}").curves()
        draw(curves, options.out / f"convergence_{family}.png")
        print(f"{family}\n\n{table(curves)}\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
