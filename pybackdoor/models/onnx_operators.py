"""ONNX operators on the two kinds of value of a chain: constants (NumPy arrays) and `Linear`s of the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper

from pybackdoor.models import onnx_shapes as shapes
from pybackdoor.models.onnx_symbols import MOST_ENTRIES, Array, Linear, NotAChainError, add, choose, hyperbolic_tangent, logarithm, multiply
from pybackdoor.records.network import LEAKY_SLOPE

Value: TypeAlias = Any  # np.ndarray, Linear, or None for an optional input that is left out
Attributes: TypeAlias = dict[str, Any]
Operator: TypeAlias = Callable[[Sequence[Value], Attributes], Value]


def apply(node: onnx.NodeProto, inputs: Sequence[Value]) -> Value:
    """The value of the node's first output; raises NotAChainError for what is no part of a chain."""
    operator = _OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if operator is None:
        raise NotAChainError(f"operator {node.op_type}" + (f" of {node.domain}" if node.domain else ""))
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    try:
        return operator(inputs, attributes)
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise NotAChainError(f"operator {node.op_type} in an unexpected form ({error})") from error


def _constant(inputs: Sequence[Value], attributes: Attributes) -> Value:
    ((name, value),) = attributes.items()
    return numpy_helper.to_array(value) if name == "value" else np.asarray(value)


def _identity(inputs: Sequence[Value], attributes: Attributes) -> Value:
    return inputs[0]


def _cast(inputs: Sequence[Value], attributes: Attributes) -> Value:
    kind = onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])
    if isinstance(inputs[0], Linear):
        if kind not in (np.float32, np.float64):
            raise NotAChainError(f"a cast to {kind}")
        return inputs[0]
    return inputs[0].astype(kind)


def _number(value: Value) -> float | None:
    return float(value.reshape(())) if isinstance(value, np.ndarray) and value.size == 1 else None


def _matched(value: Linear, constant: np.ndarray) -> tuple[Linear, Array]:
    """`value`, widened if need be, and the constant as one number a column."""
    constant = np.asarray(constant, np.float64)
    if constant.ndim > (1 if value.flat else 2) and constant.size > 1:
        raise NotAChainError(f"a constant of shape {constant.shape} beside {'[N]' if value.flat else '[N, width]'}")
    row = constant.reshape(-1)
    if row.size == 1:
        return value, np.broadcast_to(row, (value.width,))
    if value.flat or constant.shape[-1] != row.size or value.width not in (1, row.size):
        raise NotAChainError(f"a constant of shape {constant.shape} beside {value.width} columns")
    return (value if value.width == row.size else value.columns(np.zeros(row.size, np.intp))), row


def _folded(function: Callable[..., Any], *constants: np.ndarray) -> Any:
    if np.prod(np.broadcast_shapes(*(constant.shape for constant in constants)), dtype=float) > MOST_ENTRIES:
        raise NotAChainError("a constant is too large")
    with np.errstate(all="ignore"):
        return function(*constants)


def _add(inputs: Sequence[Value], attributes: Attributes) -> Value:
    left, right = inputs
    if isinstance(left, Linear) and isinstance(right, Linear):
        return add(left, right)
    if not isinstance(left, Linear):
        left, right = right, left
    if not isinstance(left, Linear):
        return _folded(np.add, left, right)
    value, amount = _matched(left, right)
    return value.shifted(amount)


def _multiply(inputs: Sequence[Value], attributes: Attributes) -> Value:
    left, right = inputs
    if isinstance(left, Linear) and isinstance(right, Linear):
        return multiply(left, right)
    if not isinstance(left, Linear):
        left, right = right, left
    if not isinstance(left, Linear):
        return _folded(np.multiply, left, right)
    value, factor = _matched(left, right)
    return value.scaled(factor)


def _negate(inputs: Sequence[Value], attributes: Attributes) -> Value:
    return inputs[0].scaled(-1.0) if isinstance(inputs[0], Linear) else -inputs[0]


def _subtract(inputs: Sequence[Value], attributes: Attributes) -> Value:
    return _add((inputs[0], _negate(inputs[1:], {})), {})


def _divide(inputs: Sequence[Value], attributes: Attributes) -> Value:
    left, right = inputs
    if isinstance(right, Linear):
        raise NotAChainError("a division by something that depends on the input")
    if isinstance(left, Linear):
        return _multiply((left, _folded(np.divide, np.ones(1), np.asarray(right, np.float64))), {})
    return _folded(np.floor_divide if left.dtype.kind in "iu" else np.divide, left, right)


def _power(inputs: Sequence[Value], attributes: Attributes) -> Value:
    value, exponent = inputs[0], _number(inputs[1])
    if not isinstance(value, Linear):
        return _folded(np.power, *inputs)
    if exponent not in (1.0, 2.0, 3.0):
        raise NotAChainError(f"a power with exponent {exponent}")
    power = value
    for _ in range(int(exponent) - 1):
        power = multiply(value, power)
    return power


def _matrix_product(inputs: Sequence[Value], attributes: Attributes) -> Value:
    left, right = inputs
    if not isinstance(left, Linear) or left.flat or not isinstance(right, np.ndarray) or right.ndim != 2 or right.shape[0] != left.width:
        raise NotAChainError("a matrix product that is not activations times a constant matrix")
    return left.through(np.asarray(right, np.float64))


def _gemm(inputs: Sequence[Value], attributes: Attributes) -> Value:
    if attributes.get("transA", 0) or not isinstance(inputs[1], np.ndarray):
        raise NotAChainError("a Gemm that is not activations times a constant matrix")
    product = _matrix_product((inputs[0], inputs[1].T if attributes.get("transB", 0) else inputs[1]), {})
    product = product.scaled(attributes.get("alpha", 1.0))
    if len(inputs) < 3 or inputs[2] is None:
        return product
    return _add((product, np.asarray(inputs[2], np.float64) * attributes.get("beta", 1.0)), {})


def _batch_normalization(inputs: Sequence[Value], attributes: Attributes) -> Value:
    if attributes.get("training_mode", 0):
        raise NotAChainError("a batch normalization in training mode")
    scale, bias, mean, variance = (np.asarray(part, np.float64) for part in inputs[1:5])
    factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    return inputs[0].scaled(factor).shifted(bias - mean * factor)


def _logarithm(inputs: Sequence[Value], attributes: Attributes) -> Value:
    return logarithm(inputs[0]) if isinstance(inputs[0], Linear) else _folded(np.log, inputs[0])


def _tanh(inputs: Sequence[Value], attributes: Attributes) -> Value:
    return hyperbolic_tangent(inputs[0])


def _function(kind: str) -> Operator:
    return lambda inputs, attributes: inputs[0].of(kind)


def _with_constant(kind: str, name: str, usual: float, needed: float) -> Operator:
    """An activation that is ours only for one value of its constant."""

    def operator(inputs: Sequence[Value], attributes: Attributes) -> Value:
        value = attributes.get(name, usual)
        if abs(value - needed) > 1e-6:
            raise NotAChainError(f"{kind} with {name} {value:g} (native: {needed:g})")
        return inputs[0].of(kind)

    return operator


def _gelu(inputs: Sequence[Value], attributes: Attributes) -> Value:
    return inputs[0].of("gelu_tanh" if attributes.get("approximate", b"none") == b"tanh" else "gelu")


def _greater(inputs: Sequence[Value], attributes: Attributes) -> Value:
    threshold = _number(inputs[1])
    if not isinstance(inputs[0], Linear) or threshold is None:
        raise NotAChainError("a comparison that is no threshold")
    return inputs[0].of("beyond", threshold)


def _where(inputs: Sequence[Value], attributes: Attributes) -> Value:
    """Columns of one value or the other, by a constant mask."""
    mask, chosen, other = inputs
    if all(isinstance(value, Linear) for value in inputs):
        return choose(mask, chosen, other)
    template = chosen if isinstance(chosen, Linear) else other
    if not isinstance(mask, np.ndarray) or not isinstance(template, Linear) or mask.ndim > 2:
        raise NotAChainError("a choice that depends on the input, or between constants")
    blank = replace(template, matrix=np.zeros_like(template.matrix), shift=np.zeros_like(template.shift))
    first, second = (value if isinstance(value, Linear) else _add((blank, value), {}) for value in (chosen, other))
    if first.basis is not second.basis or first.width != second.width or first.flat != second.flat:
        raise NotAChainError("a choice between two branches")
    row = np.broadcast_to(mask.astype(bool).reshape(-1), (first.width,))
    return replace(first, matrix=np.where(row[:, None], first.matrix, second.matrix), shift=np.where(row, first.shift, second.shift))


_OPERATORS: dict[str, Operator] = {
    "Add": _add,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Concat": shapes.concat,
    "Constant": _constant,
    "Div": _divide,
    "Dropout": _identity,
    "Elu": _with_constant("elu", "alpha", 1.0, 1.0),
    "Erf": _function("erf"),
    "Exp": _function("exp"),
    "Flatten": shapes.flatten,
    "Gather": shapes.gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "Greater": _greater,
    "Identity": _identity,
    "LeakyRelu": _with_constant("leaky_relu", "alpha", 0.01, LEAKY_SLOPE),
    "Log": _logarithm,
    "MatMul": _matrix_product,
    "Mul": _multiply,
    "Neg": _negate,
    "Pow": _power,
    "Relu": _function("relu"),
    "Reshape": shapes.reshape,
    "Shape": shapes.shape,
    "Sigmoid": _function("sigmoid"),
    "Slice": shapes.slice_,
    "Softplus": _function("softplus"),
    "Squeeze": shapes.squeeze,
    "Sub": _subtract,
    "Swish": _with_constant("silu", "alpha", 1.0, 1.0),
    "Tanh": _tanh,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
    "Where": _where,
}
