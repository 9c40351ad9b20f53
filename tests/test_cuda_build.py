"""The CUDA ascent as compiled, without a device: no spills, no double precision, tensor cores where asked for, shared memory read as such, plans that
fit the chip."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
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


@pytest.fixture(scope="module")
def native():
    return pytest.importorskip("pybackdoor._native_cuda", reason="the CUDA module is not built")


@dataclass(frozen=True)
class Kernel:
    """One of the built module's ascents: rows of a warp's tile, weights in shared memory or not, products on tensor cores or not."""

    architecture: str
    rows: int
    resident: bool
    tensor: bool


KERNELS = [(rows, resident, tensor) for rows in (32, 64) for resident in (False, True) for tensor in (False, True)]


def kernel_of(name: str, architecture: str) -> Kernel | None:
    found = re.search(r"ascent_kernelINS_5ShapeILi(\d)ELi\dELb([01])ELb([01])E", name)
    return found and Kernel(architecture, 8 * int(found[1]), found[2] == "1", found[3] == "1")


@pytest.fixture(scope="module")
def machine_code(native, disassembler) -> dict[Kernel, Counter]:
    """Operations of every ascent in the module as built, for sm_80 and sm_90, and what it needs under "REG", "STACK" and "LOCAL"."""
    environment = {"PATH": f"{Path(disassembler).parent}:/usr/bin:/bin"}  # nvdisasm is looked for beside cuobjdump's callers

    def said(*options: str) -> list[str]:
        done = subprocess.run([disassembler, *options, native.__file__], capture_output=True, text=True, check=True, env=environment)
        return re.split(r"arch = sm_", done.stdout)[1:]

    found: dict[Kernel, Counter] = {}
    resources = said("--dump-resource-usage")
    names = sorted(set(re.findall(r"Function (\S*ascent_kernel\S*):", "".join(resources))))
    for file in said("--dump-sass", "--function", ",".join(names)):
        for text in re.split(r"Function : ", file)[1:]:
            kernel = kernel_of(text.split()[0], file.split()[0])
            if kernel is not None:
                found[kernel] = Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z][A-Z0-9_.]*)", text))
    for file in resources:
        for name, needs in re.findall(r"Function (\S+):\s+(REG.*)", file):
            kernel = kernel_of(name, file.split()[0])
            if kernel is not None:
                found[kernel].update({key: int(number) for key, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", needs)})
    return found


def test_the_module_has_every_kernel_and_none_spills(native, machine_code):
    architectures = {target.split("-")[0] for target in native.targets.split()}
    assert {"80", "90"} <= architectures
    assert {kernel.architecture for kernel in machine_code} == architectures
    assert len(machine_code) == len(KERNELS) * len(architectures)
    for kernel, needs in machine_code.items():
        print(f"{kernel}: {needs['REG']} registers")
        assert needs["STACK"] == needs["LOCAL"] == 0, kernel
        assert 0 < needs["REG"] <= 255  # 256 threads a block, one block a multiprocessor


def test_machine_code_is_single_precision_and_wide(machine_code):
    for kernel, operations in machine_code.items():
        if kernel.tensor:  # a step of eight columns, forward and backward, three for one and one
            assert operations["HMMA.1688.F32.TF32"] == 2 * (3 + 1) * (kernel.rows // 16) ** 2, kernel
        else:
            assert not any(operation.startswith("HMMA") for operation in operations)
            assert operations["FFMA"] > 500, kernel
            assert operations["LDS.128"] > 30  # activations
        double = [name for name in operations if re.match(r"(DADD|DMUL|DFMA|DSETP|DMNMX)\b", name) or "F64" in name or "RCP64" in name]
        assert double == []
        assert not any(operation.startswith("LD.E.128") for operation in operations), f"{kernel}: weights are read by generic addresses"
        through_caches = sum(number for operation, number in operations.items() if operation.startswith("LDG.E.128.CONSTANT"))
        assert (through_caches > 0) == (not kernel.resident), kernel


def test_flags_are_those_of_the_build():
    said = (CSRC / "cuda" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert all(flag in said for flag in FLAGS[:4])


def test_intermediate_code_for_newer_chips_has_no_doubles_and_assembles_without_spills(native, disassembler, tmp_path):
    """The module's own, for sm_90a."""
    assembler = shutil.which("ptxas")
    if assembler is None:
        pytest.skip("ptxas is not on the PATH")
    subprocess.run([disassembler, "--extract-ptx", "all", native.__file__], check=True, capture_output=True, cwd=tmp_path)
    seen = set()
    for file in sorted(tmp_path.glob("*.ptx")):
        text = file.read_text(encoding="utf-8")
        if "ascent_kernel" not in text:
            continue
        assert ".target sm_90" in text
        assert ".f32" in text
        assert ".f64" not in text
        done = subprocess.run(
            [assembler, "-v", "-O3", "-arch=sm_90a", "-o", str(tmp_path / "out"), str(file)], capture_output=True, text=True, check=True
        )
        numbers = re.findall(
            r"'(\S*ascent_kernel\S*)' for 'sm_90a'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads",
            done.stdout + done.stderr,
            re.DOTALL,
        )
        seen |= {name for name, *_ in numbers}
        assert {tuple(map(int, spilled)) for _, *spilled in numbers} == {(0, 0, 0)}
    assert len(seen) == len(KERNELS)


@pytest.mark.parametrize("tensor", [False, True], ids=["fused", "tensor"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("count", [1, 1024, 10**4, 10**6, 10**7])
@pytest.mark.parametrize("chip", [H200, A100], ids=["H200", "A100"])
def test_plans_fit_the_chip(native, name, count, chip, tensor):
    dimension, widths = NETWORKS[name]
    shape = native.NetworkShape(dimension, widths, 3, False)
    plan = native.plan(shape, shape, count, native.Parts(1, 1, 1, 1, 1), *chip, tensor)
    assert plan.shared_bytes <= chip[1]
    assert 1 <= plan.blocks <= chip[0]
    assert plan.team * plan.teams <= 8
    assert plan.team * plan.tile >= max([dimension, *widths])
    assert plan.workspace_bytes < 2**27  # however many seeds


@pytest.mark.parametrize("tensor", [False, True], ids=["fused", "tensor"])
@pytest.mark.parametrize("dimension", [1, 64])
@pytest.mark.parametrize("chip", [H200, A100, (84, 99 * 1024)], ids=["H200", "A100", "sm_89"])
def test_every_width_and_depth_has_a_plan(native, dimension, chip, tensor):
    """16 to 512 units in 1 to 16 layers, every part of the objective, a second network of 512 units: nothing that is not refused lacks room."""
    second = native.NetworkShape(dimension, [512] * 16, 3, False)
    for width in (1, 16, 31, 32, 33, 64, 65, 100, 128, 200, 256, 257, 320, 384, 511, 512):
        for hidden in (1, 2, 3, 4, 7, 16):
            shape = native.NetworkShape(dimension, [width] * hidden, 3, True)
            for other in (None, second):
                for count in (1, 5000, 10**7):
                    plan = native.plan(shape, other, count, native.Parts(1, 1, 1, 1, 1), *chip, tensor)
                    assert plan.shared_bytes <= chip[1]
                    assert plan.team * plan.tile >= (512 if other is second else width)
                    assert plan.workspace_bytes < 2**28


def test_a_chip_too_small_is_refused(native):
    shape = native.NetworkShape(64, [512], 3, False)
    with pytest.raises(ValueError, match="shared memory"):
        native.plan(shape, None, 10, native.Parts(1, 0, 0, 0, 0), 10, 48 * 1024, False)


def test_the_bars_networks_stay_on_the_chip(native):
    """64x3 keeps its weights in shared memory beside eight full warps, in both forms; 128x4, whose weights do not fit, fills eight warps too."""
    parts = native.Parts(1, 0, 0, 0, 0)
    for tensor in (False, True):
        narrow = native.plan(native.NetworkShape(8, [64] * 3, 3, False), None, 10**6, parts, *H200, tensor)
        assert (narrow.tile, narrow.team, narrow.teams, narrow.resident, narrow.state_shared) == (64, 1, 8, True, True)
        wide = native.plan(native.NetworkShape(8, [128] * 4, 3, False), None, 10**6, parts, *H200, tensor)
        assert (wide.tile, wide.team, wide.teams, wide.state_shared) == (64, 2, 4, True)


@pytest.mark.parametrize(
    ("dimension", "widths", "reason"), [(65, [8], "1 to 64 features"), (3, [513], "1 to 512 units"), (3, [8] * 17, "16 hidden layers")]
)
def test_what_does_not_fit_is_refused_with_the_reason(native, dimension, widths, reason):
    shape = native.NetworkShape(dimension, widths, 0, False)
    assert reason in shape.refusal()
    with pytest.raises(ValueError, match=reason):
        native.plan(shape, None, 10, native.Parts(1, 0, 0, 0, 0), *H200, False)
