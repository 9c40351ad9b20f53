"""The three table formats: columns of numbers in and out, and nothing a file says is believed before it is checked."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError
from pybackdoor.files import one_line

Columns: TypeAlias = dict[str, npt.NDArray[np.float64]]
Check: TypeAlias = Callable[[Iterable[str]], None]

DOMAIN_KEY = b"pybackdoor.domain"


@dataclass(frozen=True)
class Format:
    """One file format; `read` calls the check with the column names before it reads any column."""

    kind: str
    read: Callable[[Path, int, Check], Columns]
    write: Callable[[Path, Columns, Domain], None]


def read_embedded_domain(path: Path) -> Domain | None:
    """The domain that `write_samples` put into a Parquet file, or None."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        return Domain.from_dict(json.loads(metadata[DOMAIN_KEY]), str(path)) if DOMAIN_KEY in metadata else None
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise _malformed(path, "Parquet", error) from error


def _read_parquet(path: Path, max_bytes: int, check: Check) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            check(file.schema_arrow.names)
            for field in file.schema_arrow:
                if not (pa.types.is_floating(field.type) or pa.types.is_integer(field.type)):
                    raise InputError(f"{path}: column {field.name} has type {field.type}; numbers are needed")
            metadata = file.metadata
            _check_size(path, metadata.num_rows, len(file.schema_arrow.names), max_bytes)
            claimed = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
            if claimed > 2 * max_bytes:
                raise FileRefusedError(
                    f"{path}: its column chunks unfold to {claimed} bytes, the limit is {2 * max_bytes}; raise max_bytes if that is meant"
                )
            table = file.read()
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise _malformed(path, "Parquet", error) from error
    return {name: np.asarray(table.column(name).to_numpy(), dtype=np.float64) for name in table.column_names}


def _write_parquet(path: Path, columns: Columns, domain: Domain) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata({DOMAIN_KEY: json.dumps(domain.to_dict()).encode()}), path, write_page_checksum=True)


def _read_csv(path: Path, max_bytes: int, check: Check) -> Columns:
    import pyarrow as pa
    from pyarrow import csv

    names: list[str] = []
    try:
        with path.open("rb") as file:
            header = file.readline(1 << 20)
        names = csv.read_csv(pa.BufferReader(header)).column_names
        check(names)
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False),  # one thread: the row number is in the message
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64())),
        )
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: {_csv_fault(error, names)}; a header of column names, then one number a column and line, separated by commas, are needed"
        ) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _malformed(path, "CSV", error) from error
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _csv_fault(error: Exception, names: list[str]) -> str:
    """Arrow's message, with the name of the column in place of its number."""
    text = re.sub(r"Row #(\d+)", r"line \1", one_line(error))
    return re.sub(r"In CSV column #(\d+)", lambda found: f"column {names[int(found[1])]}", text)


def _write_csv(path: Path, columns: Columns, domain: Domain) -> None:
    import pyarrow as pa
    from pyarrow import csv

    csv.write_csv(pa.table(columns), path)


def _read_npz(path: Path, max_bytes: int, check: Check) -> Columns:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            check(member.filename.removesuffix(".npy") for member in members)
            return {member.filename.removesuffix(".npy"): _read_npy(path, archive, member, max_bytes // len(members)) for member in members}
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise _malformed(path, "NPZ", error) from error


def _read_npy(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> npt.NDArray[np.float64]:
    """One column; the header is compared with the member's size before anything of that size is allocated."""
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):  # later ones may claim a header of gigabytes
            raise FileRefusedError(f"{path}: array {name} has .npy format version {version}; 1.0, as numpy.savez writes plain numbers, is needed")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.kind not in "fiu" or len(shape) != 1:
            raise InputError(f"{path}: array {name} has type {dtype} and shape {shape}; numbers of shape [N] are needed")
        _check_size(path, shape[0], 1, max_bytes)
        content = stream.read(shape[0] * dtype.itemsize)
    if len(content) != shape[0] * dtype.itemsize:
        raise FileRefusedError(f"{path}: array {name} is cut short: {len(content)} of {shape[0] * dtype.itemsize} bytes; write the file again")
    return np.frombuffer(content, dtype=dtype).astype(np.float64)


def _write_npz(path: Path, columns: Columns, domain: Domain) -> None:
    with zipfile.ZipFile(path, "w") as archive:  # numpy.savez cannot write a column called "file"
        for name, column in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(column), allow_pickle=False)


def _check_size(path: Path, rows: int, columns: int, max_bytes: int) -> None:
    if rows < 0 or rows * columns * 8 > max_bytes:
        raise FileRefusedError(f"{path}: {rows} rows of {columns} columns take more than {max_bytes} bytes; raise max_bytes if that is meant")


def _malformed(path: Path, kind: str, error: Exception) -> FileRefusedError:
    return FileRefusedError(f"{path}: cannot be read as {kind} ({one_line(error)}); it is truncated, damaged or of another kind; write it again")


FORMATS = {
    ".parquet": Format("Parquet", _read_parquet, _write_parquet),
    ".csv": Format("CSV", _read_csv, _write_csv),
    ".npz": Format("NPZ", _read_npz, _write_npz),
}
