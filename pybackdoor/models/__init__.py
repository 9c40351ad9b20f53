"""Models: fitting networks to samples, files of models, and anything else that can be audited as a surrogate.

Names are imported when first used: onnx, onnxruntime and safetensors are loaded only by what needs them.
"""

from __future__ import annotations

import importlib
from typing import Any

_LOCATIONS = {
    "CallableSurrogate": "pybackdoor.models.callable_surrogate",
    "FitConfig": "pybackdoor.models.fit_config",
    "NetworkSurrogate": "pybackdoor.models.network_surrogate",
    "OnnxSurrogate": "pybackdoor.models.onnx_surrogate",
    "Surrogate": "pybackdoor.models.surrogate",
    "TorchSurrogate": "pybackdoor.models.torch_surrogate",
    "export_onnx": "pybackdoor.models.onnx_export",
    "fit": "pybackdoor.models.fitting",
    "fit_many": "pybackdoor.models.fitting",
    "import_onnx": "pybackdoor.models.onnx_import",
    "load_model": "pybackdoor.models.load",
    "save_model": "pybackdoor.models.checkpoint",
}

__all__ = [
    "CallableSurrogate",
    "FitConfig",
    "NetworkSurrogate",
    "OnnxSurrogate",
    "Surrogate",
    "TorchSurrogate",
    "export_onnx",
    "fit",
    "fit_many",
    "import_onnx",
    "load_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _LOCATIONS:
        raise AttributeError(f"module 'pybackdoor.models' has no attribute {name!r}")
    return getattr(importlib.import_module(_LOCATIONS[name]), name)
