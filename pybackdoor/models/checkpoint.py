"""Checkpoints: a network with its domain as safetensors, the configuration as JSON in the file's metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from pybackdoor import __version__
from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError, InputTypeError
from pybackdoor.files import as_path, checked_file, one_line, replacing
from pybackdoor.models.network_surrogate import NetworkSurrogate
from pybackdoor.records import Network

SCHEMA = 1
MAX_BYTES = 1 << 30
KEY = "pybackdoor.model"
MAPS = ("input_shift", "input_scale", "input_rate")


def save_model(path: str | os.PathLike[str], surrogate: NetworkSurrogate, *, settings: dict[str, Any] | None = None) -> None:
    """Writes `surrogate` to a .safetensors file, whole or not at all; `load_checkpoint` gives the same numbers back, bit for bit.

    settings: how it was made (a fit's configuration ...), plain JSON, kept beside it and not read back into the model.
    Raises FileRefusedError for another suffix or a place that cannot be written, InputTypeError for another kind of surrogate.
    """
    target = as_path(path)
    if not isinstance(surrogate, NetworkSurrogate):
        raise InputTypeError(f"save_model: got {type(surrogate).__name__}; a NetworkSurrogate is needed (other models stay where they came from)")
    if target.suffix.lower() != ".safetensors":
        raise FileRefusedError(f"{target}: checkpoints end in .safetensors; this one ends in {target.suffix or 'no suffix'}")
    network = surrogate.network.to("cpu")
    tensors = {name: getattr(network, name).contiguous() for name in MAPS}
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        tensors |= {f"weights.{layer}": weight.contiguous(), f"biases.{layer}": bias.contiguous()}
    content = {
        "schema": SCHEMA,
        "name": surrogate.name,
        "domain": surrogate.domain.to_dict(),
        "activation": network.activation,
        "output_shift": network.output_shift,
        "output_scale": network.output_scale,
        "settings": settings or {},
        "versions": {"pybackdoor": __version__, "torch": torch.__version__},
    }
    packed = safetensors.torch.save({name: tensor.clone() for name, tensor in tensors.items()}, {KEY: json.dumps(content, allow_nan=False)})
    with replacing(target) as temporary:
        temporary.write_bytes(packed)


def load_checkpoint(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> NetworkSurrogate:
    """The surrogate that `save_model` wrote, on the domain it was saved with.

    Raises FileRefusedError for a file that is too long, truncated, not one of ours, or whose tensors do not form one finite network.
    """
    source = checked_file(path, max_bytes=max_bytes, kind="safetensors")
    content, tensors = _read(source)
    layers = sum(name.startswith("weights.") for name in tensors)
    expected = {*MAPS, *(f"weights.{layer}" for layer in range(layers)), *(f"biases.{layer}" for layer in range(layers))}
    if set(tensors) != expected:
        raise FileRefusedError(
            f"{source}: holds the tensors {one_line(', '.join(sorted(tensors)))}; those of one network are needed: "
            "weights.0, biases.0, ... and the three input maps"
        )
    for name in MAPS:
        if tensors[name].ndim != 1:
            raise FileRefusedError(f"{source}: {name} has shape {tuple(tensors[name].shape)}; [features] is needed")
    shift, scale = _number(content.get("output_shift")), _number(content.get("output_scale"))
    if shift is None or scale is None or not (isinstance(content.get("activation"), str) and isinstance(content.get("name"), str)):
        raise FileRefusedError(f"{source}: its metadata lacks a name, an activation, or a finite output_shift and output_scale; save the model again")
    try:
        network = Network(
            tuple(tensors[f"weights.{layer}"] for layer in range(layers)),
            tuple(tensors[f"biases.{layer}"] for layer in range(layers)),
            content["activation"],
            tensors["input_shift"],
            tensors["input_scale"],
            tensors["input_rate"],
            shift,
            scale,
        )
        return NetworkSurrogate(network, Domain.from_dict(content.get("domain"), "its domain"), content["name"])
    except InputError as error:
        raise FileRefusedError(f"{source}: {error}") from error


def _read(source: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safetensors.safe_open(source, framework="pt", device="cpu") as file:
            text = (file.metadata() or {}).get(KEY)
            content = None if text is None else json.loads(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError, RuntimeError) as error:
        raise FileRefusedError(f"{source}: cannot be read as safetensors ({one_line(error)}); it is truncated, damaged or of another kind") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise FileRefusedError(f"{source}: is not a checkpoint of pybackdoor with schema {SCHEMA}; write one with `pybackdoor train` or save_model")
    return content, tensors


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf") else None
