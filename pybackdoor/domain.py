"""The box a surrogate is meant for: names, bounds and scales of its features."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch

from pybackdoor.arrays import as_points
from pybackdoor.errors import InputError

SCALES = ("linear", "log")


@dataclass(frozen=True)
class Domain:
    """Names, bounds (natural units) and scale of `d` features, and the name of the target.

    People see natural units; searches run in the unit cube, `u = (x - lower) / (upper - lower)`, or the same in `log x` where the scale is "log".
    """

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    scales: tuple[str, ...] = ()
    target: str = "target"

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "lower", tuple(float(value) for value in self.lower))
        object.__setattr__(self, "upper", tuple(float(value) for value in self.upper))
        object.__setattr__(self, "scales", tuple(self.scales) or ("linear",) * len(self.names))
        if not self.names:
            raise InputError("domain: no features; at least one is needed")
        if not len(self.names) == len(self.lower) == len(self.upper) == len(self.scales):
            raise InputError(
                f"domain: {len(self.names)} names, {len(self.lower)} lower bounds, {len(self.upper)} upper bounds and "
                f"{len(self.scales)} scales; one of each a feature is needed"
            )
        for position, name in enumerate(self.names):
            if not isinstance(name, str) or not name:
                raise InputError(f"domain: feature {position} has the name {name!r}; a non-empty text is needed")
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise InputError(f"domain: duplicate features {', '.join(repeated)}; each name may occur once")
        if self.target in self.names:
            raise InputError(f"domain: the target {self.target!r} is also the name of a feature; rename one of them")
        for name, lower, upper, scale in zip(self.names, self.lower, self.upper, self.scales, strict=True):
            if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
                raise InputError(f"domain: feature {name!r} has lower {lower:g} and upper {upper:g}; finite numbers with lower < upper are needed")
            if scale not in SCALES:
                raise InputError(f"domain: feature {name!r} has the scale {scale!r}; one of {', '.join(SCALES)} is needed")
            if scale == "log" and lower <= 0:
                raise InputError(f"domain: feature {name!r} is on a log scale with lower {lower:g}; a positive bound is needed")

    @property
    def dimension(self) -> int:
        """The number of features, d."""
        return len(self.names)

    def to_unit(self, x: torch.Tensor) -> torch.Tensor:
        """Natural units [N, d] to the unit cube [N, d]; points outside the domain land outside the cube."""
        low, span, log = self._axes(x)
        return (torch.where(log, torch.log(torch.where(log, x, torch.ones_like(x))), x) - low) / span

    def to_natural(self, u: torch.Tensor) -> torch.Tensor:
        """The unit cube [N, d] to natural units [N, d]; exact at the bounds."""
        low, span, log = self._axes(u)
        straight = low + u * span
        x = torch.where(log, torch.exp(torch.where(log, straight, torch.zeros_like(straight))), straight)
        inside = (u >= 0) & (u <= 1)  # rounding must not push a point of the cube out of the domain
        lower, upper = self._bounds(u)
        return torch.where(inside, torch.minimum(torch.maximum(x, lower), upper), x)

    def gradient_to_unit(self, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """d/du from d/dx at the natural points `x`: [N, d] each."""
        _, span, log = self._axes(x)
        return gradient * torch.where(log, x * span, span.expand_as(x))

    def gradient_to_natural(self, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """d/dx from d/du at the natural points `x`: [N, d] each."""
        _, span, log = self._axes(x)
        return gradient / torch.where(log, x * span, span.expand_as(x))

    def contains(self, x: torch.Tensor) -> torch.Tensor:
        """Whether each point of [N, d], natural units, lies in the domain: [N], bool; NaN does not."""
        lower, upper = self._bounds(x)
        return ((x >= lower) & (x <= upper)).all(dim=1)

    def check_points(self, x: Any, name: str = "x", *, inside: bool = False) -> torch.Tensor:
        """`x` as finite float64 points [N, d]; with `inside`, also refuses points outside the domain, naming row, feature and value."""
        points = as_points(x, self.dimension, name, columns=self.names)
        if inside and points.shape[0]:
            lower, upper = self._bounds(points)
            outside = (points < lower) | (points > upper)
            if bool(outside.any()):
                row, column = outside.nonzero()[0].tolist()
                raise InputError(
                    f"{name}: row {row} has {self.names[column]} = {float(points[row, column]):g}, outside "
                    f"[{self.lower[column]:g}, {self.upper[column]:g}] ({int(outside.any(dim=1).sum())} rows in all)"
                )
        return points

    def to_dict(self) -> dict[str, Any]:
        """The form of `domain.json`."""
        features = [
            {"name": name, "lower": lower, "upper": upper, "scale": scale}
            for name, lower, upper, scale in zip(self.names, self.lower, self.upper, self.scales, strict=True)
        ]
        return {"features": features, "target": self.target}

    @classmethod
    def from_dict(cls, content: Any, source: str = "domain") -> Domain:
        """The domain written by `to_dict`; `source` names the file in messages."""
        if not isinstance(content, dict) or not isinstance(content.get("features"), list):
            raise InputError(f"{source}: a JSON object with a list 'features' is needed, each {{name, lower, upper, scale}}, and 'target'")
        features = content["features"]
        for position, feature in enumerate(features):
            missing = [key for key in ("name", "lower", "upper") if not isinstance(feature, dict) or key not in feature]
            if missing:
                raise InputError(f"{source}: feature {position} lacks {', '.join(missing)}; each needs name, lower, upper and optionally scale")
            for key in ("lower", "upper"):
                if isinstance(feature[key], bool) or not isinstance(feature[key], int | float):
                    raise InputError(f"{source}: feature {feature['name']!r} has {key} = {feature[key]!r}; a number is needed")
        target = content.get("target", "target")
        if not isinstance(target, str) or not target:
            raise InputError(f"{source}: target is {target!r}; the name of the target column is needed")
        return cls(
            tuple(feature["name"] for feature in features),
            tuple(feature["lower"] for feature in features),
            tuple(feature["upper"] for feature in features),
            tuple(feature.get("scale", "linear") for feature in features),
            target,
        )

    def _bounds(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lower, upper = _constants(self, like.dtype, like.device)[3:]
        return lower, upper

    def _axes(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        low, span, log = _constants(self, like.dtype, like.device)[:3]
        return low, span, log


@functools.lru_cache(maxsize=256)
def _constants(domain: Domain, dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Lowest coordinate, span, whether logarithmic, lower and upper bound of each axis: [d] each; made once, because a copy waits for the device."""
    low = [math.log(value) if scale == "log" else value for value, scale in zip(domain.lower, domain.scales, strict=True)]
    high = [math.log(value) if scale == "log" else value for value, scale in zip(domain.upper, domain.scales, strict=True)]
    span = [top - bottom for top, bottom in zip(high, low, strict=True)]
    with torch.inference_mode(False):  # what is kept must serve under autograd too
        rows = [torch.tensor(values, dtype=dtype, device=device) for values in (low, span, domain.lower, domain.upper)]
        log = torch.tensor([scale == "log" for scale in domain.scales], device=device)
    return rows[0], rows[1], log, rows[2], rows[3]
