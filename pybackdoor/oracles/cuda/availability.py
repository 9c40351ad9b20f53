"""Whether kernels can be compiled and launched here; numba.cuda is imported when this is asked, not before."""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def unavailable() -> str | None:
    """Why no kernel can run here, and what to do; None when it can."""
    if importlib.util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed (pip install 'pybackdoor[gpu]')"
    try:
        cuda: Any = importlib.import_module("numba.cuda")
        if not cuda.is_available():
            return "numba-cuda finds no CUDA driver or device"
        if not importlib.import_module("numba").config.ENABLE_CUDASIM:
            importlib.import_module("numba.cuda.cudadrv.nvvm").NVVM()  # the compiler, a library of its own
    except Exception as error:  # a driver or library that is too old says so in many ways
        return (
            f"numba-cuda cannot be used ({type(error).__name__}: {' '.join(str(error).split())[:200]}); pip install 'pybackdoor[gpu]' has all parts"
        )
    return None
