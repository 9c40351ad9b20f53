"""Stages are marked for a profiler when asked for, and otherwise leave no trace."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
import torch

import pybackdoor as pb
from pybackdoor import settings
from pybackdoor.loops import AuditConfig
from pybackdoor.models import FitConfig
from pybackdoor.stages import stage, staged

SMALL = FitConfig(widths=(8,), epochs=1, least_steps=50)


def marked(run) -> Counter[str]:
    """How often each stage shows in a profile of `run()`."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    return Counter(event.name for event in profile.events() if event.name.startswith("pybackdoor."))


def job() -> None:
    oracle = pb.oracle("branin")
    samples = pb.sample(oracle, 300, seed=1)
    pb.audit(oracle, pb.fit(samples, SMALL), samples, AuditConfig(budget=150))


def test_off_by_default():
    assert not settings.ranges()
    assert marked(job) == Counter()


def test_every_stage_of_an_audit_is_marked():
    with settings.use_ranges():
        found = marked(job)
        with settings.use_ranges(False):
            assert marked(lambda: pb.oracle("branin").values([[0.0, 0.0]])) == Counter()
    expected = {"sample", "fit", "train", "gradient", "oracle", "search", "search.screen", "search.thin", "ascent", "audit"}
    expected |= {f"audit.{step}" for step in ("screen", "pilot", "clusters", "random", "outliers", "around_outliers", "model")}
    assert {f"pybackdoor.{name}" for name in expected} <= found.keys()
    assert found["pybackdoor.audit"] == found["pybackdoor.search"] == 1
    assert not settings.ranges()


def test_a_stage_ends_when_its_block_raises():
    @staged("broken")
    def broken() -> None:
        raise ZeroDivisionError

    def run() -> None:
        with pytest.raises(ZeroDivisionError):
            broken()
        with stage("after"):
            pass

    with settings.use_ranges():
        assert marked(run) == Counter({"pybackdoor.broken": 1, "pybackdoor.after": 1})


@pytest.mark.parametrize(("value", "on"), [("1", "True"), ("0", "False"), ("", "False")])
def test_the_environment_switches_them_on(value, on):
    script = "from pybackdoor import settings; print(settings.ranges())"
    done = subprocess.run([sys.executable, "-c", script], env={"PYBACKDOOR_RANGES": value}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == on


def test_another_value_is_refused():
    script = "from pybackdoor import settings; settings.ranges()"
    done = subprocess.run([sys.executable, "-c", script], env={"PYBACKDOOR_RANGES": "yes"}, capture_output=True, text=True, check=False)
    assert "PYBACKDOOR_RANGES='yes': 0 or 1 is needed" in done.stderr
