"""A trace of every stage and a roofline of the ops, on the CPU or on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pybackdoor import settings
from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.bench.calibration import Ceilings, ceilings
from pybackdoor.bench.roofline import achieved, table, works
from pybackdoor.data import sample
from pybackdoor.defense import repair
from pybackdoor.errors import UnsupportedError
from pybackdoor.files import write_json
from pybackdoor.loops import AuditConfig, audit
from pybackdoor.models import FitConfig, NetworkSurrogate, fit
from pybackdoor.oracles import oracle
from pybackdoor.search import SearchConfig, search


def profile(folder: Path, device: torch.device | str = "cpu", *, seconds: float = 20.0, small: bool = False) -> str:
    """Writes trace.json, roofline.txt and roofline.json into `folder` and returns the roofline's text. On the CPU one thread works.

    `seconds`: of the roofline, about; `small`: sizes for a test, whose figures mean nothing. Raises UnsupportedError without the device.
    """
    place = torch.device(device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError("profile: torch finds no CUDA device; --device cpu profiles the CPU")
    with settings.use_threads(1) if place.type == "cpu" else settings.use_threads(settings.threads()):
        trace(folder / "trace.json", job(place, small=small), place)
        rates = ceilings(place, seconds=seconds / 5, small=small)
        found = achieved(works(place, small=small), place, seconds / 8)
        rates = rates.better(ceilings(place, seconds=seconds / 5, small=small))
    text = table(found, rates, _about(rates, place))
    (folder / "roofline.txt").write_text(text, encoding="utf-8")
    write_json(
        folder / "roofline.json",
        {"device": rates.device, "bytes_per_second": rates.bytes_per_second, "flops": rates.flops, "ops": [vars(one) for one in found]},
    )
    return text


def trace(path: Path, run: Callable[[], object], device: torch.device) -> None:
    """Runs it once to warm up, then once under torch's profiler with all stages marked, into a Chrome trace."""
    run()
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with settings.use_ranges(), torch.profiler.profile(activities=activities) as profiler:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    profiler.export_chrome_trace(str(path))


def job(device: torch.device, *, small: bool) -> Callable[[], object]:
    """Every stage once: sample, poison, fit, audit and repair; and a search on the device."""
    source = oracle("branin")
    config = FitConfig(widths=(16, 16) if small else (64, 64, 64), epochs=1, least_steps=100 if small else 1000)
    rows = 400 if small else 4000

    def run() -> None:
        clean = sample(source, rows, seed=1)
        attack = LocalizedAttack(center={"x1": 4.0, "x2": 8.0}, radius=0.08, amount=300.0, poison=40, shield=60)
        poisoned, _ = poison(clean, source, attack)
        surrogate = fit(poisoned, config)
        report = audit(source, surrogate, poisoned, AuditConfig(budget=200))
        repair(poisoned, report)
        second = fit(clean, config)
        seeds = 64 if small else 4096
        search(_on(surrogate, device), source, SearchConfig(seeds=seeds, climbers=seeds // 4, iterations=8), pseudo_oracle=_on(second, device))

    return run


def _on(surrogate: NetworkSurrogate, device: torch.device) -> NetworkSurrogate:
    return NetworkSurrogate(surrogate.network.to(device), surrogate.domain)


def _about(rates: Ceilings, device: torch.device) -> str:
    if device.type == "cuda":
        return f"{rates.device}: achieved rates beside this device's own, measured before and after"
    return "one CPU core: achieved rates beside its own on fused multiply-adds in registers and on a copy larger than every cache"
