"""ONNX models as surrogates: a chain of linear layers and activations becomes a native `Network`, anything else runs in onnxruntime."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError
from pybackdoor.models.network_surrogate import NetworkSurrogate
from pybackdoor.models.onnx_file import MAX_BYTES, read_onnx, single_input
from pybackdoor.models.onnx_operators import apply
from pybackdoor.models.onnx_surrogate import OnnxSurrogate
from pybackdoor.models.onnx_symbols import Linear, NotAChainError, input_features
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.ops.philox import uniforms
from pybackdoor.records import ACTIVATIONS, Network

POINTS_COMPARED = 1000
SINGLE_TOLERANCE = 1e-4  # of the largest output: float32 rounding through a network, amplified by inputs in natural units
DOUBLE_TOLERANCE = 1e-6  # onnxruntime has no float64 error function: exporters cast it


def import_onnx(path: str | os.PathLike[str], domain: Domain, *, max_bytes: int = MAX_BYTES) -> Surrogate:
    """The model of an ONNX file that takes natural-unit points [N, d], columns in the domain's order, and gives one number a point.

    A NetworkSurrogate where it is a chain of linear layers and one kind of activation as exporters write them, else an OnnxSurrogate whose `reason`
    says what was in the way. A chain is compared with onnxruntime at 1,000 points of the domain. A normalisation in front and a scaling behind are
    folded in; an input in natural units on a log axis becomes the exponential input map, a logarithm in front of a log axis the affine one.
    Raises FileRefusedError for a file that is malformed, too large, of another form, not finite in the domain, or at odds with onnxruntime.
    """
    model = read_onnx(path, max_bytes=max_bytes)
    general = OnnxSurrogate(path, domain, model=model)
    try:
        surrogate = NetworkSurrogate(_network(_output(model, domain), domain), domain, general.name)
    except NotAChainError as reason:
        general.reason = f"not a chain of linear layers and activations: {reason}"
        _compared(path, general, None)
        return general
    _compared(path, general, surrogate)
    return surrogate


def _output(model: onnx.ModelProto, domain: Domain) -> Linear:
    """The graph's output in terms of its input."""
    value, _, _ = single_input(model, "model")
    known: dict[str, Any] = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    known[value.name] = input_features(domain.dimension)
    for node in model.graph.node:
        missing = [name for name in node.input if name and name not in known]
        if missing:
            raise NotAChainError(f"operator {node.op_type} takes {missing[0]}, which is not the first output of a node")
        known[node.output[0]] = apply(node, [known[name] if name else None for name in node.input])
    output = known.get(model.graph.output[0].name)
    if not isinstance(output, Linear) or output.width != 1:
        raise NotAChainError("the output is not one number a point")
    return output


def _network(output: Linear, domain: Domain) -> Network:
    layers, kinds, top = [], set(), output
    while top.basis.argument is not None:
        layers.append((top.matrix, top.shift))
        kinds.add(top.basis.kind)
        top = top.basis.argument
    if not kinds <= set(ACTIVATIONS) or len(kinds) > 1:
        raise NotAChainError(f"activations {', '.join(sorted(kinds))}; one of the native ones throughout is needed ({', '.join(ACTIVATIONS)})")
    first, shift, scale, rate = _first_layer(top, domain)
    layers.append(first)
    weights, biases = zip(*((torch.from_numpy(matrix.copy()), torch.from_numpy(bias.copy())) for matrix, bias in reversed(layers)), strict=True)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in (*weights, *biases)):
        raise NotAChainError("a weight is not finite")
    maps = torch.tensor([shift, scale, rate], dtype=torch.float64)  # [3, d]
    return Network(weights, biases, next(iter(kinds), "relu"), maps[0], maps[1], maps[2])


def _first_layer(top: Linear, domain: Domain) -> tuple[tuple[np.ndarray, np.ndarray], list[float], list[float], list[float]]:
    """(weights, bias) of the first layer, and the input map (shift, scale, rate) from the unit cube.

    Each feature, or its logarithm, is centred on its range first, so that float32 kernels lose nothing to large natural units.
    """
    plain, logs = np.split(top.matrix, 2, axis=1)  # [m, d] each
    weights, bias = np.empty_like(plain), top.shift.copy()
    shift, scale, rate = [], [], []
    for column, (name, lower, upper, axis) in enumerate(zip(domain.names, domain.lower, domain.upper, domain.scales, strict=True)):
        by_log = bool(logs[:, column].any())
        if by_log and (axis == "linear" or plain[:, column].any()):
            raise NotAChainError(f"the logarithm of {name}, " + ("a feature on a linear axis" if axis == "linear" else "beside the feature itself"))
        low, high = (math.log(lower), math.log(upper)) if by_log else (lower, upper)
        middle, half = (low + high) / 2, (high - low) / 2
        column_weights = (logs if by_log else plain)[:, column]
        weights[:, column] = column_weights * half
        bias += column_weights * middle
        curved = axis == "log" and not by_log
        shift.append(-middle / half if curved else -1.0)
        scale.append(low / half if curved else 2.0)
        rate.append(math.log(upper / lower) if curved else 0.0)
    return (weights, bias), shift, scale, rate


def _compared(path: str | os.PathLike[str], general: OnnxSurrogate, native: NetworkSurrogate | None) -> None:
    domain = general.domain
    x = domain.to_natural(uniforms(POINTS_COMPARED * domain.dimension, seed=0, purpose="onnx comparison").reshape(-1, domain.dimension))
    x = torch.from_numpy(x.numpy().astype(general.session.dtype)).double()  # the rounding of the input is no disagreement
    expected = general.values(x)
    if not bool(torch.isfinite(expected).all()):
        row = int((~torch.isfinite(expected)).nonzero()[0])
        raise FileRefusedError(
            f"{path}: the model gives {float(expected[row])} at {_point(domain, x[row])}; finite numbers are needed in the whole domain"
        )
    if native is None:
        return
    difference = (native.values(x) - expected).abs()
    allowed = (SINGLE_TOLERANCE if general.session.single else DOUBLE_TOLERANCE) * float(expected.abs().max())
    worst = int(difference.argmax())
    if not float(difference[worst]) <= allowed:
        raise FileRefusedError(
            f"{path}: its chain of layers and onnxruntime differ by {float(difference[worst]):.3g} at "
            f"{_point(domain, x[worst])}, more than {allowed:.3g}; audit it as an OnnxSurrogate, or export it again"
        )


def _point(domain: Domain, x: torch.Tensor) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in zip(domain.names, x.tolist(), strict=True))
