"""The stages of `benchmarks.device`: each is (folder, seconds, dry, argument) -> exit status, and appends what it finds to FOLDER/results.jsonl."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("jax", "cupy", "triton", "numba", "numba.cuda", "hypothesis", "pytest")


def append(folder: Path, record: dict[str, Any]) -> None:
    """One line, in one write, on the disk when this returns: a run that is cut off keeps what it had."""
    line = json.dumps({"at": round(time.time(), 3), **record}) + "\n"
    descriptor = os.open(folder / "results.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def bench_modules(only: str = "") -> list[str]:
    """The benchmark modules for a GPU: ascent first, then the others by name."""
    names = sorted((path.stem for path in Path(__file__).parent.glob("bench_*_gpu.py")), key=lambda name: (name != "bench_ascent_gpu", name))
    return [name for name in names if only in name]


def gpu_test_files() -> list[Path]:
    """The test modules that have a test for a GPU: no other module's imports can then get in the way."""
    every = (ROOT / "tests").rglob("test_*.py")
    return sorted(path for path in every if path.match("oracles/test_gpu_*.py") or "mark.gpu" in path.read_text(encoding="utf-8"))


def device_of(dry: bool) -> Any:
    """Where a stage runs."""
    import torch

    if dry:
        torch.set_num_threads(1)
    return torch.device("cpu" if dry else "cuda")


def environment(folder: Path, seconds: float, dry: bool, argument: str) -> int:
    """What is there: versions, devices with their driver, peers that can be imported, tools."""
    from pybackdoor.info import collect

    found = collect()
    peers = {name: _importable(name) for name in PEERS}
    tools = {name: shutil.which(name) for name in ("nvcc", "compute-sanitizer", "ncu", "nsys", "cuobjdump")}
    append(folder, {"environment": {"versions": found["versions"], "gpu": found["gpu"], "backends": found["backends"]}, "peers": peers,
                    "tools": tools, "dry": dry, "commit": _commit()})  # fmt: skip
    return 0


def build(folder: Path, seconds: float, dry: bool, argument: str) -> int:
    """The native modules, where one cannot be imported; the build tools must be installed, nothing is fetched."""
    needed = ["_native"] if dry else ["_native", "_native_cuda"]
    missing = [name for name in needed if not _loads(f"pybackdoor.{name}")]
    if not missing:
        append(folder, {"build": "nothing is missing"})
        return 0
    begin = time.monotonic()
    environment = {**os.environ, "PYBACKDOOR_CUDA": "OFF" if dry else "ON"}
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    print(done.stdout, done.stderr)
    still = [name for name in needed if not _loads(f"pybackdoor.{name}")]
    append(folder, {"build": f"built {', '.join(missing)}" if not still else f"cannot build {', '.join(still)}", "took": time.monotonic() - begin,
                    "message": done.stderr[-2000:] if still else ""})  # fmt: skip
    return 1 if still else 0


def tests(folder: Path, seconds: float, dry: bool, argument: str) -> int:
    """Every test for a GPU, a skip counting as a failure; a dry run collects them and runs those that fall to the CPU's share."""
    files = [str(path) for path in gpu_test_files()]
    report = folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
    command += [] if dry else ["--require-gpu"]
    timed_out = False
    try:
        subprocess.run(command, cwd=ROOT, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        timed_out = True
    append(folder, {"tests": {"files": len(files), "timed_out": timed_out, **_counted(report)}})
    return 0


def _counted(report: Path) -> dict[str, Any]:
    if not report.exists():
        return {"errors": 1, "message": "no report was written; the log has what happened"}
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {
        key: int(suite.get(name, "0")) for key, name in (("run", "tests"), ("failed", "failures"), ("errors", "errors"), ("skipped", "skipped"))
    }
    bad = [case for case in suite.iter("testcase") if case.find("failure") is not None or case.find("error") is not None]
    return counts | {"which": [f"{case.get('classname')}::{case.get('name')}" for case in bad][:20]}


def calibrate(folder: Path, seconds: float, dry: bool, argument: str) -> int:
    """Copy bandwidth and arithmetic rates."""
    from pybackdoor.bench.calibration import ceilings

    append(folder, {"ceilings": asdict(ceilings(device_of(dry), seconds=min(0.3 if dry else 5.0, seconds), small=dry))})
    return 0


def bench(folder: Path, seconds: float, dry: bool, argument: str) -> int:
    """One module of benchmark groups; one written for pytest-benchmark is run by it and its medians are taken."""
    end = time.monotonic() + seconds
    module: Any = importlib.import_module(f"benchmarks.{argument}")
    if not hasattr(module, "groups"):
        return _bench_by_pytest(folder, seconds, argument)
    from benchmarks.gpu_groups import results

    device = device_of(dry)
    groups = list(module.groups(device, dry))
    for position, group in enumerate(groups):
        budget = 0.5 if dry else max(end - time.monotonic(), 1.0) / (len(groups) - position) / 3  # preparing and compiling take the rest
        for record in results(group, device, budget):
            append(folder, record)
    return 0


def _bench_by_pytest(folder: Path, seconds: float, module: str) -> int:
    target = folder / f"{module}.json"
    command = [sys.executable, "-m", "pytest", "-q", f"benchmarks/{module}.py", f"--benchmark-json={target}", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=ROOT, check=False, timeout=seconds)
    if not target.exists():
        return 1
    for found in json.loads(target.read_text(encoding="utf-8"))["benchmarks"]:
        stats = found["stats"]
        timing = {"low": stats["min"], "median": stats["median"], "high": stats["max"], "runs": stats["rounds"]}
        append(folder, {"group": found["group"] or module, "subject": found["name"], "about": found["extra_info"], "seconds": timing,
                        "flops": found["extra_info"].get("flops_count", 0.0), "bytes": 0.0, "ceiling": "fp32"})  # fmt: skip
    return 0


def loss(folder: Path, seconds: float, dry: bool, argument: str) -> int:
    """A trace by torch's profiler of our fastest backend in the group that loses most against its strongest peer."""
    import torch

    from benchmarks.device_table import largest_loss, read

    worst = largest_loss(read(folder))
    if worst is None:
        append(folder, {"loss": "no group has both ours and a peer"})
        return 0
    device = device_of(dry)
    for name in bench_modules():
        module: Any = importlib.import_module(f"benchmarks.{name}")
        for group in module.groups(device, dry) if hasattr(module, "groups") else ():
            if group.name != worst["group"]:
                continue
            run = next(subject for subject in group.subjects if subject.name == worst["ours"]).prepare()
            run()
            with torch.profiler.profile() as profile:
                run()
                if not dry:
                    torch.cuda.synchronize()
            profile.export_chrome_trace(str(folder / "loss.json"))
            order = "self_cpu_time_total" if dry else "self_device_time_total"
            (folder / "loss.txt").write_text(profile.key_averages().table(sort_by=order, row_limit=20), encoding="utf-8")
            append(folder, {"loss": worst, "trace": "loss.json", "kernels": "loss.txt"})
            return 0
    append(folder, {"loss": worst, "trace": None})
    return 0


def sanitize(folder: Path, seconds: float, dry: bool, argument: str) -> int:
    """memcheck, then racecheck, over the GPU tests, in halves of the time."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        append(folder, {"sanitizer": "compute-sanitizer is not on the PATH"})
        return 0
    files = [str(path) for path in gpu_test_files()]
    for check in ("memcheck", "racecheck"):
        command = [tool, "--tool", check, "--target-processes", "all", sys.executable, "-m", "pytest", "-q", "-x", "-m", "gpu", *files]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=max(seconds / 2, 5))
        except subprocess.TimeoutExpired:
            append(folder, {"sanitizer": f"{check}: its time was over before the tests ended"})
            continue
        print(done.stdout, done.stderr)
        said = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", done.stdout + done.stderr)
        append(folder, {"sanitizer": f"{check}: {sum(map(int, said))} errors" if said else f"{check}: gave no summary (status {done.returncode})",
                        "sanitizer_errors": sum(map(int, said))})  # fmt: skip
    return 0


def _importable(name: str) -> str:
    """A version, or why not; in a process of its own, because importing a peer may take the device's memory."""
    script = f"import importlib; m = importlib.import_module({name!r}); print(getattr(m, '__version__', 'there'))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"missing: {(done.stderr.strip().splitlines() or ['?'])[-1]}"


def _loads(module: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, capture_output=True, check=False).returncode == 0


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


STAGES: dict[str, Callable[[Path, float, bool, str], int]] = {
    "environment": environment,
    "build": build,
    "tests": tests,
    "calibrate": calibrate,
    "bench": bench,
    "loss": loss,
    "sanitize": sanitize,
}
