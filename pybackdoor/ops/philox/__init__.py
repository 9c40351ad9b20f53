"""Random numbers as a function of (seed, purpose, stream, index): Philox 4x32-10, the same on every backend, thread and chunk.

Nothing here has state. Two draws with different seed, purpose or stream are independent; a longer draw begins with the shorter one.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch

from pybackdoor.errors import InputError
from pybackdoor.ops.philox import reference

__all__ = ["normals", "permutation", "uniforms"]

_LIMITS = {"count": 2**62, "seed": 2**64, "stream": 2**32, "draw": 2**62}


def uniforms(count: int, *, seed: int, purpose: str, stream: int = 0) -> torch.Tensor:
    """`count` uniform numbers in [0, 1), multiples of 2^-53: [count] float64 on the CPU.

    seed: 0 .. 2^64 - 1; purpose: what the numbers are for, any text; stream: 0 .. 2^32 - 1, e.g. the number of a network.
    Raises InputError when one of them is out of range.

    >>> uniforms(2, seed=1, purpose="start points").shape
    torch.Size([2])
    """
    _check(purpose, count=count, seed=seed, stream=stream)
    return torch.from_numpy(_uniforms(count, seed, purpose, stream))


def normals(count: int, *, seed: int, purpose: str, stream: int = 0) -> torch.Tensor:
    """`count` standard normal numbers by the Box-Muller transform of `uniforms`: [count] float64 on the CPU. Arguments as there."""
    _check(purpose, count=count, seed=seed, stream=stream)
    pairs = _uniforms(count + count % 2, seed, purpose, stream).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log1p(-pairs[:, 0])), 2 * np.pi * pairs[:, 1]
    return torch.from_numpy(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:count])


def permutation(count: int, *, seed: int, purpose: str, stream: int = 0, draw: int = 0) -> torch.Tensor:
    """The keyed bijection of 0 .. count - 1, entry by entry: [count] int64 on the CPU.

    draw: the number of the permutation within the stream, e.g. the epoch; the other arguments as for `uniforms`. Any entry can be computed
    by itself (`reference.bijection`), which is how kernels read a minibatch. It is a pseudorandom permutation of 8 Feistel rounds: of the many
    possible permutations of more than a few elements it reaches 2^256 at most.
    """
    _check(purpose, count=count, seed=seed, stream=stream, draw=draw)
    keys = reference.round_keys(np.array([draw], dtype=np.uint64), seed=seed, purpose=purpose, stream=stream)
    return torch.from_numpy(reference.bijection(np.arange(count, dtype=np.uint64), count, keys).astype(np.int64))


def _uniforms(count: int, seed: int, purpose: str, stream: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    index = np.arange((count + 1) // 2, dtype=np.uint64)
    words = reference.blocks(index, seed=seed, purpose=purpose, stream=stream).reshape(-1, 2)
    whole = ((words[:, 0] >> np.uint64(5)) << np.uint64(26)) | (words[:, 1] >> np.uint64(6))
    return (whole.astype(np.float64) * 2.0**-53)[:count]


def _check(purpose: str, **numbers: int) -> None:
    if not isinstance(purpose, str) or not purpose:
        raise InputError(f"purpose: got {purpose!r}; a non-empty text that says what the random numbers are for is needed")
    for name, value in numbers.items():
        try:
            whole = operator.index(value)
        except TypeError as error:
            raise InputError(f"{name}: got {value!r}; a whole number is needed") from error
        if not 0 <= whole < _LIMITS[name]:
            raise InputError(f"{name}: got {value}; a whole number from 0 to {_LIMITS[name] - 1} is needed")
