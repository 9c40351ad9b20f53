"""Samples and domains as files: Parquet, CSV and NPZ, one column a feature and one for the target, natural units."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pybackdoor.arrays import as_points, as_values
from pybackdoor.data.formats import FORMATS, Format, read_embedded_domain
from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError
from pybackdoor.files import as_path, checked_file, read_json, replacing, write_json
from pybackdoor.records import Samples

MAX_BYTES = 2 << 30
FEWEST_ROWS = 2


def read_samples(path: str | os.PathLike[str], domain: Domain | None = None, *, max_bytes: int = MAX_BYTES) -> Samples:
    """The labelled rows of a .parquet, .csv or .npz file, in the file's order.

    The columns must be the features of `domain`, in any order, and its target: a missing, unknown or repeated column is an error. Rows outside the
    domain are kept. domain: may be left out for a Parquet file written by `write_samples`, which carries its own.
    max_bytes: the most the file, and its decoded columns (8 bytes a number), may take.
    Raises FileRefusedError for a file that is missing, too long, truncated or malformed; InputError for wrong columns or types, a NaN or infinite
    entry (row and column named), or fewer than two rows.
    """
    source = as_path(path)
    form = _format(source)
    checked_file(source, max_bytes=max_bytes, kind=form.kind)
    if domain is None:
        domain = read_embedded_domain(source) if form.kind == "Parquet" else None
        if domain is None:
            raise InputError(f"{source}: the file does not say its domain; give a domain (a domain.json, or that of an oracle)")
    columns = form.read(source, max_bytes, lambda names: _check_columns(source, names, domain))
    count = _check_counts(source, columns)
    features = np.stack([columns[name] for name in domain.names], axis=1)  # [N, d]
    x = as_points(features, domain.dimension, f"{source}: features", columns=domain.names)
    y = as_values(columns[domain.target], count, f"{source}: column {domain.target}")
    return Samples(domain, x, y)


def write_samples(path: str | os.PathLike[str], samples: Samples) -> None:
    """Writes the rows to a .parquet, .csv or .npz file, every number exactly; the file appears whole or not at all.

    Raises FileRefusedError for another suffix, or a place that cannot be written.
    """
    target = as_path(path)
    form = _format(target)
    columns = {name: samples.x[:, position].cpu().numpy() for position, name in enumerate(samples.domain.names)}
    columns[samples.domain.target] = samples.y.cpu().numpy()
    with replacing(target) as temporary:
        form.write(temporary, columns, samples.domain)


def read_domain(path: str | os.PathLike[str]) -> Domain:
    """The domain of a `domain.json`. Raises FileRefusedError for a file that is not JSON, InputError for content that is not a domain."""
    return Domain.from_dict(read_json(path, kind="domain (JSON)"), str(path))


def write_domain(path: str | os.PathLike[str], domain: Domain) -> None:
    """Writes `domain` as JSON, whole or not at all."""
    write_json(path, domain.to_dict())


def _format(path: Path) -> Format:
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise FileRefusedError(f"{path}: files of samples end in {', '.join(FORMATS)}; this one ends in {path.suffix or 'no suffix'}")
    return form


def _check_columns(source: Path, names: Iterable[str], domain: Domain) -> None:
    found = list(names)
    needed = [*domain.names, domain.target]
    faults = [
        (label, listed)
        for label, listed in (
            ("missing", [name for name in needed if name not in found]),
            ("unknown", [name for name in found if name not in needed]),
            ("repeated", sorted({name for name in found if found.count(name) > 1})),
        )
        if listed
    ]
    if faults:
        told = "; ".join(f"{label} columns: {', '.join(listed[:20])}{', ...' if len(listed) > 20 else ''}" for label, listed in faults)
        raise InputError(
            f"{source}: {told}; the features {', '.join(domain.names)} and the target {domain.target} are needed, once each and nothing else"
        )


def _check_counts(source: Path, columns: dict[str, np.ndarray]) -> int:
    counts = {name: column.shape[0] for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"{source}: columns of different length ({told}); one entry a row is needed")
    count = next(iter(counts.values()))
    if count < FEWEST_ROWS:
        raise InputError(f"{source}: {count} row{'' if count == 1 else 's'}; at least {FEWEST_ROWS} are needed")
    return count
