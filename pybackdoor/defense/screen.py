"""A screen of the labels that costs no oracle call.

A second network is fitted robustly (Huber loss with a small threshold, few passes): labels that contradict the bulk of the data around them pull it
little, and keep a large residual. A localized backdoor is a dense group of rows whose residuals agree, so the score of a row is the mean residual of
its k nearest rows divided by the distance to the farthest of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pybackdoor.defense.noise import noise_scale
from pybackdoor.defense.proximity import Neighbourhood
from pybackdoor.models import FitConfig, NetworkSurrogate, fit
from pybackdoor.records import Samples
from pybackdoor.stages import staged

LABEL_SPAN = 3.0


@dataclass(frozen=True)
class Screen:
    """What the screen says of N rows.

    network: the robust second network; residuals [N] label - network; cluster_scores [N], large where neighbouring residuals agree and rows are
    dense;
    noise [N]: the scale of the residuals about each row, up to one factor, smooth over the domain; outlier_scores [N]: |residual| over the typical
    |residual| of the nearest rows, large for a row that stands alone.
    """

    network: NetworkSurrogate
    residuals: torch.Tensor
    cluster_scores: torch.Tensor
    noise: torch.Tensor
    outlier_scores: torch.Tensor


@staged("audit.screen")
def screen(samples: Samples, neighbourhood: Neighbourhood, *, neighbours: int = 20, seed: int = 0, progress: bool = False) -> Screen:
    """Fits the robust network to `samples` and scores every row; N >= 2. Deterministic in `seed`."""
    network = robust_network(samples, seed=seed, progress=progress)
    residuals = samples.y - network.values(samples.x)  # [N]
    distances, rows = neighbourhood.nearest_others(neighbours)  # [N, k] each
    near = residuals[rows]
    floor = float(residuals.abs().median()) + 1e-12 * float(samples.y.abs().max()) + 1e-300
    spacing = float(distances[:, -1].median())
    agreed = torch.cat([near, residuals[:, None]], dim=1).mean(dim=1).abs()
    cluster = agreed / torch.clamp(distances[:, -1], min=1e-3 * spacing + 1e-300)
    outlier = residuals.abs() / (near.abs().median(dim=1).values + floor)
    return Screen(network, residuals, cluster, noise_scale(samples.unit, samples.y - residuals, residuals), outlier)


def robust_network(samples: Samples, *, seed: int = 0, progress: bool = False) -> NetworkSurrogate:
    """A network that follows the bulk of the labels: Huber loss from a fiftieth of their spread on, about 20 passes, outlying labels clipped."""
    low, high = torch.quantile(
        samples.y[torch.linspace(0, samples.count - 1, min(samples.count, 100_000)).long()], torch.tensor([0.05, 0.95], dtype=torch.float64)
    ).tolist()
    span = LABEL_SPAN * (high - low)
    clipped = Samples(samples.domain, samples.x, samples.y.clamp(low - span, high + span) if span > 0 else samples.y)
    config = FitConfig(
        widths=(64, 64, 64, 64), activation="relu", epochs=20, least_steps=600, learning_rate=8e-3, loss="huber", huber_delta=0.02, seed=seed
    )
    return fit(clipped, config, progress=progress)
