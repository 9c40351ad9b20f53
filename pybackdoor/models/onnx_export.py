"""A network as an ONNX model: natural-unit float32 points [N, d] in, float32 values [N, 1] out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from pybackdoor import __version__
from pybackdoor.errors import FileRefusedError, InputTypeError, UnsupportedError
from pybackdoor.files import as_path, replacing
from pybackdoor.models.network_surrogate import NetworkSurrogate
from pybackdoor.models.onnx_symbols import GELU_CUBIC
from pybackdoor.records.network import LEAKY_SLOPE

OPSET = 17  # the first with everything used here; GELU has its own operator only from 20 on
IR_VERSION = 8


def export_onnx(path: str | os.PathLike[str], surrogate: NetworkSurrogate) -> None:
    """Writes `surrogate` to an .onnx file, whole or not at all: input "features" [N, d], columns in the domain's order; output named as the target.

    float32 throughout, as serving software expects: onnxruntime agrees with the surrogate to about 1e-6 of the range of its values.
    Axes on a log scale become Log nodes, unless the network takes them in natural units. Raises FileRefusedError for a place that cannot be written.
    """
    target = as_path(path)
    if not isinstance(surrogate, NetworkSurrogate):
        raise InputTypeError(f"export_onnx: got {type(surrogate).__name__}; a NetworkSurrogate is needed")
    if target.suffix.lower() != ".onnx":
        raise FileRefusedError(f"{target}: ONNX models end in .onnx; this one ends in {target.suffix or 'no suffix'}")
    model = _model(surrogate)
    onnx.checker.check_model(model)
    with replacing(target) as temporary:
        temporary.write_bytes(model.SerializeToString())


class _Graph:
    """Nodes and initializers in the order they are added; each call returns the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def _model(surrogate: NetworkSurrogate) -> onnx.ModelProto:
    graph, domain, network = _Graph(), surrogate.domain, surrogate.network.to("cpu")
    value = _inputs(graph, surrogate)
    last = len(network.weights) - 1
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if layer == last:
            weight, bias = weight * network.output_scale, bias * network.output_scale + network.output_shift
        names = graph.constant(weight.numpy()), graph.constant(bias.numpy())
        value = graph.node("Gemm", value, *names, output=domain.target if layer == last else None, transB=1)
        if layer < last:
            value = _activation(graph, network.activation, value)
    made = helper.make_graph(
        graph.nodes,
        "surrogate",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", domain.dimension])],
        [helper.make_tensor_value_info(domain.target, TensorProto.FLOAT, ["N", 1])],
        graph.initializers,
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="pybackdoor", producer_version=__version__
    )
    helper.set_model_props(model, {"features": ", ".join(domain.names), "target": domain.target})
    return model


def _inputs(graph: _Graph, surrogate: NetworkSurrogate) -> str:
    """The first layer's input from natural units: logarithms where a column has them, then (x - low) * factor + shift."""
    value, columns = "features", list(_input_columns(surrogate))
    logs = [log for log, _, _, _ in columns]
    if all(logs):
        value = graph.node("Log", value)
    elif any(logs):
        mask = graph.constant(logs, bool)
        positive = graph.node("Where", mask, value, graph.constant(1.0))
        value = graph.node("Where", mask, graph.node("Log", positive), value)
    for kind, numbers in zip(("Sub", "Mul", "Add"), list(zip(*columns, strict=True))[1:], strict=True):
        value = graph.node(kind, value, graph.constant(numbers))
    return value


def _input_columns(surrogate: NetworkSurrogate) -> Iterator[tuple[bool, float, float, float]]:
    """(whether the logarithm is taken, low, factor, shift) of each feature."""
    domain, network = surrogate.domain, surrogate.network
    maps = torch.stack([network.input_shift, network.input_scale, network.input_rate], dim=1).tolist()
    for name, lower, upper, axis, (shift, scale, rate) in zip(domain.names, domain.lower, domain.upper, domain.scales, maps, strict=True):
        span = math.log(upper / lower) if axis == "log" else upper - lower
        if rate == 0:
            yield axis == "log", math.log(lower) if axis == "log" else lower, scale / span, shift
        elif axis == "log" and math.isclose(rate, span, rel_tol=1e-9):  # exp(rate u) = x / lower: the network takes natural units
            yield False, lower, scale / lower, shift + scale
        else:
            raise UnsupportedError(
                f"export_onnx: the network takes {name} through exp({rate:g} u) on a {axis} axis, neither the feature nor its "
                "logarithm; keep it as a checkpoint"
            )


def _activation(graph: _Graph, kind: str, z: str) -> str:
    if kind == "silu":
        return graph.node("Mul", z, graph.node("Sigmoid", z))
    if kind == "gelu":
        gate = graph.node("Erf", graph.node("Mul", z, graph.constant(math.sqrt(0.5))))
    elif kind == "gelu_tanh":
        cube = graph.node("Mul", z, graph.node("Mul", z, z))
        inner = graph.node("Add", z, graph.node("Mul", cube, graph.constant(GELU_CUBIC)))
        gate = graph.node("Tanh", graph.node("Mul", inner, graph.constant(math.sqrt(2 / math.pi))))
    else:
        attributes: dict[str, Any] = {"alpha": LEAKY_SLOPE} if kind == "leaky_relu" else {}
        return graph.node(_OPERATORS[kind], z, **attributes)
    half = graph.node("Mul", z, graph.constant(0.5))
    return graph.node("Mul", half, graph.node("Add", gate, graph.constant(1.0)))


_OPERATORS = {"relu": "Relu", "leaky_relu": "LeakyRelu", "tanh": "Tanh", "softplus": "Softplus", "sigmoid": "Sigmoid", "elu": "Elu"}
