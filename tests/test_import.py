"""`import pybackdoor` and the first answer of the command line stay light."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "numba",
    "triton",
    "matplotlib",
    "pyarrow",
    "onnx",
    "onnxruntime",
    "tyro",
    "pybackdoor._native",
    "pybackdoor._native_cuda",
)


def loaded_after(statement: str) -> set[str]:
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy():
    assert loaded_after("import pybackdoor").isdisjoint(HEAVY)


def test_names_are_found_when_first_used():
    script = "import pybackdoor\npybackdoor.Domain\npybackdoor.poison"
    loaded = loaded_after(script)
    assert {"pybackdoor.domain", "pybackdoor.attack", "torch"} <= loaded
    assert loaded.isdisjoint({"matplotlib", "onnx", "onnxruntime", "pyarrow", "triton", "numba.cuda", "pybackdoor._native_cuda"})


def test_every_public_name_exists():
    script = "import pybackdoor\nfor name in pybackdoor.__all__: getattr(pybackdoor, name)"
    loaded_after(script)


def test_help_loads_no_numerics():
    script = "import pybackdoor.cli.main as front\ntry:\n    front.main(['--help'])\nexcept SystemExit as end:\n    assert not end.code"
    assert loaded_after(script).isdisjoint({"torch", "numba", "scipy", "matplotlib", "pyarrow", "onnx", "onnxruntime"})
