"""The CUDA training as compiled, without a device: no spills, no double precision, products from shared memory, placements that fit the chip."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from test_cuda_build import CSRC, FLAGS, disassembler, nvcc  # noqa: F401  (fixtures)

SOURCE = CSRC / "cuda" / "train.cu"
H200, A100 = 227 * 1024, 163 * 1024
WIDTHS = (32, 64, 128, 256)


@pytest.fixture(scope="module", params=["80", "90a"])
def compiled(request, nvcc, tmp_path_factory) -> tuple[Path, str]:  # noqa: F811
    """The cubin of train.cu and what ptxas said of it."""
    cubin = tmp_path_factory.mktemp("cuda") / f"train_{request.param}.cubin"
    target = f"-gencode=arch=compute_{request.param},code=sm_{request.param}"
    command = [nvcc, *FLAGS, target, "-cubin", "-Xptxas", "-v", "-o", str(cubin), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return cubin, done.stdout + done.stderr


def test_no_kernel_spills(compiled):
    _, said = compiled
    kernels = re.findall(
        r"TrainTileILi(\d+)ELb([01])E.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers",
        said,
        re.DOTALL,
    )
    assert sorted((int(width), int(tensor)) for width, tensor, *_ in kernels) == [(width, tensor) for width in WIDTHS for tensor in (0, 1)]
    for width, tensor, stack, stores, loads, registers in kernels:
        print(f"{width} wide{' on tensor cores' if tensor == '1' else ''}: {registers} registers")
        assert (stack, stores, loads) == ("0", "0", "0")
        assert int(registers) <= 255  # 256 threads a block, one block a multiprocessor


def test_machine_code_is_single_precision_and_reads_shared_memory_wide(compiled, disassembler):  # noqa: F811
    environment = {"PATH": f"{Path(disassembler).parent}:/usr/bin:/bin"}
    said = subprocess.run([disassembler, "--dump-sass", str(compiled[0])], capture_output=True, text=True, check=True, env=environment).stdout
    kernels = re.split(r"Function : ", said)[1:]
    assert len(kernels) == 2 * len(WIDTHS)
    for kernel in kernels:
        name = kernel.split()[0]
        operations = Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z][A-Z0-9_.]*)", kernel))
        double = [name for name in operations if re.match(r"(DADD|DMUL|DFMA|DSETP|DMNMX)\b", name) or "F64" in name or "RCP64" in name]
        assert double == []
        tensor = operations["HMMA.1688.F32.TF32"]
        if "Lb1E" in name:
            assert tensor >= 2 * 48 + 24, name  # 48 a panel, forward and backward, and the gradient's
        else:
            assert tensor == 0
            assert operations["LDS.128"] > 100, name
            assert operations["FFMA"] > 7.5 * operations["LDS.128"]  # 8 a load in the products
        generic = [operation for operation in operations if re.match(r"(LD|ST|ATOM|RED)(\.E)?(\.|$)", operation)]
        assert generic == [], f"{name}: shared memory is read by generic addresses, or something is added atomically"
        assert not any(re.match(r"(ATOM|RED)", operation) for operation in operations)


def test_intermediate_code_for_newer_chips_has_no_doubles(nvcc, tmp_path):  # noqa: F811
    target = tmp_path / "train.ptx"
    subprocess.run([nvcc, *FLAGS, "-arch=compute_90", "-ptx", "-o", str(target), str(SOURCE)], check=True)
    text = target.read_text(encoding="utf-8")
    assert ".target sm_90" in text
    assert ".f32" in text
    assert ".f64" not in text


@pytest.fixture(scope="module")
def native():
    return pytest.importorskip("pybackdoor._native_cuda", reason="the CUDA module is not built")


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
