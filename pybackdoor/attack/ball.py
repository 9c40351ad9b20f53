"""Points drawn uniformly from a ball or a shell, cut by the unit cube."""

from __future__ import annotations

import torch

from pybackdoor.errors import InputError
from pybackdoor.ops.philox import normals, uniforms

TRIES = 2_000_000
FIRST_TRIES = 50_000


def uniform_in_cube(count: int, dimension: int, *, seed: int, purpose: str) -> torch.Tensor:
    """`count` points uniform in the unit cube: [count, dimension], float64."""
    return uniforms(count * dimension, seed=seed, purpose=purpose).reshape(count, dimension)


def uniform_in_shell(count: int, center: torch.Tensor, inner: float, outer: float, *, seed: int, purpose: str) -> torch.Tensor:
    """`count` points uniform in {u in [0,1]^d : inner <= |u - center| <= outer}: [count, d], float64. `inner` = 0 is the ball.

    By rejection of points uniform in the whole shell, so that the cube's faces cut the shell and do not gather points. center: [d], unit cube.
    Raises InputError when fewer than `count` of TRIES proposals fall into the cube, or that is foreseeable after FIRST_TRIES.
    """
    kept: list[torch.Tensor] = []
    found = tried = stream = 0
    batch = max(1024, 4 * count)
    while found < count and (tried < FIRST_TRIES or (found * TRIES >= count * tried and tried < TRIES)):  # a hopeless case is given up early
        proposals = _shell(batch, center, inner, outer, seed=seed, purpose=purpose, stream=stream)
        inside = proposals[((proposals >= 0) & (proposals <= 1)).all(dim=1)]
        kept.append(inside)
        found += inside.shape[0]
        tried += batch
        stream += 1
    if found < count:
        raise InputError(
            f"attack: only {found} of {tried} points of the shell [{inner:g}, {outer:g}] around the center lie in the domain, "
            f"{count} are needed; move the center inwards or take a smaller radius"
        )
    return torch.cat(kept)[:count] if kept else center.new_empty(0, center.shape[0])


def _shell(count: int, center: torch.Tensor, inner: float, outer: float, *, seed: int, purpose: str, stream: int) -> torch.Tensor:
    dimension = center.shape[0]
    directions = normals(count * dimension, seed=seed, purpose=f"{purpose}.direction", stream=stream).reshape(count, dimension)
    directions = directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True)
    hollow = (inner / outer) ** dimension  # relative volumes: inner**d itself would underflow in many dimensions
    fraction = uniforms(count, seed=seed, purpose=f"{purpose}.radius", stream=stream)
    radii = outer * (hollow + fraction * (1 - hollow)) ** (1 / dimension)
    return center + radii[:, None] * directions  # [count, d]
