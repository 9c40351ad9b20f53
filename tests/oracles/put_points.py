"""Points of the down-and-out put's domain for the tests: spread over it, and pushed into its corners."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

LOWER, UPPER = np.array([50.0, 10.0, 0.01, 0.002, 0.0]), np.array([200.0, 100.0, 1.0, 5.0, 0.1])


def region(count: int, seed: int = 3) -> np.ndarray:
    """Sobol points with strike above barrier, `count` of them."""
    points = LOWER + (UPPER - LOWER) * qmc.Sobol(5, seed=seed).random(2 ** int(np.ceil(np.log2(2 * count))))
    return points[points[:, 0] > points[:, 1]][:count]


def corners(count: int, seed: int = 1) -> np.ndarray:
    """Volatility 0.01, maturity 0.002, barriers just below the spot, strikes just above the barrier or near the forward: any of them together."""
    random = np.random.default_rng(seed)
    points = LOWER + (UPPER - LOWER) * random.random((4 * count, 5))
    size = len(points)
    points[:, 2] = np.where(random.random(size) < 0.5, 0.01 * 10 ** (2 * random.random(size) * random.integers(0, 2, size)), points[:, 2])
    points[:, 3] = np.where(random.random(size) < 0.5, 0.002 * 10 ** (3.39 * random.random(size) * random.integers(0, 2, size)), points[:, 3])
    points[:, 1] = np.where(random.random(size) < 0.4, 100 - 10 ** (1.5 - 8 * random.random(size)), points[:, 1])
    points[:, 0] = np.where(random.random(size) < 0.2, points[:, 1] + 10 ** (1.5 - 8 * random.random(size)), points[:, 0])
    points[:, 4] = random.choice([0.0, 0.1, 0.05, 1e-6], size)
    forward = random.random(size) < 0.3
    deviation = points[forward, 2] * np.sqrt(points[forward, 3])
    points[forward, 0] = 100 * np.exp(2 * deviation * random.standard_normal(forward.sum()) + points[forward, 4] * points[forward, 3])
    points = np.clip(points, LOWER, UPPER)
    return points[(points[:, 0] > points[:, 1]) & (points[:, 1] < 100)][:count]
