"""Small ONNX graphs in the forms in which exporters write networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from networks import network
from onnx import TensorProto, helper, numpy_helper

from pybackdoor.domain import Domain
from pybackdoor.records import Network

AXES = Domain(("a", "b", "c"), (-1.0, 0.1, 50.0), (2.0, 10.0, 200.0), ("linear", "linear", "linear"), "price")
MEAN, SPREAD = np.array([0.5, 5.0, 120.0]), np.array([1.0, 3.0, 40.0])


class Graph:
    """Grows a graph node by node; each call returns the name of what it made."""

    def __init__(self, dtype: type = np.float32, batch: int | str = "N", opset: int = 17) -> None:
        self.dtype, self.batch, self.opset = dtype, batch, opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.value = "x"

    def constant(self, value: Any, dtype: type | None = None) -> str:
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype or self.dtype), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(self, output: str, features: int = 3) -> onnx.ModelProto:
        kind = TensorProto.FLOAT if self.dtype is np.float32 else TensorProto.DOUBLE
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", kind, [self.batch, features])],
            [helper.make_tensor_value_info(output, kind, None)],
            self.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9)
        return onnx.shape_inference.infer_shapes(model, data_prop=True)  # for the shape of the output

    def save(self, path: Path, output: str, features: int = 3) -> Path:
        path.write_bytes(self.model(output, features).SerializeToString())
        return path


def source(activation: str) -> Network:
    """Layers on standardised features."""
    return network(activation, widths=(6, 5), output_shift=0.0, output_scale=1.0)


def expected(activation: str, x: torch.Tensor) -> torch.Tensor:
    """What `source` gives at natural-unit points."""
    from pybackdoor.ops.activation import activate

    layers, value = source(activation), (x - torch.from_numpy(MEAN)) / torch.from_numpy(SPREAD)
    for weight, bias in zip(layers.weights[:-1], layers.biases[:-1], strict=True):
        value = activate(activation, value @ weight.T + bias)
    return (value @ layers.weights[-1].T + layers.biases[-1])[:, 0]


# How a linear layer is written.
def gemm(g: Graph, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
    return g.node("Gemm", value, g.constant(weight), g.constant(bias), transB=1)


def gemm_plain(g: Graph, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
    return g.node("Gemm", value, g.constant(weight.T), g.constant(bias[None]), transB=0)


def gemm_scaled(g: Graph, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
    return g.node("Gemm", value, g.constant(weight / 2), g.constant(bias * 4), transB=1, alpha=2.0, beta=0.25)


def matmul(g: Graph, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
    return g.node("Add", g.constant(bias), g.node("MatMul", value, g.constant(weight.T)))


def transposed(g: Graph, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
    turned = g.node("Transpose", g.constant(weight), perm=[1, 0])
    return g.node("Sub", g.node("MatMul", value, g.node("Identity", turned)), g.constant(-bias[None]))


def constant_node(g: Graph, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
    held = g.node("Constant", value=numpy_helper.from_array(weight.T.astype(np.float64)))
    return g.node("Add", g.node("MatMul", value, g.node("Cast", held, to=TensorProto.FLOAT)), g.constant(bias))


def two_products(g: Graph, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
    left, sizes, right = np.linalg.svd(weight.T, full_matrices=False)
    return g.node("Add", g.node("MatMul", g.node("MatMul", value, g.constant(left * sizes)), g.constant(right)), g.constant(bias))


def normalized(g: Graph, value: str, weight: np.ndarray, bias: np.ndarray) -> str:
    ones = np.ones_like(bias)
    linear = g.node("MatMul", value, g.constant(weight.T))
    return g.node("BatchNormalization", linear, *(g.constant(part) for part in (2 * ones, bias, 0 * ones, 4 * ones - 1e-5)))


LINEAR = [gemm, gemm_plain, gemm_scaled, matmul, transposed, constant_node, two_products, normalized]


# How an activation is written.
def half_erf(g: Graph, z: str) -> str:  # torch
    gate = g.node("Add", g.node("Erf", g.node("Div", z, g.constant(np.sqrt(2)))), g.constant(1))
    return g.node("Mul", g.node("Mul", z, gate), g.constant(0.5))


def erf_half(g: Graph, z: str) -> str:  # TensorFlow
    gate = g.node("Add", g.constant(1), g.node("Erf", g.node("Mul", g.constant(np.sqrt(0.5)), z)))
    return g.node("Mul", g.node("Mul", g.constant(0.5), z), gate)


def erf_inside(g: Graph, z: str) -> str:
    gate = g.node("Mul", g.constant(0.5), g.node("Add", g.node("Erf", g.node("Mul", z, g.constant(np.sqrt(0.5)))), g.constant([1])))
    return g.node("Mul", gate, z)


def tanh_gelu(g: Graph, z: str, cubic: str) -> str:
    gate = g.node("Tanh", g.node("Mul", g.constant(np.sqrt(2 / np.pi)), cubic))
    return g.node("Mul", g.node("Mul", g.constant(0.5), z), g.node("Add", g.constant(1), gate))


def tanh_power(g: Graph, z: str) -> str:
    return tanh_gelu(g, z, g.node("Add", z, g.node("Mul", g.constant(0.044715), g.node("Pow", z, g.constant(3)))))


def tanh_products(g: Graph, z: str) -> str:
    return tanh_gelu(g, z, g.node("Add", g.node("Mul", g.node("Mul", z, g.node("Mul", z, z)), g.constant(0.044715)), z))


def tanh_factored(g: Graph, z: str) -> str:
    square = g.node("Pow", z, g.constant(2))
    return tanh_gelu(g, z, g.node("Mul", z, g.node("Add", g.constant(1), g.node("Mul", g.constant(0.044715), square))))


def softplus_beta(g: Graph, z: str) -> str:  # of 2 z / 2, then undone
    return g.node("Softplus", g.node("Div", g.node("Mul", z, g.constant(2)), g.constant(2)))


def softplus_threshold(g: Graph, z: str) -> str:  # torch, of 2 z with beta = 1 / 2
    scaled = g.node("Mul", g.node("Mul", z, g.constant(2)), g.constant(0.5))
    smooth = g.node("Div", g.node("Softplus", scaled), g.constant(0.5))
    chosen = g.node("Where", g.node("Greater", scaled, g.constant(20)), g.node("Mul", z, g.constant(2)), smooth)
    return g.node("Mul", chosen, g.constant(0.5))


ACTIVATION_FORMS = {
    "relu": ("relu", lambda g, z: g.node("Relu", z)),
    "leaky_relu, alpha left out": ("leaky_relu", lambda g, z: g.node("LeakyRelu", z)),
    "leaky_relu": ("leaky_relu", lambda g, z: g.node("LeakyRelu", z, alpha=0.01)),
    "tanh": ("tanh", lambda g, z: g.node("Tanh", z)),
    "sigmoid": ("sigmoid", lambda g, z: g.node("Sigmoid", z)),
    "elu": ("elu", lambda g, z: g.node("Elu", z, alpha=1.0)),
    "softplus": ("softplus", lambda g, z: g.node("Softplus", z)),
    "softplus beta": ("softplus", softplus_beta),
    "softplus threshold": ("softplus", softplus_threshold),
    "softplus by log": ("softplus", lambda g, z: g.node("Log", g.node("Add", g.node("Exp", z), g.constant(1)))),
    "silu": ("silu", lambda g, z: g.node("Mul", z, g.node("Sigmoid", z))),
    "silu turned": ("silu", lambda g, z: g.node("Mul", g.node("Sigmoid", z), z)),
    "gelu half erf": ("gelu", half_erf),
    "gelu erf half": ("gelu", erf_half),
    "gelu erf inside": ("gelu", erf_inside),
    "gelu": ("gelu", lambda g, z: g.node("Gelu", z)),
    "gelu_tanh": ("gelu_tanh", lambda g, z: g.node("Gelu", z, approximate="tanh")),
    "gelu_tanh power": ("gelu_tanh", tanh_power),
    "gelu_tanh products": ("gelu_tanh", tanh_products),
    "gelu_tanh factored": ("gelu_tanh", tanh_factored),
}


# How the features come in (standardised) and the target goes out.
def divide(g: Graph) -> str:
    return g.node("Div", g.node("Sub", "x", g.constant(MEAN)), g.constant(SPREAD))


def multiply(g: Graph) -> str:
    return g.node("Add", g.node("Mul", "x", g.constant(1 / SPREAD)), g.constant(-MEAN / SPREAD))


def batch_norm(g: Graph) -> str:
    return g.node("BatchNormalization", "x", *(g.constant(part) for part in (np.ones(3), np.zeros(3), MEAN, SPREAD**2)), epsilon=0.0)


def columns(g: Graph) -> str:
    """Each column by itself, put together again in another order, then back."""
    parts = [g.node("Slice", "x", g.integers(i), g.integers(i + 1), g.integers(1)) for i in (2, 0, 1)]
    g.value = g.node("Gather", g.node("Concat", *parts, axis=-1), g.integers(1, 2, 0), axis=1)
    return g.node("Div", g.node("Sub", g.value, g.constant(MEAN)), g.constant(SPREAD))


FRONTS = [divide, multiply, batch_norm, columns]


def reshaped(g: Graph, y: str) -> str:
    return g.node("Reshape", y, g.integers(-1))


def squeezed(g: Graph, y: str) -> str:
    return g.node("Squeeze", y, g.integers(-1))


def up_and_down(g: Graph, y: str) -> str:
    flat = g.node("Mul", g.node("Squeeze", y, g.integers(1)), g.constant(2))
    return g.node("Flatten", g.node("Unsqueeze", g.node("Add", flat, g.constant(0)), g.integers(1)))


def by_shape(g: Graph, y: str) -> str:  # torch.flatten(0), as the tracing exporter writes it
    rows = g.node("Slice", g.node("Shape", y), g.integers(0), g.integers(1), g.integers(0))
    return g.node("Reshape", y, g.node("Concat", rows, axis=0))


BACKS = [reshaped, squeezed, up_and_down, by_shape]


def chain(activation: str, *, front: Any = divide, linear: Any = gemm, form: Any = None, back: Any = None, **settings: Any) -> tuple[Graph, str]:
    """`source` written in the given forms, and the name of its output."""
    g, layers = Graph(**settings), source(activation)
    form = form or ACTIVATION_FORMS[activation][1]
    value = front(g)
    for layer, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        value = linear(g, value, weight.numpy(), bias.numpy())
        if layer < 2:
            value = form(g, value)
    return g, value if back is None else back(g, value)
