"""Imports only point down: every module is parsed, and an arrow that points up or between siblings fails here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pybackdoor"
LAYERS = {
    "errors": 0,
    "registry": 0,
    "settings": 0,
    "files": 0,
    "folders": 0,
    "locations": 0,
    "workers": 0,
    "arrays": 1,
    "domain": 1,
    "records": 1,
    "stages": 1,
    "ops": 2,
    "_native": 2,
    "_native_cuda": 2,
    "oracles": 3,
    "data": 3,
    "models": 3,
    "search": 4,
    "attack": 5,
    "defense": 5,
    "active": 5,
    "cli": 6,
    "loops": 6,
    "report": 6,
    "bench": 6,
    "info": 6,
    "gpu": 6,
    "__main__": 6,
}
BETWEEN_SIBLINGS = {("data", "oracles")}  # what is sampled needs the protocol of what samples it
KERNELS = "pybackdoor.oracles.cuda"  # its modules import numba.cuda; the others import them when a kernel is wanted
PRESENTATION = {"matplotlib", "tyro", "tqdm"}
PROGRESS_BELOW = {"data", "models", "oracles", "search", "active"}  # may import tqdm, inside a function


def imports(source: str, module: str) -> Iterator[tuple[str, bool]]:
    """Absolute names imported by the source of `module` ("pybackdoor.search.front"), each with whether that happens inside a function."""
    tree = ast.parse(source)
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        lazy = id(node) in inner or id(node) in typing_only
        if isinstance(node, ast.Import):
            yield from ((alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield stem, lazy
            if stem in ("pybackdoor", "numba", "pybackdoor.oracles.cuda"):
                yield from ((f"{stem}.{alias.name}", lazy) for alias in node.names)


def faults(source: str, module: str) -> list[str]:
    """What `module` imports although its layer must not."""
    part = module.split(".")[1]
    found = []
    for name, lazy in imports(source, module):
        top, _, rest = name.partition(".")
        if top == "pybackdoor" and rest and rest.split(".")[0] in LAYERS:
            other = rest.split(".")[0]
            if name.startswith(f"{KERNELS}.") and name.split(".")[3] != "availability" and not lazy and not module.startswith(KERNELS):
                found.append(f"{module} imports {name}, which imports numba.cuda, outside a function")
            up = LAYERS[other] > LAYERS[part]
            siblings = 3 <= LAYERS[part] <= 5 and other != part and LAYERS[other] == LAYERS[part] and (part, other) not in BETWEEN_SIBLINGS
            if up or siblings or (other == "cli" and part not in ("cli", "__main__")):
                found.append(f"{module} (layer {LAYERS[part]}) imports {name} (layer {LAYERS[other]})")
        elif (top in PRESENTATION and LAYERS[part] < 6 and not (top == "tqdm" and part in PROGRESS_BELOW and lazy)) or (
            top in ("matplotlib", "tqdm") and not lazy
        ):
            found.append(f"{module} (layer {LAYERS[part]}) imports {name}{'' if lazy else ' outside a function'}")
        elif name.startswith("numba.cuda") and not lazy and not module.startswith(KERNELS):
            found.append(f"{module} imports {name}, which only kernels do")
        elif LAYERS[part] == 0 and top in ("torch", "numpy", "scipy", "numba"):
            found.append(f"{module} (layer 0, standard library only) imports {name}")
    return found


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts)


def test_every_part_has_a_layer():
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert parts <= LAYERS.keys()
    assert len(parts) > 10


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_arrow_points_up(path):
    assert faults(path.read_text(encoding="utf-8"), name_of(path)) == []


def test_the_front_imports_nothing_of_ours():
    names = [name for name, _ in imports((PACKAGE / "__init__.py").read_text(encoding="utf-8"), "pybackdoor.__init__")]
    assert not [name for name in names if name.startswith("pybackdoor") or name in ("torch", "numpy")]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pybackdoor.search.front", "from pybackdoor.defense import repair"),
        ("pybackdoor.search.front", "def f():\n    from pybackdoor.loops import audit"),
        ("pybackdoor.search.front", "from pybackdoor import loops"),
        ("pybackdoor.search.front", "from ..active import learn"),
        ("pybackdoor.defense.repair", "import pybackdoor.attack.localized"),
        ("pybackdoor.models.fit", "from pybackdoor.oracles.oracle import Oracle"),
        ("pybackdoor.models.fit", "from tqdm import tqdm"),
        ("pybackdoor.defense.repair", "def f():\n    import tqdm"),
        ("pybackdoor.records.audit", "def f():\n    import matplotlib.pyplot"),
        ("pybackdoor.report.plots", "import matplotlib"),
        ("pybackdoor.loops.audit", "from pybackdoor.cli.main import main"),
        ("pybackdoor.errors", "import torch"),
        ("pybackdoor.oracles.heston", "from numba import cuda"),
        ("pybackdoor.oracles.heston", "from pybackdoor.oracles.cuda import rows"),
        ("pybackdoor.oracles.heston", "from pybackdoor.oracles.cuda.rows import store"),
    ],
)
def test_the_check_sees_a_wrong_arrow(module, source):
    assert len(faults(source, module)) >= 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pybackdoor.models.fit", "def f():\n    from tqdm import tqdm"),
        ("pybackdoor.data.sample", "from pybackdoor.oracles.oracle import Oracle"),
        ("pybackdoor.search.front", "from . import thinning\nfrom .thinning import thin"),
        ("pybackdoor.loops.audit", "from pybackdoor.defense import repair"),
        ("pybackdoor.oracles.heston", "def f():\n    from pybackdoor.oracles.cuda import rows"),
        ("pybackdoor.oracles.cuda.rows", "from numba import cuda\nfrom pybackdoor.oracles.cuda.launch import kernel"),
        ("pybackdoor.oracles.on_device", "from pybackdoor.oracles.cuda.availability import unavailable"),
    ],
)
def test_the_check_lets_a_right_arrow_pass(module, source):
    assert faults(source, module) == []
