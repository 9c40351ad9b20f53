"""What runs here: versions, processor, GPU, and which backend serves which op and why not the others."""

from __future__ import annotations

import importlib
import os
import platform
from importlib import metadata
from typing import Any

from pybackdoor import __version__, gpu
from pybackdoor.settings import instruction_set, threads

PACKAGES = ("torch", "numpy", "scipy", "numba", "pyarrow", "safetensors", "onnx", "onnxruntime", "matplotlib")
OPS = {"ascent": {"precision": "float32"}, "train": {"dtype": "float32"}}


def versions() -> dict[str, str]:
    """Versions of this package, Python, the platform and the libraries computed with; "missing" where one is not installed. Imports none."""
    found = {"pybackdoor": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def collect() -> dict[str, Any]:
    """Everything `pybackdoor info` prints, as plain data.

    "versions"; "threads"; "cores"; "instruction_set": of the native kernels; "gpu": a line for each CUDA device, or why there is none; "driver";
    "cuda_module": what it holds machine code for, or why it cannot be loaded; "triton": its version, or that it is missing;
    "oracle_kernels": what compiles those for GPUs, or why there are none;
    "backends": {op: {device: {"serves": name, "others": {name: why not, or null}}}}; "order": {op: where the order of its backends on a GPU is from}.
    """
    import torch

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return {
        "versions": versions(),
        "threads": threads(),
        "cores": os.cpu_count(),
        "instruction_set": _instruction_set(),
        "gpu": gpu.devices(),
        "driver": gpu.driver(),
        "cuda_module": gpu.cuda_module(),
        "triton": gpu.triton(),
        "oracle_kernels": gpu.oracle_kernels(),
        "backends": {op: {device: _backends(op, device) for device in devices} for op in OPS},
        "order": {op: gpu.order(op) for op in OPS},
    }


def _instruction_set() -> str:
    try:
        native: Any = importlib.import_module("pybackdoor._native")
    except ImportError as error:
        return f"none: the native module is not built ({error})"
    available = native.instruction_sets()  # widest first
    return f"{instruction_set() or available[0]} (this processor: {', '.join(available)})"


def _backends(op: str, device: str) -> dict[str, Any]:
    import torch

    from pybackdoor.ops.backends import availability

    front: Any = importlib.import_module(f"pybackdoor.ops.{op}")
    call = {key: getattr(torch, value) if key == "dtype" else value for key, value in OPS[op].items()}
    reasons = availability(front.BACKENDS, torch.device(device), **call)
    serving = next((name for name in front.ORDER if reasons[name] is None), None)
    return {"serves": serving, "others": {name: reason for name, reason in reasons.items() if name != serving}}
