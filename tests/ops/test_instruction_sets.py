"""The native module holds code for several instruction sets: none may use instructions wider than its own name says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from ascent_cases import INSTRUCTION_SETS, cube_points, random_network

from pybackdoor import _native
from pybackdoor.errors import InputError
from pybackdoor.ops.ascent import value_and_input_gradient
from pybackdoor.ops.ascent.cpu import BACKEND
from pybackdoor.settings import use_instruction_set

AVX512 = re.compile(r"%zmm|%k[0-7]|%[xy]mm(1[6-9]|2\d|3[01])\b")
AVX = re.compile(r"^\s+[0-9a-f]+:\s+v(?!err|erw)|%ymm")  # every AVX mnemonic starts with v


def functions() -> Iterator[tuple[str, str]]:
    """(demangled name, disassembly) of each function of the module."""
    listing = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", _native.__file__], capture_output=True, text=True, check=True).stdout
    for block in re.split(r"\n\n(?=[0-9a-f]{8,} <)", listing)[1:]:
        head, _, body = block.partition("\n")
        yield head.partition("<")[2].rstrip(">:"), body


@pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump (binutils) is not installed")
@pytest.mark.skipif("avx2" not in INSTRUCTION_SETS, reason="not an x86-64 machine with AVX2")
def test_no_function_is_wider_than_its_set() -> None:
    seen = {"avx512": 0, "avx2": 0, "other": 0}
    for name, body in functions():
        if "avx512::" in name:
            seen["avx512"] += bool(AVX512.search(body))
        elif "avx2::" in name:
            assert not AVX512.search(body), name
            seen["avx2"] += bool(AVX.search(body))
        else:
            assert not AVX512.search(body), name
            assert not re.search(AVX.pattern, body, re.MULTILINE), name
            seen["other"] += "portable::" in name
    assert min(seen.values()) > 10, seen  # the symbols are there, and the patterns find what they should


def test_portable_is_always_there() -> None:
    assert INSTRUCTION_SETS[-1] == "portable"


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_the_set_can_be_chosen(name: str) -> None:
    network = random_network((9,), 3, "tanh")
    with use_instruction_set(name):
        assert BACKEND.pack(network, "float32").instruction_set == name
        with use_instruction_set("portable"):
            assert BACKEND.pack(network, "float32").instruction_set == "portable"
        assert BACKEND.pack(network, "float32").instruction_set == name
    assert BACKEND.pack(network, "float32").instruction_set == INSTRUCTION_SETS[0]


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_the_environment_chooses(name: str) -> None:
    assert named_by_the_environment(name).stdout.strip() == name


def named_by_the_environment(name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", "from pybackdoor.settings import instruction_set; print(instruction_set())"]
    return subprocess.run(command, env={**os.environ, "PYBACKDOOR_ISA": name}, capture_output=True, text=True, check=False)


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(InputError, match="use_instruction_set='sse9' is not one of"), use_instruction_set("sse9"):
        pass
    assert "PYBACKDOOR_ISA='sse9' is not one of avx512, avx2, portable" in named_by_the_environment("sse9").stderr


def test_sets_agree() -> None:
    network, points = random_network((70, 31), 6, "gelu"), cube_points(50, 6)
    answers = []
    for name in INSTRUCTION_SETS:
        with use_instruction_set(name):
            answers.append(value_and_input_gradient(network, points, precision="float64")[1])
    for other in answers[1:]:
        torch.testing.assert_close(other, answers[0], rtol=1e-11, atol=1e-12)
