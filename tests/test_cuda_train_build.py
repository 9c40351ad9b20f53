"""The CUDA training as compiled, without a device: no spills, no double precision, products from shared memory, placements that fit the chip."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from compiled_kernels import assembled, doubles, machine_code

H200, A100 = 227 * 1024, 163 * 1024
WIDTHS = (32, 64, 128, 256)
KERNELS = [(width, tensor) for width in WIDTHS for tensor in (False, True)]


@pytest.fixture(scope="module")
def native():
    return pytest.importorskip("pybackdoor._native_cuda", reason="the CUDA module is not built")


@pytest.fixture(scope="module")
def kernels(native) -> dict[tuple[str, int, bool], Counter]:
    """By architecture, width and whether products are on tensor cores: operations and needs of every training in the module as built."""
    found = {}
    for (architecture, name), needs in machine_code(native, "train_kernel").items():
        width, tensor = re.search(r"TrainTileILi(\d+)ELb([01])E", name).groups()
        found[architecture, int(width), tensor == "1"] = needs
    return found


def test_the_module_has_every_kernel_and_none_spills(native, kernels):
    architectures = {target.split("-")[0] for target in native.targets.split()}
    assert {"80", "90"} <= architectures
    assert sorted(kernels) == sorted((architecture, *kernel) for architecture in architectures for kernel in KERNELS)
    for kernel, needs in kernels.items():
        print(f"{kernel}: {needs['REG']} registers")
        assert needs["STACK"] == needs["LOCAL"] == 0, kernel
        assert 0 < needs["REG"] <= 255  # 256 threads a block, one block a multiprocessor


def test_machine_code_is_single_precision_and_reads_shared_memory_wide(kernels):
    for kernel, operations in kernels.items():
        assert doubles(operations) == []
        tensor = operations["HMMA.1688.F32.TF32"]
        if kernel[2]:
            assert tensor >= 2 * 48 + 24, kernel  # 48 a panel, forward and backward, and the gradient's
        else:
            assert tensor == 0
            assert operations["LDS.128"] > 100, kernel
            assert operations["FFMA"] > 7.5 * operations["LDS.128"]  # 8 a load in the products
        generic = [operation for operation in operations if re.match(r"(LD|ST|ATOM|RED)(\.E)?(\.|$)", operation)]
        assert generic == [], f"{kernel}: shared memory is read by generic addresses, or something is added atomically"
        assert not any(re.match(r"(ATOM|RED)", operation) for operation in operations)


def test_intermediate_code_has_no_doubles_and_assembles_without_spills_for_newer_chips(native, tmp_path):
    spilled = assembled(native, "train_kernel", "sm_90a", tmp_path)
    assert len(spilled) == len(KERNELS)
    assert set(spilled.values()) == {(0, 0, 0)}


NETWORKS = {
    "64x4": (5, [64] * 4),
    "32x4": (5, [32] * 4),
    "odd": (7, [33, 5, 61]),
    "128x4": (8, [128] * 4),
    "256x8": (8, [256] * 8),
    "deep": (5, [64] * 32),
    "features": (64, [64] * 4),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shared_bytes", [H200, A100], ids=["H200", "A100"])
@pytest.mark.parametrize("batch_size", [1, 256, 10**6])
def test_placements_fit_the_chip(native, name, shared_bytes, batch_size):
    dimension, widths = NETWORKS[name]
    shape = native.TrainShape(dimension, widths, 3)
    assert shape.refusal(shared_bytes) is None
    place = native.place_train(shape, batch_size, shared_bytes)
    assert place.shared_bytes <= shared_bytes
    assert place.width == next(width for width in WIDTHS if width >= max(widths))
    assert place.tile * place.width == 4096
    assert (place.workspace_floats == 0) == (place.gradients_near and place.slopes_near and place.values_near)


def test_the_bars_network_stays_on_the_chip(native):
    """64x4 with batches of 256 on an H200: all but the moments in shared memory; 128x3 leaves the gradient in the cache, 128x4 the weights too."""
    shape = native.TrainShape(5, [64] * 4, 3)
    place = native.place_train(shape, 256, H200)
    assert (place.weights_near, place.gradients_near, place.slopes_near, place.values_near) == (True, True, True, True)
    assert (place.numbers, place.shared_bytes) == (13_124, 229_408)
    wide = native.place_train(native.TrainShape(8, [128] * 3, 3), 256, H200)
    assert (wide.weights_near, wide.gradients_near, wide.slopes_near, wide.values_near) == (True, False, True, True)
    wider = native.place_train(native.TrainShape(8, [128] * 4, 3), 256, H200)
    assert (wider.weights_near, wider.gradients_near, wider.slopes_near, wider.values_near) == (False, False, True, True)


@pytest.mark.parametrize(
    ("dimension", "widths", "reason"),
    [
        (257, [8], "1 to 256 features"),
        (3, [257], "1 to 256 units"),
        (3, [], "1 to 32 hidden layers"),
        (3, [8] * 33, "1 to 32 hidden layers"),
        (250, [250], "the first layer does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(native, dimension, widths, reason):
    shape = native.TrainShape(dimension, widths, 0)
    assert reason in shape.refusal(H200)
    with pytest.raises(ValueError, match=reason):
        native.place_train(shape, 10, H200)
