"""Any ONNX model that onnxruntime runs, as a surrogate: slower than a native network, with gradients by finite differences."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError
from pybackdoor.models.differences import DOUBLE_STEP, SINGLE_STEP, gradients_by_differences
from pybackdoor.models.onnx_file import read_onnx
from pybackdoor.models.onnx_session import OnnxSession
from pybackdoor.models.surrogate import Surrogate


class OnnxSurrogate(Surrogate):
    """The model in `path` (a file, or a model read already): natural-unit points [N, d], in the domain's order, to one number a point.

    Gradients are central differences in the unit cube with a step of 5e-3 where the model computes in float32 (accurate to about 1e-4 of the
    function's variation), 6e-6 where all of it is float64; 2 d runs a point.
    reason: why the model is not a native network, when `import_onnx` made this. Raises FileRefusedError for a model of another form.
    """

    def __init__(self, path: str | os.PathLike[str] | onnx.ModelProto, domain: Domain, name: str | None = None, *, reason: str = "") -> None:
        source = "model" if isinstance(path, onnx.ModelProto) else str(path)
        self.session = OnnxSession(path if isinstance(path, onnx.ModelProto) else read_onnx(path), source)
        if self.session.features not in (None, domain.dimension):
            raise FileRefusedError(f"{source}: the model takes {self.session.features} features, but the domain has {domain.dimension} "
                                   f"({', '.join(domain.names)}); give the domain it was trained on")
        self.domain = domain
        self.name = name or Path(source).stem
        self.reason = reason

    def _values(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.session.run(x.cpu().numpy())).to(x.device)

    def _values_and_gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        single = self.session.single
        gradients = gradients_by_differences(self._values, self.domain, x, step=SINGLE_STEP if single else DOUBLE_STEP,
                                             dtype=torch.float32 if single else torch.float64)
        return self._values(x), gradients
