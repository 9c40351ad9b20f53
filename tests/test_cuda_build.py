"""The CUDA ascent as compiled, without a device: no spills, no double precision, tensor cores where asked for, shared memory read as such, plans that
fit the chip."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import pytest
from compiled_kernels import assembled, doubles
from compiled_kernels import machine_code as machine_code_of

H200 = (132, 227 * 1024)
A100 = (108, 163 * 1024)
NETWORKS = {"64x3": (8, [64] * 3), "128x4": (8, [128] * 4), "16x2": (2, [16] * 2), "512x3": (64, [512] * 3), "linear": (5, [])}


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
def machine_code(native) -> dict[Kernel, Counter]:
    """Operations and needs of every ascent in the module as built, for sm_80 and sm_90."""
    found = machine_code_of(native, "ascent_kernel")
    return {kernel: needs for (architecture, name), needs in found.items() if (kernel := kernel_of(name, architecture))}


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
        assert doubles(operations) == []
        assert not any(operation.startswith("LD.E.128") for operation in operations), f"{kernel}: weights are read by generic addresses"
        through_caches = sum(number for operation, number in operations.items() if operation.startswith("LDG.E.128.CONSTANT"))
        assert (through_caches > 0) == (not kernel.resident), kernel


def test_intermediate_code_has_no_doubles_and_assembles_without_spills_for_newer_chips(native, tmp_path):
    spilled = assembled(native, "ascent_kernel", "sm_90a", tmp_path)
    assert len(spilled) == len(KERNELS)
    assert set(spilled.values()) == {(0, 0, 0)}


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
