"""ONNX operators that move columns and reshape, on constants and on `Linear`s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pybackdoor.models.onnx_symbols import MOST_ENTRIES, Linear, NotAChainError

BATCH = 1_000_003_000_001  # stands for N wherever a graph computes with shapes, so that constant arithmetic carries it along


def _axes(inputs: Sequence[Any], attributes: dict[str, Any], position: int = 1) -> list[int] | None:
    """The axes of an operator, given as an input since opset 13 and as an attribute before."""
    given = inputs[position] if len(inputs) > position else attributes.get("axes")
    return None if given is None else [int(axis) for axis in np.reshape(given, -1)]


def shape(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """The shape, with BATCH for N."""
    value = inputs[0]
    full = np.array([BATCH] if value.flat else [BATCH, value.width]) if isinstance(value, Linear) else np.array(value.shape, np.int64)
    return full[attributes.get("start", 0) : attributes.get("end")]


def transpose(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """A constant transposed."""
    if isinstance(inputs[0], Linear):
        raise NotAChainError("a transposed activation")
    return np.transpose(inputs[0], attributes.get("perm"))


def reshape(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """[N, m] to itself, or a column to a vector and back; a constant to any shape."""
    value, target = inputs[0], [int(size) for size in np.reshape(inputs[1], -1)]
    if not isinstance(value, Linear):
        return np.reshape(value, [value.shape[axis] if size == 0 else size for axis, size in enumerate(target)])
    if len(target) == 1 and value.width == 1:
        return replace(value, flat=True)
    kept = len(target) == 2 and (target[1] == value.width or (target[1] == -1 and target[0] in (0, BATCH)) or (target[1] == 0 and not value.flat))
    if kept:  # the first entry can only be N
        return replace(value, flat=False)
    raise NotAChainError(f"a reshape of [N, {value.width}] to {target}")


def flatten(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """[N, m] as it is, [N] as a column."""
    if attributes.get("axis", 1) not in (1, -1):
        raise NotAChainError("a flatten across rows")
    return replace(inputs[0], flat=False)


def squeeze(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """A column as a vector."""
    value, axes = inputs[0], _axes(inputs, attributes)
    if not isinstance(value, Linear):
        return np.squeeze(value, None if axes is None else tuple(axes))
    if value.width != 1 or value.flat or axes not in (None, [1], [-1]):
        raise NotAChainError("a squeeze of something else than one column")
    return replace(value, flat=True)


def unsqueeze(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """A vector as a column."""
    value, axes = inputs[0], _axes(inputs, attributes)
    if not isinstance(value, Linear):
        return np.expand_dims(value, tuple(axes or ()))
    if not value.flat or axes not in ([1], [-1]):
        raise NotAChainError("an unsqueeze of something else than a vector to a column")
    return replace(value, flat=False)


def gather(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """Columns by number."""
    value, index, axis = inputs[0], np.asarray(inputs[1]), attributes.get("axis", 0)
    if not isinstance(value, Linear):
        return np.take(value, index, axis=axis)
    if value.flat or axis not in (1, -1) or index.ndim > 1:
        raise NotAChainError("a gather across rows")
    return replace(value.columns(np.arange(value.width)[index.reshape(-1)]), flat=index.ndim == 0)


def slice_(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """A range of columns."""
    value = inputs[0]
    if len(inputs) > 1:
        starts, ends = inputs[1], inputs[2]
        steps = np.reshape(inputs[4], -1) if len(inputs) > 4 and inputs[4] is not None else np.ones(len(starts), int)
        axes = _axes(inputs, {}, 3)
    else:
        starts, ends, axes = attributes["starts"], attributes["ends"], attributes.get("axes")
        steps = np.ones(len(starts), int)
    dimensions = (1 if value.flat else 2) if isinstance(value, Linear) else value.ndim
    cuts: list[Any] = [slice(None)] * dimensions
    for axis, start, end, step in zip(list(range(len(starts))) if axes is None else axes, starts, ends, steps, strict=True):
        end = int(end)
        cuts[axis] = slice(int(start), None if step < 0 and end < -(1 << 30) else end, int(step))
    if not isinstance(value, Linear):
        return value[tuple(cuts)]
    if dimensions != 2 or cuts[0] not in (slice(None), slice(0, cuts[0].stop, 1)) or (cuts[0].stop or BATCH) < BATCH:
        raise NotAChainError("a slice across rows")
    return value.columns(np.arange(value.width)[cuts[1]])


def concat(inputs: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """Columns side by side."""
    axis = attributes["axis"]
    if not any(isinstance(value, Linear) for value in inputs):
        if sum(value.size for value in inputs) > MOST_ENTRIES:
            raise NotAChainError("a constant is too large")
        return np.concatenate(inputs, axis=axis)
    first = inputs[0]
    if axis not in (1, -1) or not all(isinstance(value, Linear) and value.basis is first.basis and not value.flat for value in inputs):
        raise NotAChainError("a concatenation of two branches")
    return replace(first, matrix=np.concatenate([value.matrix for value in inputs]), shift=np.concatenate([value.shift for value in inputs]))
