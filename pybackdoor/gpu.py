"""What there is of a GPU: devices, driver, the compiled module, Triton, the oracles' kernels, where orders are from; for each, why not."""

from __future__ import annotations

import importlib
import importlib.util
import re
from importlib import metadata
from pathlib import Path
from typing import Any

_DRIVER = Path("/proc/driver/nvidia/version")


def devices() -> list[str] | str:
    """A line for each CUDA device (name, memory, compute capability, multiprocessors), or why there is none."""
    import torch

    if torch.version.cuda is None:
        seen = f"; there is an NVIDIA driver ({driver()}): install a torch built for CUDA" if _DRIVER.exists() else ""
        return f"none: torch {torch.__version__} is built without CUDA{seen}"
    if not torch.cuda.is_available():
        return f"none: torch is built for CUDA {torch.version.cuda}, but finds no device or driver"
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, sm_{properties.major}{properties.minor}, "
            f"{properties.multi_processor_count} multiprocessors"
        )
    return found


def driver() -> str:
    """The version of NVIDIA's driver, as the kernel module states it, or that there is none."""
    try:
        said = _DRIVER.read_text(encoding="utf-8")
    except OSError as error:
        return f"none: {_DRIVER} cannot be read ({error.strerror})"
    found = re.search(r"\b(\d+\.\d+(?:\.\d+)?)\b", said)
    return found.group(1) if found else said.splitlines()[0]


def cuda_module() -> str:
    """What pybackdoor._native_cuda holds machine code for, or why it cannot be loaded."""
    if importlib.util.find_spec("pybackdoor._native_cuda") is None:
        return "not built: install the package with nvcc on the PATH and PYBACKDOOR_CUDA=ON"
    try:
        native: Any = importlib.import_module("pybackdoor._native_cuda")
    except ImportError as error:
        return f"cannot be loaded: {error}"
    return f"machine code for {', '.join('sm_' + target.removesuffix('-real') for target in native.targets.split())}, and PTX for newer devices"


def triton() -> str:
    """Triton's version, or that it is missing."""
    try:
        return metadata.version("triton")
    except metadata.PackageNotFoundError:
        return "missing: pip install triton"


def oracle_kernels() -> str:
    """What compiles the oracles' kernels, or why the CPU computes instead."""
    from pybackdoor.oracles.cuda.availability import unavailable

    reason = unavailable()
    return f"by numba-cuda {metadata.version('numba-cuda')}" if reason is None else f"none: {reason}; the CPU computes"


def order(op: str) -> str:
    """Where the order in which "auto" tries an op's backends on a GPU is from."""
    from pybackdoor.ops.timings import measured

    names = sorted({row.device for row in measured(op)})
    return f"measured on {', '.join(names)}" if names else "as stated in the code: nothing has been measured on a GPU"
