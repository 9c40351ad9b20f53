"""Every bad input: one line that names the thing, exit status 2, nothing half-written, nothing executed."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

AUDIT = ["audit", "--oracle", "branin", "--out", "out"]
TRAIN = ["train", "--oracle", "branin", "--out", "new.safetensors"]
HEADER = "x1,x2,target\n"


def csv(text: str) -> None:
    Path("bad.csv").write_text(text)


def npz(**columns: object) -> None:
    np.savez("bad.npz", **columns)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_the_trap_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Trap()))
    assert Path("executed").exists()


BAD_DATA = {
    "a missing column": (lambda: csv("x1,target\n1,2\n3,4\n"), "bad.csv", r"missing columns: x2"),
    "an unknown column": (lambda: csv("x1,x2,spot,target\n1,2,3,4\n1,2,3,4\n"), "bad.csv", r"unknown columns: spot"),
    "a repeated column": (lambda: csv("x1,x1,x2,target\n1,1,2,3\n1,1,2,3\n"), "bad.csv", r"repeated columns: x1"),
    "text for a number": (lambda: csv(HEADER + "1,2,3\n1,cheap,3\n"), "bad.csv", r"cheap"),
    "a ragged line": (lambda: csv(HEADER + "1,2,3\n1,2\n"), "bad.csv", r"bad\.csv"),
    "a NaN feature": (lambda: csv(HEADER + "1,2,3\n1,nan,3\n"), "bad.csv", r"row 1.*x2.*nan"),
    "an infinite feature": (lambda: npz(x1=[1.0, np.inf], x2=[1.0, 2.0], target=[1.0, 2.0]), "bad.npz", r"row 1.*x1.*inf"),
    "a NaN target": (lambda: npz(x1=[1.0, 2.0], x2=[1.0, 2.0], target=[np.nan, 2.0]), "bad.npz", r"target.*row 0.*nan"),
    "no rows": (lambda: csv(HEADER), "bad.csv", r"0 rows; at least 2"),
    "one row": (lambda: csv(HEADER + "1,2,3\n"), "bad.csv", r"1 row; at least 2"),
    "an empty file": (lambda: csv(""), "bad.csv", r"is empty"),
    "a matrix for a column": (lambda: npz(x1=np.ones((2, 2)), x2=np.ones(2), target=np.ones(2)), "bad.npz", r"x1.*shape \(2, 2\)"),
    "columns of different length": (lambda: npz(x1=np.ones(3), x2=np.ones(2), target=np.ones(2)), "bad.npz", r"different length"),
    "text columns": (lambda: npz(x1=np.array(["a", "b"]), x2=np.ones(2), target=np.ones(2)), "bad.npz", r"x1"),
    "complex numbers": (lambda: npz(x1=np.ones(2) * 1j, x2=np.ones(2), target=np.ones(2)), "bad.npz", r"x1.*complex"),
    "a pickle in an NPZ": (lambda: npz(x1=np.array([Trap(), Trap()], dtype=object), x2=np.ones(2), target=np.ones(2)), "bad.npz", r"x1"),
    "a truncated NPZ": (lambda: (npz(x1=np.ones(9), x2=np.ones(9), target=np.ones(9)), cut("bad.npz")), "bad.npz", r"cannot be read as NPZ"),
    "an NPZ that lies about its size": (lambda: lying_npz(), "bad.npz", r"bad\.npz"),
    "a truncated Parquet file": (lambda: (copy("clean.parquet", "bad.parquet"), cut("bad.parquet")), "bad.parquet", r"cannot be read as Parquet"),
    "a damaged Parquet file": (lambda: (copy("clean.parquet", "bad.parquet"), scramble("bad.parquet")), "bad.parquet", r"bad\.parquet"),
    "a pickle called Parquet": (lambda: Path("bad.parquet").write_bytes(pickle.dumps(Trap())), "bad.parquet", r"cannot be read as Parquet"),
    "a pickle": (lambda: Path("bad.pkl").write_bytes(pickle.dumps(Trap())), "bad.pkl", r"\.parquet, \.csv, \.npz"),
    "no such file": (lambda: None, "none.parquet", r"none\.parquet: does not exist"),
    "a folder": (lambda: Path("bad.csv").mkdir(), "bad.csv", r"is not a file"),
}


def copy(source: str, target: str) -> None:
    Path(target).write_bytes(Path(source).read_bytes())


def cut(name: str) -> None:
    Path(name).write_bytes(Path(name).read_bytes()[:-40])


def scramble(name: str) -> None:
    content = bytearray(Path(name).read_bytes())
    content[200:400] = bytes(200)
    Path(name).write_bytes(content)


def lying_npz() -> None:
    """A header that claims 10^15 numbers before 16 bytes of content."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16)
    with zipfile.ZipFile("bad.npz", "w") as archive:
        for name in ("x1", "x2", "target"):
            archive.writestr(f"{name}.npy", member)


@pytest.mark.parametrize("command", [AUDIT, TRAIN], ids=["audit", "train"])
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(desk, refused, case, command):
    make, name, message = BAD_DATA[case]
    make()
    line = refused([*command, "--data", name])
    assert re.search(message, line), line
    assert name in line
    assert not Path("executed").exists()


def feature(name: str = "x1", lower: object = 0, upper: object = 1, **more: object) -> dict[str, object]:
    return {"name": name, "lower": lower, "upper": upper, **more}


BAD_DOMAINS = {
    "lower above upper": ({"features": [feature(lower=2)]}, r"'x1' has lower 2 and upper 1"),
    "lower equal to upper": ({"features": [feature(lower=1)]}, r"lower < upper"),
    "duplicate features": ({"features": [feature(), feature()]}, r"duplicate features x1"),
    "no features": ({"features": []}, r"no features"),
    "a log axis through zero": ({"features": [feature(scale="log")]}, r"log scale with lower 0"),
    "an unknown scale": ({"features": [feature(scale="cubic")]}, r"'cubic'"),
    "a bound that is text": ({"features": [feature(upper="one")]}, r"upper = 'one'"),
    "a bound that is infinite": ({"features": [feature(upper=float("inf"))]}, r"x1"),
    "a missing bound": ({"features": [{"name": "x1", "lower": 0}]}, r"lacks upper"),
    "a target that is a feature": ({"features": [feature()], "target": "x1"}, r"target 'x1' is also"),
    "a list": ([1, 2], r"'features'"),
    "a name that is a number": ({"features": [feature(name=3)]}, r"3"),
}


@pytest.mark.parametrize("case", BAD_DOMAINS)
def test_bad_domain(desk, refused, case):
    content, message = BAD_DOMAINS[case]
    Path("bad.json").write_text(json.dumps(content))
    Path("function.py").write_text("def f(x):\n    return x[:, 0]\n")
    line = refused(["sample", "--oracle", "function.py:f", "--domain", "bad.json", "--out", "new.csv"])
    assert re.search(message, line), line


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000, "\xff\xfe"])
def test_a_domain_that_is_not_json(desk, refused, text):
    Path("bad.json").write_text(text, encoding="latin-1")
    assert "bad.json" in refused(["train", "--data", "rows.csv", "--domain", "bad.json", "--out", "new.safetensors"])


BAD_MODELS = {
    "a pickle": ("bad.pkl", lambda: pickle.dumps(Trap()), r"pickle.*runs whatever code"),
    "a torch checkpoint": ("bad.pt", lambda: pickle.dumps(Trap()), r"pickle"),
    "a pickle called safetensors": ("bad.safetensors", lambda: pickle.dumps(Trap()), r"pickle"),
    "a pickle called ONNX": ("bad.onnx", lambda: pickle.dumps(Trap()), r"pickle"),
    "a truncated checkpoint": ("bad.safetensors", lambda: Path("model.safetensors").read_bytes()[:-60], r"cannot be read as safetensors"),
    "a checkpoint with a huge header": ("bad.safetensors", lambda: (1 << 62).to_bytes(8, "little") + b"{}", r"cannot be read as safetensors"),
    "somebody else's safetensors": ("bad.safetensors", lambda: safetensors_of(a=[1.0]), r"not a checkpoint of pybackdoor"),
    "a truncated ONNX file": ("bad.onnx", lambda: Path("model.onnx").read_bytes()[:200], r"bad\.onnx"),
    "an empty ONNX file": ("bad.onnx", lambda: b"", r"is empty"),
    "text called ONNX": ("bad.onnx", lambda: b"hello", r"bad\.onnx"),
    "an ONNX file of another width": ("bad.onnx", lambda: onnx_of(features=3), r"takes 3 features, but the domain has 2"),
    "an ONNX file of two outputs": ("bad.onnx", lambda: onnx_of(outputs=2), r"one number a point is needed"),
    "an unknown suffix": ("bad.h5", lambda: b"hdf", r"\.safetensors or \.onnx"),
}


def safetensors_of(**tensors: list[float]) -> bytes:
    import torch
    from safetensors.torch import save

    return save({name: torch.tensor(values) for name, values in tensors.items()})


def onnx_of(features: int = 2, outputs: int = 1) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((features, outputs), dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_model(desk, refused, case):
    name, content, message = BAD_MODELS[case]
    Path(name).write_bytes(content())
    line = refused([*AUDIT, "--data", "rows.csv", "--model", name])
    assert re.search(message, line), line
    assert not Path("executed").exists()


BAD_OPTIONS = {
    "a budget of zero": ([*AUDIT, "--data", "rows.csv", "--budget", "0"], r"budget of 0 value calls"),
    "a negative budget": ([*AUDIT, "--data", "rows.csv", "--budget", "-5"], r"budget of -5 value calls"),
    "a budget that is no number": ([*AUDIT, "--data", "rows.csv", "--budget", "many"], r"--budget.*'many'"),
    "a negative label error": ([*AUDIT, "--data", "rows.csv", "--label-error", "-1"], r"label error of -1"),
    "nothing to audit": (AUDIT, r"neither --model nor --data"),
    "an unknown oracle": (["audit", "--oracle", "brannin", "--data", "rows.csv", "--out", "out"], r"unknown oracle 'brannin'; did you mean branin"),
    "an oracle file that does not exist": (["audit", "--oracle", "none.py:f", "--data", "rows.csv", "--out", "out"], r"none\.py does not exist"),
    "a module that does not exist": (["audit", "--oracle", "no.such:f", "--data", "rows.csv", "--out", "out"], r"no\.such"),
    "a model that does not exist": ([*AUDIT, "--model", "none.onnx"], r"none\.onnx: does not exist"),
    "an output that is no folder of ours": (["audit", "--oracle", "branin", "--data", "rows.csv", "--out", "."], r"name another"),
    "an output below a missing folder": (["audit", "--oracle", "branin", "--data", "rows.csv", "--out", "none/out"], r"none/out: cannot be written"),
    "an output below a file": (["audit", "--oracle", "branin", "--data", "rows.csv", "--out", "rows.csv/out"], r"rows\.csv/out: cannot be written"),
    "samples below a missing folder": (["sample", "--oracle", "branin", "--out", "none/new.csv"], r"none/new\.csv: cannot be written"),
    "samples of an unknown kind": (["sample", "--oracle", "branin", "--out", "new.xlsx"], r"new\.xlsx: ends in \.xlsx"),
    "one row to sample": (["sample", "--oracle", "branin", "--rows", "1", "--out", "new.csv"], r"1 rows"),
    "a negative noise": (["sample", "--oracle", "branin", "--noise", "-1", "--out", "new.csv"], r"noise -1"),
    "a model of an unknown kind": (["train", "--data", "rows.parquet", "--out", "new.pt"], r"new\.pt: ends in \.pt; \.safetensors"),
    "an ONNX file of an unknown kind": (["train", "--data", "rows.parquet", "--out", "new.safetensors", "--onnx", "new.txt"], r"\.onnx is needed"),
    "data that know no domain": (["train", "--data", "rows.csv", "--out", "new.safetensors"], r"does not say its domain"),
    "no epochs": (["train", "--data", "rows.parquet", "--out", "new.safetensors", "--epochs", "0"], r"epochs 0"),
    "an unknown activation": (["train", "--data", "rows.parquet", "--out", "new.safetensors", "--activation", "step"], r"step.*--activation"),
    "a bad thread count": (["train", "--data", "rows.parquet", "--out", "new.safetensors", "--threads", "0"], r"0 is not a thread count"),
    "no command": ([], r"demo, sample"),
    "an unknown command": (["audti"], r"audti"),
    "an unknown option": ([*AUDIT, "--dta", "rows.csv"], r"--dta"),
    "a missing option": (["sample", "--oracle", "branin"], r"--out"),
    "an option without its value": (["sample", "--oracle", "branin", "--out"], r"--out"),
    "an unknown oracle to show": (["oracles", "hartman"], r"did you mean hartmann6"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options(desk, refused, case):
    arguments, message = BAD_OPTIONS[case]
    line = refused(arguments)
    assert re.search(message, line), line


POISON = ["poison", "--data", "clean.parquet", "--oracle", "branin", "--out", "new.parquet"]
CENTER = ["--center", "x1=4", "x2=8"]
BAD_POISON = {
    "no rule": ([*POISON, *CENTER], r"no label rule"),
    "two rules": ([*POISON, *CENTER, "--shift", "1", "--scale", "2"], r"got --shift and --scale"),
    "a center outside": ([*POISON, "--center", "x1=40", "x2=8", "--shift", "1"], r"x1 = 40, outside"),
    "a center with a missing feature": ([*POISON, "--center", "x1=4", "--shift", "1"], r"x1=VALUE x2=VALUE"),
    "a center with an unknown feature": ([*POISON, "--center", "x1=4", "x3=8", "--shift", "1"], r"x1=VALUE x2=VALUE"),
    "a center with a repeated feature": ([*POISON, "--center", "x1=4", "x1=8", "x2=1", "--shift", "1"], r"x1=VALUE x2=VALUE"),
    "a center half by name": ([*POISON, "--center", "x1=4", "8", "--shift", "1"], r"x1=VALUE x2=VALUE"),
    "a center of three numbers": ([*POISON, "--center", "1", "2", "3", "--shift", "1"], r"2 numbers"),
    "a center of words": ([*POISON, "--center", "x1=four", "x2=8", "--shift", "1"], r"'four' is not a number"),
    "a radius of zero": ([*POISON, *CENTER, "--shift", "1", "--radius", "0"], r"radius 0"),
    "a shell inside the ball": ([*POISON, *CENTER, "--shift", "1", "--shield-radius", "0.05"], r"above the radius"),
    "more rows to relabel than there are": ([*POISON, *CENTER, "--shift", "1", "--mode", "relabel"], r"\d+ rows, 200 are to be relabelled"),
    "its own input as output": (
        ["poison", "--data", "rows.csv", "--oracle", "branin", "--out", "./rows.csv", *CENTER, "--shift", "1"],
        r"is the data",
    ),
}


@pytest.mark.parametrize("case", BAD_POISON)
def test_bad_poison(desk, refused, case):
    arguments, message = BAD_POISON[case]
    line = refused(arguments)
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(x:\n    pass\n", r"SyntaxError"),
        ("raise RuntimeError('no licence')\n", r"no licence"),
        ("import no_such_package\n", r"no_such_package"),
        ("def g(x):\n    return x\n", r"has no 'f'"),
        ("f = 3\n", r"f"),
    ],
)
def test_a_bad_oracle_file(desk, refused, source, message):
    Path("mine.py").write_text(source)
    line = refused(["audit", "--oracle", "mine.py:f", "--domain", "domain.json", "--data", "rows.csv", "--out", "out"])
    assert re.search(message, line), line


def test_a_callable_without_a_domain(desk, refused):
    Path("mine.py").write_text("def f(x):\n    return x[:, 0]\n")
    assert "--domain" in refused(["audit", "--oracle", "mine.py:f", "--data", "rows.csv", "--out", "out"])
