"""Models by file name or import path: one front for checkpoints, ONNX files and Python callables."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError, InputTypeError
from pybackdoor.files import as_path, checked_file
from pybackdoor.locations import attribute_at
from pybackdoor.models.callable_surrogate import CallableSurrogate
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.models.torch_surrogate import TorchSurrogate

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".pt2")
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")  # torch.save writes a zip of pickles
LARGEST = 1 << 40


def load_model(path: str | os.PathLike[str], domain: Domain | None = None) -> Surrogate:
    """The surrogate that `path` names.

    "model.safetensors": a checkpoint of `save_model`; a `domain` other than its own recomposes its input map (see `domains.on_domain`).
    "model.onnx": natural-unit points in, one number out; needs `domain` (see `import_onnx`).
    "package.module:name", "path/file.py:name": a function of arrays [N, d] or a torch module (needs `domain`), a Surrogate, or a class of surrogates
    made without arguments. Importing it runs its module.
    Raises FileRefusedError for a file of another kind, pickles above all, and InputError when the domain is missing or contradicts the model's own.
    """
    text = os.fspath(as_path(path, "model"))
    suffix = Path(text).suffix.lower()
    if ":" in text and suffix not in (".safetensors", ".onnx", *PICKLES) and not Path(text).exists():
        return _callable(text, domain)
    kind = "model (.safetensors or .onnx)"
    source = checked_file(text, max_bytes=LARGEST, kind=kind)
    with source.open("rb") as file:
        start = file.read(4)
    if suffix in PICKLES or start.startswith(PICKLE_STARTS):
        raise FileRefusedError(
            f"{source}: is, or may hold, a pickle, and loading one runs whatever code is inside; export the model to ONNX "
            "(torch.onnx.export), or name a Python function that builds it (file.py:function)"
        )
    if suffix == ".safetensors":
        from pybackdoor.models.checkpoint import load_checkpoint
        from pybackdoor.models.domains import on_domain

        surrogate = load_checkpoint(source)
        return surrogate if domain is None else on_domain(surrogate, domain)
    if suffix == ".onnx":
        from pybackdoor.models.onnx_import import import_onnx

        return import_onnx(source, _needed(domain, text))
    raise FileRefusedError(f"{source}: ends in {suffix or 'no suffix'}; a {kind} file, or module:callable, is needed")


def _callable(location: str, domain: Domain | None) -> Surrogate:
    found = attribute_at(location, "model")
    if isinstance(found, type) and issubclass(found, Surrogate):
        found = found()
    if isinstance(found, Surrogate):
        if domain is not None and domain != found.domain:
            raise InputError(f"model {location!r} has a domain of its own, other than the one given; leave the domain out")
        return found
    if isinstance(found, torch.nn.Module):
        return TorchSurrogate(found, _needed(domain, location), location)
    if isinstance(found, type) or not callable(found):
        raise InputTypeError(f"model {location!r} is a {type(found).__name__}; a function of arrays [N, d], a torch module or a Surrogate is needed")
    return CallableSurrogate(found, _needed(domain, location), location)


def _needed(domain: Domain | None, model: str) -> Domain:
    if domain is None:
        raise InputError(f"model {model!r} does not say its domain; give its features and bounds (a domain.json, or that of an oracle)")
    return domain
