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
    """The ONNX model at `path`: natural-unit points [N, d], columns in the domain's order, to one number a point.

    Gradients are central differences in the unit cube with a step of 5e-3 where the model computes in float32 (accurate to about 1e-4 of the
    function's variation), 6e-6 where all of it is float64; 2 d runs a point.
    model: what `path` holds, when it has been read already. reason: why the model is not a native network, when `import_onnx` made this.
    Raises FileRefusedError for a file that is malformed or a model of another form.
    """

    def __init__(self, path: str | os.PathLike[str], domain: Domain, name: str | None = None, *, model: onnx.ModelProto | None = None) -> None:
        self.session = OnnxSession(read_onnx(path) if model is None else model, path)
        if self.session.features not in (None, domain.dimension):
            raise FileRefusedError(
                f"{path}: the model takes {self.session.features} features, but the domain has {domain.dimension} "
                f"({', '.join(domain.names)}); give the domain it was trained on"
            )
        self.domain = domain
        self.name = name or Path(path).stem
        self.reason = ""

    def _values(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.session.run(x.cpu().numpy())).to(x.device)

    def _values_and_gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        single = self.session.single
        gradients = gradients_by_differences(
            self._values, self.domain, x, step=SINGLE_STEP if single else DOUBLE_STEP, dtype=torch.float32 if single else torch.float64
        )
        return self._values(x), gradients
