"""Running an ONNX model with onnxruntime on points [N, d], whatever batch sizes it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from pybackdoor import settings
from pybackdoor.errors import FileRefusedError
from pybackdoor.files import one_line
from pybackdoor.models.onnx_file import FLOATS, single_input

ERRORS = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotFound,
    state.NotImplemented,
    state.RuntimeException,
)
ROWS_PER_RUN = 1 << 14


class OnnxSession:
    """One input [N, d] of float32 or float64, one output of N numbers; on the CPU. Raises FileRefusedError when the model has another form."""

    def __init__(self, model: onnx.ModelProto, source: Any) -> None:
        self.source = source
        value, self.batch, self.features = single_input(model, source)
        self.input = value.name
        self.dtype = FLOATS[value.type.tensor_type.elem_type]
        kinds = {tensor.data_type for tensor in model.graph.initializer} | {model.graph.output[0].type.tensor_type.elem_type}
        self.single = self.dtype is np.float32 or bool(kinds & {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16})
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except (*ERRORS, ValueError) as error:
            raise FileRefusedError(f"{source}: onnxruntime refuses the model ({one_line(error)}); export it again with standard operators") from error

    def run(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The outputs [N] at x [N, d]."""
        rows = self.batch or ROWS_PER_RUN
        parts = [self._batch(x[first : first + rows]) for first in range(0, x.shape[0], rows)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _batch(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        count = x.shape[0]
        if self.batch:
            x = np.concatenate([x, np.repeat(x[-1:], self.batch - count, axis=0)])
        try:
            (output,) = self.session.run(None, {self.input: x.astype(self.dtype)})
        except (*ERRORS, ValueError) as error:
            raise FileRefusedError(
                f"{self.source}: onnxruntime cannot run the model on {x.shape[0]} points of {x.shape[1]} features "
                f"({one_line(error)}); export it for a free batch size"
            ) from error
        if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiu" or output.shape[:1] != x.shape[:1] or output.size != x.shape[0]:
            got = output.shape if isinstance(output, np.ndarray) else type(output).__name__
            raise FileRefusedError(f"{self.source}: the model gives {got} for {x.shape[0]} points; one number a point is needed")
        return output.reshape(-1)[:count].astype(np.float64)
