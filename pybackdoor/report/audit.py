"""Fills an audit's folder: verdict.json, report.md and the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pybackdoor.models.surrogate import Surrogate
from pybackdoor.records import AuditReport, Region, Samples
from pybackdoor.report.markdown import audit_markdown
from pybackdoor.report.plots import Boundary, plot_maximizers, plot_region
from pybackdoor.report.verdict import write_verdict

POINTS = 401


def write_audit(folder: Path, report: AuditReport, invocation: str, *, samples: Samples | None = None, surrogate: Surrogate | None = None) -> None:
    """Writes verdict.json, report.md and what pictures the report allows into `folder`. Asks the oracle nothing."""
    write_verdict(folder / "verdict.json", report)
    pictures = []
    if report.maximizers.get("crowding"):
        target = samples.domain.target if samples is not None else surrogate.domain.target if surrogate is not None else "target"
        plot_maximizers(
            folder / "maximizers.png",
            np.asarray(report.maximizers["error"]),
            np.asarray(report.maximizers["crowding"]),
            report.maximizers["kind"],
            boundary=_boundary(report),
            target=target,
        )
        pictures.append(
            (
                "maximizers.png",
                "Local error maximizers by size of the error and density of the rows around them. "
                "What lies in the shaded corner is suspicious, and the labels near it were compared with the oracle.",
            )
        )
    if report.regions and surrogate is not None:
        feature = _draw_region(folder / "region.png", report, report.regions[0], surrogate, samples)
        pictures.append(("region.png", f"The worst region: the model along {feature} through its center, and the rows near."))
    (folder / "report.md").write_text(audit_markdown(report, invocation, pictures), encoding="utf-8")


def _boundary(report: AuditReport) -> Boundary | None:
    rule = report.rule
    if not rule.get("sparse_distance") or not rule.get("typical_distance"):
        return None
    return Boundary(rule["error_threshold"], rule["typical_distance"] / rule["sparse_distance"])


def _draw_region(path: Path, report: AuditReport, region: Region, surrogate: Surrogate, samples: Samples | None) -> str:
    """Draws the model along the feature that shows the region best, and returns that feature's name."""
    domain = surrogate.domain
    center = domain.to_unit(torch.tensor([[region.center[name] for name in domain.names]], dtype=torch.float64))  # [1, d]
    radius = region.radius or 0.05
    steps = 1.5 * radius * torch.eye(domain.dimension, dtype=torch.float64)
    beyond = surrogate.values(domain.to_natural((center + steps).clamp(0, 1))) + surrogate.values(domain.to_natural((center - steps).clamp(0, 1)))
    axis = int(torch.argmax((beyond / 2 - surrogate.values(domain.to_natural(center.clamp(0, 1)))).abs()))
    line = center.repeat(POINTS, 1)
    line[:, axis] = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    along = domain.to_natural(line)
    reach = center.repeat(2, 1)
    reach[:, axis] += torch.tensor([-radius, radius], dtype=torch.float64)
    ball = domain.to_natural(reach.clamp(0, 1))[:, axis].tolist()
    rows = {} if samples is None else _rows_near(report, samples, center, radius, axis)
    plot_region(
        path,
        along[:, axis].numpy(),
        surrogate.values(along).numpy(),
        rows=rows,
        feature=domain.names[axis],
        target=domain.target,
        ball=(ball[0], ball[1]),
        log=domain.scales[axis] == "log",
        title=f"Worst region: {region.kind.replace('_', ' ')}",
    )
    return domain.names[axis]


def _rows_near(report: AuditReport, samples: Samples, center: torch.Tensor, radius: float, axis: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    near = torch.linalg.vector_norm(samples.unit - center, dim=1) <= 1.5 * radius
    rejected = torch.zeros(samples.count, dtype=torch.bool)
    rejected[list(report.suspicious_rows)] = True
    return {
        name: (samples.x[chosen, axis].numpy(), samples.y[chosen].numpy())
        for name, chosen in (("rows near", near & ~rejected), ("rejected rows", near & rejected))
    }
