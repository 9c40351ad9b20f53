"""The random numbers of a Monte Carlo oracle: independent copies of one set of normal numbers, the same for all points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pybackdoor.errors import InputError
from pybackdoor.ops.philox.reference import purpose_word
from pybackdoor.oracles.normals import philox_normals, sobol_normals
from pybackdoor.oracles.sobol import BITS, DIMENSIONS, direction_numbers, scrambled

COPIES = 32
SMALLEST = 64  # paths of a copy
METHODS = ("sobol", "philox")


@dataclass(frozen=True)
class Draws:
    """`paths` paths of `dimensions` standard normal numbers in COPIES copies, which are independent of one another.

    method: "sobol", scrambled Sobol points (beyond 64 dimensions filled up with Philox), or "philox", every second path the mirror image of another
    (antithetic). Keyed by (seed, purpose): a number depends on its copy, dimension and place and, for Philox, `paths`, on nothing else.
    Raises InputError when paths / COPIES is not a power of two of at least SMALLEST, the seed is not in 0 .. 2^64 - 1 or the method is unknown.
    """

    paths: int
    dimensions: int
    seed: int
    purpose: str
    method: str = "sobol"

    def __post_init__(self) -> None:
        size = self.paths // COPIES
        if size < SMALLEST or self.paths % COPIES or size & (size - 1) or size > 1 << BITS:
            raise InputError(f"{self.purpose}: {self.paths} paths; a power of two of at least {COPIES * SMALLEST} is needed")
        check_seed(self.purpose, self.seed)
        if self.method not in METHODS:
            raise InputError(f"{self.purpose}: draws is {self.method!r}; one of {', '.join(METHODS)} is needed")

    @property
    def size(self) -> int:
        """Paths of one copy."""
        return self.paths // COPIES

    @cached_property
    def scramble(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the Sobol points: directions [COPIES, dimensions, log2(size)] and shifts [COPIES, dimensions]."""
        directions = direction_numbers(min(self.dimensions, DIMENSIONS))
        return scrambled(directions, self.size, copies=COPIES, seed=self.seed, purpose=purpose_word(self.purpose))

    def fill(self, copy: int, rows: np.ndarray) -> None:
        """Puts copy 0 .. COPIES - 1 into rows [dimensions, size]."""
        seed, purpose = np.uint64(self.seed), np.uint64(purpose_word(self.purpose))
        if self.method == "philox":
            half = self.size // 2
            straight = np.empty((self.dimensions, half))
            philox_normals(seed, purpose, 0, copy * half, straight)
            rows[:, :half], rows[:, half:] = straight, -straight
            return
        columns, shifts = self.scramble
        sobol_normals(columns[copy], shifts[copy], rows)
        if self.dimensions > DIMENSIONS:
            philox_normals(seed, purpose, DIMENSIONS, copy * self.size, rows[DIMENSIONS:])


def check_seed(title: str, seed: int) -> None:
    """InputError, beginning with `title`, unless the seed is one of Philox."""
    if not 0 <= seed < 2**64:
        raise InputError(f"{title}: seed {seed}; a whole number from 0 to 2^64 - 1 is needed")
