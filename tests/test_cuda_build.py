"""The CUDA kernels as compiled, without a device: no spills, no double precision, shared memory read as such, plans that fit the chip."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[1] / "csrc"
FLAGS = ["-std=c++20", "-O3", "--fmad=false", "--expt-relaxed-constexpr", f"-I{CSRC}", f"-I{CSRC / 'include'}"]
H200 = (132, 227 * 1024)
A100 = (108, 163 * 1024)
NETWORKS = {"64x3": (8, [64] * 3), "128x4": (8, [128] * 4), "16x2": (2, [16] * 2), "512x3": (64, [512] * 3), "linear": (5, [])}


@pytest.fixture(scope="module")
def nvcc() -> str:
    found = shutil.which("nvcc")
    if found is None:
        pytest.skip("nvcc is not on the PATH")
    return found


@pytest.fixture(scope="module")
def disassembler() -> str:
    found = shutil.which("cuobjdump")
    if found is None:
        spec = importlib.util.find_spec("triton")
        candidate = None if spec is None or spec.origin is None else Path(spec.origin).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        found = str(candidate) if candidate is not None and candidate.exists() else None
    if found is None:
        pytest.skip("cuobjdump is neither on the PATH nor in an installed triton")
    return found


@pytest.fixture(scope="module", params=["80", "90"])
def compiled(request, nvcc, tmp_path_factory) -> tuple[Path, str]:
    """The cubin of ascent.cu and what ptxas said of it."""
    cubin = tmp_path_factory.mktemp("cuda") / f"ascent_{request.param}.cubin"
    target = f"-gencode=arch=compute_{request.param},code=sm_{request.param}"
    done = subprocess.run(
        [nvcc, *FLAGS, target, "-cubin", "-Xptxas", "-v", "-o", str(cubin), str(CSRC / "cuda" / "ascent.cu")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return cubin, done.stdout + done.stderr


def test_no_kernel_spills(compiled):
    _, said = compiled
    stacks = [tuple(map(int, numbers)) for numbers in re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)]
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", said)]
    assert len(stacks) == len(registers) == 4
    assert set(stacks) == {(0, 0, 0)}
    assert max(registers) <= 255  # 256 threads a block, one block a multiprocessor


def test_flags_are_those_of_the_build():
    said = (CSRC / "cuda" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert all(flag in said for flag in FLAGS[:4])


def test_machine_code_is_single_precision_and_wide(compiled, disassembler):
    cubin, _ = compiled
    # nvdisasm is looked for beside cuobjdump's callers
    environment = {"PATH": f"{Path(disassembler).parent}:/usr/bin:/bin"}
    said = subprocess.run([disassembler, "--dump-sass", str(cubin)], capture_output=True, text=True, check=True, env=environment).stdout
    kernels = re.split(r"Function : ", said)[1:]
    assert len(kernels) == 4
    for kernel in kernels:
        name = kernel.split()[0]
        operations = Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z][A-Z0-9_.]*)", kernel))
        assert operations["FFMA"] > 500, name
        double = [name for name in operations if re.match(r"(DADD|DMUL|DFMA|DSETP|DMNMX)\b", name) or "F64" in name or "RCP64" in name]
        assert double == []
        assert operations["LDS.128"] > 30  # activations
        assert not any(operation.startswith("LD.E.128") for operation in operations), f"{name}: weights are read by generic addresses"
        through_caches = sum(number for operation, number in operations.items() if operation.startswith("LDG.E.128.CONSTANT"))
        assert (through_caches > 0) == ("Lb0E" in name)


def test_intermediate_code_for_newer_chips_has_no_doubles(nvcc, tmp_path):
    target = tmp_path / "ascent.ptx"
    subprocess.run([nvcc, *FLAGS, "-arch=compute_90", "-ptx", "-o", str(target), str(CSRC / "cuda" / "ascent.cu")], check=True)
    text = target.read_text(encoding="utf-8")
    assert ".target sm_90" in text
    assert ".f32" in text
    assert ".f64" not in text


@pytest.fixture(scope="module")
def native():
    return pytest.importorskip("pybackdoor._native_cuda", reason="the CUDA module is not built")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("count", [1, 1024, 10**4, 10**6, 10**7])
@pytest.mark.parametrize("chip", [H200, A100], ids=["H200", "A100"])
def test_plans_fit_the_chip(native, name, count, chip):
    dimension, widths = NETWORKS[name]
    shape = native.NetworkShape(dimension, widths, 3, False)
    plan = native.plan(shape, shape, count, native.Parts(1, 1, 1, 1, 1), *chip)
    assert plan.shared_bytes <= chip[1]
    assert 1 <= plan.blocks <= chip[0]
    assert plan.team * plan.teams <= 8
    assert plan.team * plan.tile >= max([dimension, *widths])
    assert plan.workspace_bytes < 2**27  # however many seeds


def test_the_bars_networks_stay_on_the_chip(native):
    """64x3 keeps its weights in shared memory beside eight full warps; 128x4, whose weights do not fit, fills eight warps too."""
    parts = native.Parts(1, 0, 0, 0, 0)
    narrow = native.plan(native.NetworkShape(8, [64] * 3, 3, False), None, 10**6, parts, *H200)
    assert (narrow.tile, narrow.team, narrow.teams, narrow.resident, narrow.state_shared) == (64, 1, 8, True, True)
    wide = native.plan(native.NetworkShape(8, [128] * 4, 3, False), None, 10**6, parts, *H200)
    assert (wide.tile, wide.team, wide.teams, wide.state_shared) == (64, 2, 4, True)


@pytest.mark.parametrize(
    ("dimension", "widths", "reason"), [(65, [8], "1 to 64 features"), (3, [513], "1 to 512 units"), (3, [8] * 17, "16 hidden layers")]
)
def test_what_does_not_fit_is_refused_with_the_reason(native, dimension, widths, reason):
    shape = native.NetworkShape(dimension, widths, 0, False)
    assert reason in shape.refusal()
    with pytest.raises(ValueError, match=reason):
        native.plan(shape, None, 10, native.Parts(1, 0, 0, 0, 0), *H200)
