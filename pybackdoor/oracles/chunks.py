"""Independent chunks of points over the threads of the package's one setting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pybackdoor import settings

PIECES = 8  # a thread: what one waits for at the end is an eighth of its share at most


def in_chunks(work: Callable[[int, int], None], count: int, chunk: int, *, grain: int | None = None) -> None:
    """Calls work(start, stop) for [0, count) in chunks that begin at multiples of `chunk`, which depend on nothing but `count` and `chunk`.

    With `grain` several threads may take smaller chunks, which begin at multiples of it, so that none has long to wait for another. The threads are
    started for this call and gone after it; `work` must release the interpreter lock to gain by them. What it raises is raised here.
    """
    threads = settings.threads()
    if grain is not None and threads > 1:
        chunk = min(chunk, -(-count // (PIECES * threads * grain)) * grain or chunk)
    starts = range(0, count, chunk)
    waiting = iter(starts)  # all threads take from it: one future a chunk would cost half of what a second thread brings

    def take() -> None:
        try:
            for start in waiting:
                work(start, min(start + chunk, count))
        except BaseException:
            _give_up(waiting)
            raise

    workers = min(threads, len(starts))
    if workers <= 1:
        take()
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done in [pool.submit(take) for _ in range(workers)]:
                done.result()
        except BaseException:  # an interrupt included: the chunks not begun are given up, and it goes on its way
            _give_up(waiting)
            pool.shutdown(wait=False)
            raise


def _give_up(waiting: object) -> None:
    deque(waiting, maxlen=0)  # type: ignore[call-overload]
