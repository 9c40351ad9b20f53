"""An oracle in a file: what a user writes. Deflection (mm) of a cantilever of rectangular section under an end load, and its features' bounds."""

import numpy as np

DOMAIN = {
    "features": [
        {"name": "load", "lower": 100, "upper": 2000, "scale": "linear"},
        {"name": "length", "lower": 0.5, "upper": 2, "scale": "linear"},
        {"name": "width", "lower": 0.02, "upper": 0.1, "scale": "log"},
        {"name": "height", "lower": 0.05, "upper": 0.2, "scale": "log"},
    ],
    "target": "deflection",
}
MODULUS = 210e9


def deflection(x: np.ndarray) -> np.ndarray:
    """Load (N), length, width and height (m) of N beams [N, 4] to the deflection of their ends (mm) [N]: F l^3 / (3 E I), I = w h^3 / 12."""
    load, length, width, height = x.T
    return 1e3 * load * length**3 / (3 * MODULUS * width * height**3 / 12)
