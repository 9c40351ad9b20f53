"""Checked conversion of what users pass (NumPy, torch, DLPack, lists) into float64 torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pybackdoor.errors import InputError, InputTypeError


def as_tensor(value: Any, name: str) -> torch.Tensor:
    """`value` as a float64 tensor on its own device; shares memory where it can.

    Raises InputTypeError when it is not an array of real numbers.
    """
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
    else:
        try:
            if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
                tensor = torch.from_dlpack(value)
            else:
                array = np.asarray(value)
                if array.dtype.kind not in "fiub":
                    raise TypeError(f"elements of type {array.dtype}")
                tensor = torch.from_numpy(
                    np.ascontiguousarray(array, dtype=np.float64).copy()
                    if not array.flags.writeable
                    else np.ascontiguousarray(array, dtype=np.float64)
                )
        except (TypeError, ValueError, RuntimeError, BufferError) as error:
            raise InputTypeError(f"{name}: got {type(value).__name__} ({error}); an array of real numbers is needed") from error
    if tensor.is_complex():
        raise InputTypeError(f"{name}: complex numbers; real ones are needed")
    return tensor.to(torch.float64)


def as_points(value: Any, dimension: int, name: str = "x", *, columns: Sequence[str] | None = None, finite: bool = True) -> torch.Tensor:
    """`value` as points [N, dimension], float64. A single point [dimension] becomes [1, dimension].

    Raises InputError on another shape, and, with `finite`, on NaN or infinity, naming the row and the column.
    """
    ready = type(value) is torch.Tensor and value.dtype is torch.float64 and not value.requires_grad  # nothing to convert: the common, quick case
    points = value if ready else as_tensor(value, name)
    if points.ndim == 1 and points.shape[0] == dimension:
        points = points[None, :]
    if points.ndim != 2 or points.shape[1] != dimension:
        raise InputError(
            f"{name}: got shape {tuple(points.shape)}; [N, {dimension}] is needed, one column a feature"
            + (f" ({', '.join(columns)})" if columns else "")
        )
    if finite:
        check_finite(points, name, columns=columns)
    return points


def as_values(value: Any, count: int | None, name: str, *, finite: bool = True) -> torch.Tensor:
    """`value` as a vector [count], float64; a column [count, 1] is accepted."""
    vector = as_tensor(value, name)
    if vector.ndim == 2 and vector.shape[1] == 1:
        vector = vector[:, 0]
    if vector.ndim != 1 or (count is not None and vector.shape[0] != count):
        raise InputError(f"{name}: got shape {tuple(vector.shape)}; [{'N' if count is None else count}] is needed")
    if finite:
        check_finite(vector, name)
    return vector


def check_finite(tensor: torch.Tensor, name: str, *, columns: Sequence[str] | None = None) -> None:
    """Raises InputError naming the first row (and column) that is NaN or infinite."""
    if bool(torch.isfinite(tensor.sum())):  # the common case, at a twentieth of the cost: one bad number would spoil the sum
        return
    bad = ~torch.isfinite(tensor)
    if not bool(bad.any()):
        return
    where = bad.nonzero()[0].tolist()
    place = f"row {where[0]}" if where else "the value"
    if len(where) > 1:
        place += f", column {columns[where[1]] if columns else where[1]}"
    raise InputError(f"{name}: {place} is {float(tensor[tuple(where)])}; finite numbers are needed ({int(bad.sum())} bad in all)")
