"""What a GPU benchmark is made of: groups of subjects that compute the same thing, checked first, then timed in one run.

A module `benchmarks/bench_<name>_gpu.py` gives `groups(device, dry) -> Iterator[Group]`; `benchmarks.device` gathers them all. With `dry` the sizes
are tiny and the device is the CPU: everything is exercised and nothing is claimed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from pybackdoor.bench.calibration import seconds_of


class MissingPeerError(Exception):
    """A peer cannot run here; the message says why, and goes into the report."""


@dataclass(frozen=True)
class Subject:
    """`prepare()` gives a function that computes the group's result once; one that cannot run here raises MissingPeerError.

    own_stream: its work is not on torch's stream (JAX), so it is timed by the clock, and its function must wait for the result.
    """

    name: str
    prepare: Callable[[], Callable[[], Any]]
    own_stream: bool = False


@dataclass(frozen=True)
class Group:
    """Subjects, ours first (their names begin with "ours"); check(result) gives a complaint or None.

    flops, bytes: useful operations, and bytes that must be moved, of one run; ceiling: the calibrated rate ("fp32" ...) they are compared with;
    about: what goes into the record beside it (sizes, bars).
    """

    name: str
    subjects: tuple[Subject, ...]
    check: Callable[[Any], str | None]
    flops: float
    bytes: float = 0.0
    ceiling: str = "fp32"
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """Seconds of `runs` runs: quantiles 10, 50 and 90 %."""

    low: float
    median: float
    high: float
    runs: int


def measure(run: Callable[[], Any], device: torch.device, budget: float, *, own_stream: bool = False) -> Timing:
    """Times `run` for about `budget` seconds, at least three times, after two runs to warm up."""
    for _ in range(2):
        run()
    clock = torch.device("cpu") if own_stream else device
    seconds, end = [], time.perf_counter() + budget
    while len(seconds) < 3 or (time.perf_counter() < end and len(seconds) < 1000):
        seconds.append(seconds_of(run, clock))
    ordered = sorted(seconds)
    tenth = len(ordered) // 10
    return Timing(ordered[tenth], statistics.median(ordered), ordered[-1 - tenth], len(ordered))


def results(group: Group, device: torch.device, budget: float, only: str = "") -> Iterator[dict[str, Any]]:
    """A record for each subject of the group, as soon as it is there: its timing, or why it has none."""
    subjects = [subject for subject in group.subjects if only in subject.name]
    for subject in subjects:
        record: dict[str, Any] = {"group": group.name, "subject": subject.name, "about": group.about}
        try:
            run = subject.prepare()
            complaint = group.check(run())
            if complaint is not None:
                yield record | {"wrong": complaint}
                continue
            timing = measure(run, device, budget / len(subjects), own_stream=subject.own_stream)
            record |= {"seconds": asdict(timing), "flops": group.flops, "bytes": group.bytes, "ceiling": group.ceiling}
        except MissingPeerError as reason:
            record["missing"] = str(reason)
        except Exception as error:  # a peer that breaks must not end the run; ours that breaks is reported as a failure
            record["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        yield record
