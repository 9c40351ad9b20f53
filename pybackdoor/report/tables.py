"""Tables as text: aligned for a terminal, or Markdown; and numbers with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # head, rows


def aligned(*tables: Table) -> str:
    """The tables one under another, with common column widths; the first column to the left, the others to the right."""
    lines = [list(line) for head, rows in tables for line in (head, *rows)]
    columns = max(len(line) for line in lines)
    widths = [max((len(line[column]) for line in lines if column < len(line)), default=0) for column in range(columns)]
    total = sum(widths) + 2 * (columns - 1)
    text: list[str] = []
    for head, rows in tables:
        text += ["-" * total, *(_line(line, widths) for line in (head, *rows))]
    return "\n".join([*text, "-" * total])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)])


def number(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "-" if value is None else f"{value:.4g}"


def with_interval(values: Sequence[float]) -> str:
    """The mean, with the half-width of its 95 % interval (Student) when there are several values."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.3g}"
    from scipy.stats import t

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.3g} ± {float(t.isf(0.025, len(values) - 1)) * deviation / math.sqrt(len(values)):.2g}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=False))]).rstrip()
