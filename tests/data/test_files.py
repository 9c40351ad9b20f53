import io
import json
import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pybackdoor.data import read_domain, read_samples, write_domain, write_samples
from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError
from pybackdoor.records import Samples

DOMAIN = Domain(("a", "b"), (0, 1), (1, 10), ("linear", "log"), "price")


def rows(count: int = 100) -> Samples:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 9 + 1  # a goes outside the domain: rows are kept all the same
    return Samples(DOMAIN, x, torch.randn(count, generator=generator, dtype=torch.float64) * torch.logspace(-300, 300, count, dtype=torch.float64))


def parquet(**columns) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy_claiming(count: int) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (count,)})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b", "price"):
            archive.writestr(f"{name}.npy", buffer.getvalue())
    return packed.getvalue()


def version_two_header() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b", "price"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100_000)
    return packed.getvalue()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npz", ".CSV"])
def test_every_number_comes_back_exactly(tmp_path, suffix):
    samples = rows()
    write_samples(tmp_path / f"rows{suffix}", samples)
    back = read_samples(tmp_path / f"rows{suffix}", DOMAIN)
    assert torch.equal(back.x, samples.x)
    assert torch.equal(back.y, samples.y)
    assert os.listdir(tmp_path) == [f"rows{suffix}"]


def test_parquet_carries_its_domain(tmp_path):
    write_samples(tmp_path / "rows.parquet", rows())
    assert read_samples(tmp_path / "rows.parquet").domain == DOMAIN
    write_samples(tmp_path / "rows.csv", rows())
    with pytest.raises(InputError, match="does not say its domain"):
        read_samples(tmp_path / "rows.csv")


def test_columns_come_in_any_order_and_any_number_type(tmp_path):
    (tmp_path / "rows.parquet").write_bytes(parquet(price=np.array([1, 2], np.int64), b=np.array([3, 4], np.float32), a=np.array([5, 6], np.uint8)))
    (tmp_path / "rows.csv").write_text("\ufeffprice,b,a\r\n1,3,5\r\n2,4,6\r\n")
    (tmp_path / "rows.npz").write_bytes(npz(price=np.array([1, 2], np.int64), b=np.array([3, 4], ">f4"), a=np.array([5, 6], np.float16)))
    for name in ("rows.parquet", "rows.csv", "rows.npz"):
        back = read_samples(tmp_path / name, DOMAIN)
        assert back.x.tolist() == [[5, 3], [6, 4]]
        assert back.y.tolist() == [1, 2]


THREE = {"a": [0.1, 0.2, 0.3], "b": [1.0, 2.0, 3.0], "price": [1.0, 2.0, 3.0]}

REFUSED = {
    "empty file": (".csv", b"", FileRefusedError, "is empty"),
    "header only": (".csv", b"a,b,price\n", InputError, "0 rows"),
    "one row": (".csv", b"a,b,price\n1,2,3\n", InputError, "1 row;"),
    "missing and unknown": (".csv", b"a,c,price\n1,2,3\n1,2,3\n", InputError, "missing columns: b; unknown columns: c"),
    "repeated": (".csv", b"a,b,b,price\n1,2,3,4\n1,2,3,4\n", InputError, "repeated columns: b"),
    "text": (".csv", b"a,b,price\n1,2,3\n1,oops,3\n", InputError, "column b: line 3: .*oops"),
    "ragged": (".csv", b"a,b,price\n1,2,3\n1,3\n", InputError, "line 3: Expected 3 columns, got 2"),
    "gap": (".csv", b"a,b,price\n1,2,3\n1,,3\n", InputError, "row 1, column b is nan"),
    "infinite": (".csv", b"a,b,price\n1,2,3\n-inf,2,3\n", InputError, "row 1, column a is -inf"),
    "infinite target": (".csv", b"a,b,price\n1,2,inf\n1,2,3\n", InputError, "column price: row 0 is inf"),
    "not text": (".csv", b"\xff\xfea,b,price\n1,2,3\n", FileRefusedError, "cannot be read as CSV"),
    "wrong suffix": (".xlsx", b"a,b,price\n1,2,3\n", FileRefusedError, "ends in .xlsx"),
    "not parquet": (".parquet", b"a,b,price\n", FileRefusedError, "cannot be read as Parquet"),
    "false footer": (".parquet", b"PAR1" + bytes(50) + b"PAR1", FileRefusedError, "cannot be read as Parquet"),
    "strings": (".parquet", parquet(**(THREE | {"b": ["x", "y", "z"]})), InputError, "column b has type string"),
    "null": (".parquet", parquet(**(THREE | {"b": [1.0, None, 2.0]})), InputError, "row 1, column b is nan"),
    "null integer": (".parquet", parquet(**(THREE | {"b": [1, None, 2]})), InputError, "row 1, column b is nan"),
    "missing": (".parquet", parquet(a=[1.0, 2.0]), InputError, "missing columns: b, price"),
    "parquet one row": (".parquet", parquet(a=[1.0], b=[1.0], price=[1.0]), InputError, "1 row;"),
    "not npz": (".npz", b"PK\x03\x04 and no more", FileRefusedError, "cannot be read as NPZ"),
    "pickled objects": (".npz", npz(a=np.array([1, "x"], object), b=np.zeros(2), price=np.zeros(2)), InputError, "array a has type object"),
    "complex": (".npz", npz(a=np.zeros(2, complex), b=np.zeros(2), price=np.zeros(2)), InputError, "array a has type complex128"),
    "matrix": (".npz", npz(a=np.zeros((2, 2)), b=np.zeros(2), price=np.zeros(2)), InputError, r"shape \(2, 2\)"),
    "lengths": (".npz", npz(a=np.zeros(2), b=np.zeros(3), price=np.zeros(2)), InputError, "a 2, b 3, price 2"),
    "claims 8 GB": (".npz", npy_claiming(10**9), FileRefusedError, "more than"),
    "claims 80 bytes": (".npz", npy_claiming(10), FileRefusedError, "cut short"),
    "endless header": (".npz", version_two_header(), FileRefusedError, "format version"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_in_one_line(tmp_path, case):
    suffix, content, kind, text = REFUSED[case]
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    with pytest.raises(kind, match=text) as caught:
        read_samples(path, DOMAIN)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_truncation_and_flipped_bytes_are_noticed(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    write_samples(path, rows())
    whole = path.read_bytes()
    middle = len(whole) // 4
    flipped = bytes(byte ^ 0xFF for byte in whole[middle : middle + 16])
    for damaged in (whole[: len(whole) // 2], whole[:-1], whole[:middle] + flipped + whole[middle + 16 :]):
        path.write_bytes(damaged)
        with pytest.raises(FileRefusedError):
            read_samples(path, DOMAIN)


def test_sizes_are_bounded_before_reading(tmp_path):
    write_samples(tmp_path / "rows.csv", rows())
    with pytest.raises(FileRefusedError, match="more than the limit of 1000"):
        read_samples(tmp_path / "rows.csv", DOMAIN, max_bytes=1000)
    constant = np.zeros(10**6)  # a few kilobytes that unfold to 24 MB
    (tmp_path / "rows.parquet").write_bytes(parquet(a=constant, b=constant, price=constant))
    assert (tmp_path / "rows.parquet").stat().st_size < 10**6
    with pytest.raises(FileRefusedError, match="1000000 rows of 3 columns take more than 10000000 bytes"):
        read_samples(tmp_path / "rows.parquet", DOMAIN, max_bytes=10**7)


def test_nothing_is_left_where_a_file_cannot_be_written(tmp_path):
    (tmp_path / "plain").write_text("a file")
    (tmp_path / "folder.csv").mkdir()
    for place in (tmp_path / "none" / "rows.csv", tmp_path / "plain" / "rows.csv", tmp_path / "folder.csv"):
        with pytest.raises(FileRefusedError, match="cannot be written"):
            write_samples(place, rows())
    assert sorted(os.listdir(tmp_path)) == ["folder.csv", "plain"]


@pytest.mark.parametrize("path", ["none.csv", "folder.csv", "nul\0.csv"])
def test_what_is_not_a_file_is_refused(tmp_path, path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FileRefusedError):
        read_samples(tmp_path / path, DOMAIN)


def test_a_domain_comes_back(tmp_path):
    write_domain(tmp_path / "domain.json", DOMAIN)
    assert read_domain(tmp_path / "domain.json") == DOMAIN


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "'features'"),
        ("\udcff", "not valid JSON"),
        (json.dumps({"features": [{"name": "a", "lower": 1, "upper": 1}]}), "lower < upper"),
        ('{"features": [{"name": "a", "lower": NaN, "upper": 1}]}', "lower < upper"),
        (json.dumps({"features": [{"name": "a", "lower": 0, "upper": 1}] * 2}), "duplicate features a"),
    ],
)
def test_a_bad_domain_is_refused_in_one_line(tmp_path, content, text):
    path = tmp_path / "domain.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=text) as caught:
        read_domain(path)
    assert "\n" not in str(caught.value)
