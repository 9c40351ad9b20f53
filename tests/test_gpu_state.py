"""What `pybackdoor info` says of a GPU, with and without one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pybackdoor import gpu
from pybackdoor.info import collect


def test_everything_has_an_answer_that_can_be_acted_on():
    found = collect()
    assert {"gpu", "driver", "cuda_module", "triton", "oracle_kernels", "order", "backends"} <= found.keys()
    for op, devices in found["backends"].items():
        assert "measured" in found["order"][op]
        for backends in devices.values():
            assert backends["serves"]
            assert all(reason is None or len(reason) > 10 for reason in backends["others"].values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_why():
    assert str(gpu.devices()).startswith("none: torch")
    why = collect()["backends"]["ascent"]["cpu"]["others"]
    assert "CUDA" in why["cuda"]
    assert why["triton"]


def test_a_device_is_described(monkeypatch):
    properties = SimpleNamespace(name="NVIDIA H200", total_memory=139 * 2**30, major=9, minor=0, multi_processor_count=132)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    assert gpu.devices() == ["NVIDIA H200, 139 GiB, sm_90, 132 multiprocessors"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.devices() == "none: torch is built for CUDA 13.0, but finds no device or driver"


def test_the_driver_is_read_where_its_module_states_it(monkeypatch, tmp_path):
    stated = tmp_path / "version"
    monkeypatch.setattr(gpu, "_DRIVER", stated)
    assert gpu.driver().startswith("none: ")
    stated.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.03  Release Build\nGCC version: 13.3.0\n")
    assert gpu.driver() == "580.159.03"
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "there is an NVIDIA driver (580.159.03): install a torch built for CUDA" in gpu.devices()


def test_a_missing_module_says_how_to_build_it(monkeypatch):
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    assert "PYBACKDOOR_CUDA=ON" in gpu.cuda_module()


def test_oracle_kernels_say_why_there_are_none(monkeypatch):
    monkeypatch.setattr("pybackdoor.oracles.cuda.availability.unavailable", lambda: "numba-cuda finds no CUDA driver or device")
    assert gpu.oracle_kernels() == "none: numba-cuda finds no CUDA driver or device; the CPU computes"
