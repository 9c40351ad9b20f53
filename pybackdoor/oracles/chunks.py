"""Independent chunks of points over the threads of the package's one setting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pybackdoor import settings


def in_chunks(work: Callable[[int, int], None], count: int, chunk: int) -> None:
    """Calls work(start, stop) for [0, count) in chunks that begin at multiples of `chunk`, which depend on nothing but `count` and `chunk`.

    The threads are started for this call and gone after it; `work` must release the interpreter lock to gain by them. What it raises is raised here.
    """
    bounds = [(start, min(start + chunk, count)) for start in range(0, count, chunk)]
    workers = min(settings.threads(), len(bounds))
    if workers <= 1:
        for start, stop in bounds:
            work(start, stop)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done in [pool.submit(work, start, stop) for start, stop in bounds]:
                done.result()
        except BaseException:  # an interrupt included: the chunks not begun are given up, and it goes on its way
            pool.shutdown(wait=False, cancel_futures=True)
            raise
