"""Reading an ONNX file without trusting it: bounded, checked, and with external weights taken only from beside the file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from pybackdoor.errors import FileRefusedError
from pybackdoor.files import checked_file, one_line

MAX_BYTES = 512 << 20
FLOATS: dict[int, type[np.floating[Any]]] = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.DOUBLE: np.float64}


def read_onnx(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> onnx.ModelProto:
    """The model, checked by onnx's own checker, with all its weights inside; file and external weights together take at most `max_bytes`.

    External weights are read from regular files in the model's own folder or below it; an absolute path, "..", or a link out of it is refused.
    Raises FileRefusedError.
    """
    source = checked_file(path, max_bytes=max_bytes, kind="ONNX")
    content = source.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError) as error:
        raise FileRefusedError(f"{source}: cannot be read as ONNX ({one_line(error)}); it is truncated, damaged or of another kind") from error
    room = max_bytes - len(content)
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            room -= _embed(tensor, source, room)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise FileRefusedError(f"{source}: is not a valid ONNX model ({one_line(error)}); export it again") from error
    return model


def _embed(tensor: onnx.TensorProto, source: Path, room: int) -> int:
    """Puts the external bytes of `tensor` into it; returns their number."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = source.resolve().parent
    try:
        place = (folder / location).resolve()
        offset = int(entries.get("offset", "0"))
        needed = math.prod(tensor.dims) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        length = int(entries.get("length", needed))
    except (ValueError, KeyError, OSError) as error:
        raise FileRefusedError(
            f"{source}: the external weights of {tensor.name!r} are described wrongly ({one_line(error)}); export it again"
        ) from error
    if not location or os.path.isabs(location) or ".." in Path(location).parts or folder not in place.parents:
        raise FileRefusedError(f"{source}: weights {tensor.name!r} lie in {location!r}, outside the model's folder; keep them beside the model")
    if offset < 0 or length != needed or length > room:
        raise FileRefusedError(
            f"{source}: weights {tensor.name!r} claim {length} bytes at {offset} in {location!r}, {needed} are needed and {room} "
            "allowed; export it again, or raise max_bytes"
        )
    checked_file(place, max_bytes=offset + max(room, 1) + (1 << 40), kind="ONNX weights")
    with place.open("rb") as file:
        file.seek(offset)
        content = file.read(length)
    if len(content) != length:
        raise FileRefusedError(f"{source}: {location!r} is cut short: weights {tensor.name!r} need {length} bytes at {offset}; copy it again")
    tensor.raw_data = content
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
    return length


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of the model: initializers and attributes, in subgraphs and functions too."""
    graphs, nodes = [model.graph], [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in ([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []) + list(attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            if attribute.HasField("g"):
                graphs.append(attribute.g)
            graphs.extend(attribute.graphs)


def single_input(model: onnx.ModelProto, source: Any) -> tuple[onnx.ValueInfoProto, int | None, int | None]:
    """The one input [N, d] of the model, its fixed batch size and its number of features, None where they are free; raises FileRefusedError."""
    fixed = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in fixed]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise FileRefusedError(
            f"{source}: the model has {len(inputs)} inputs and {len(model.graph.output)} outputs; one input [N, features] and one output are needed"
        )
    kind = inputs[0].type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in kind.shape.dim]
    if kind.elem_type not in FLOATS or len(dims) != 2:
        raise FileRefusedError(
            f"{source}: the input {inputs[0].name!r} has element type {kind.elem_type} and {len(dims)} dimensions; "
            "float32 or float64 of shape [N, features] is needed"
        )
    return inputs[0], dims[0], dims[1]
