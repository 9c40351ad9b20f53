"""All benchmarks of the oracles in one run: every `bench_oracles_*.py` beside this file.

    python -m pytest benchmarks/bench_oracles.py --benchmark-json=oracles.json
    python -m benchmarks.report oracles.json

On a crowded machine add --benchmark-timer=time.process_time.

The report has rates, ratios to ours, and median and largest errors side by side. Each module can be run alone as well; see there for what is
compared. A name that two modules share is kept apart by the module's own.
"""

from __future__ import annotations

import importlib
from pathlib import Path

FAMILIES = sorted(path.stem for path in Path(__file__).parent.glob("bench_oracles_*.py"))

for _family in FAMILIES:
    _module = importlib.import_module(f"benchmarks.{_family}")
    for _name, _member in vars(_module).items():
        if _name.startswith("test_"):
            globals()[f"test_{_family.removeprefix('bench_oracles_')}_{_name.removeprefix('test_')}"] = _member
