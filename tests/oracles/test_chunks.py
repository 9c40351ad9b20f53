"""Chunks cover every row once, for any count and threads; threads share few rows out evenly."""

from __future__ import annotations

import pytest

from pybackdoor import settings
from pybackdoor.oracles.chunks import PIECES, in_chunks


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("grain", [None, 1, 4, 64])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 257, 12900])
def test_every_row_is_in_one_chunk(count: int, grain: int | None, threads: int) -> None:
    found: list[tuple[int, int]] = []
    with settings.use_threads(threads):
        in_chunks(lambda start, stop: found.append((start, stop)), count, 256, grain=grain)
    found.sort()
    assert [row for start, stop in found for row in range(start, stop)] == list(range(count))
    assert all(start % (256 if grain is None or threads == 1 else grain) == 0 for start, _ in found)
    assert all(stop - start <= 256 for start, stop in found)
    if grain is not None and threads > 1 and count >= PIECES * threads * grain:
        assert len(found) > PIECES * threads / 2


def test_what_work_raises_is_raised() -> None:
    def work(start: int, stop: int) -> None:
        raise KeyError(start)

    for threads in (1, 2):
        with settings.use_threads(threads), pytest.raises(KeyError):
            in_chunks(work, 1000, 64, grain=8)
