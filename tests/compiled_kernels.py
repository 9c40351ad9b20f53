"""What nvcc made of the CUDA module as built: machine code and resources of its kernels, and its intermediate code assembled for a newer chip."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest


def tool(name: str) -> str:
    """NVIDIA's tool of that name, from the PATH or an installed Triton; skips the test without one."""
    found = shutil.which(name)
    spec = importlib.util.find_spec("triton")
    if found is None and spec is not None and spec.origin is not None:
        beside = Path(spec.origin).parent / "backends" / "nvidia" / "bin" / name
        found = str(beside) if beside.exists() else None
    if found is None:
        pytest.skip(f"{name} is neither on the PATH nor in an installed triton")
    return found


def machine_code(native: Any, kernel: str) -> dict[tuple[str, str], Counter]:
    """By architecture ("80") and mangled name, for kernels whose name holds `kernel`: operations, and what it needs under REG, STACK and LOCAL."""
    disassembler = tool("cuobjdump")
    environment = {"PATH": f"{Path(disassembler).parent}:/usr/bin:/bin"}  # nvdisasm is looked for beside cuobjdump's callers

    def said(*options: str) -> list[str]:
        done = subprocess.run([disassembler, *options, native.__file__], capture_output=True, text=True, check=True, env=environment)
        return re.split(r"arch = sm_", done.stdout)[1:]

    found: dict[tuple[str, str], Counter] = {}
    resources = said("--dump-resource-usage")
    names = sorted(set(re.findall(rf"Function (\S*{kernel}\S*):", "".join(resources))))
    for file in said("--dump-sass", "--function", ",".join(names)):
        for text in re.split(r"Function : ", file)[1:]:
            key = file.split()[0], text.split()[0]
            found[key] = Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z][A-Z0-9_.]*)", text))
    for file in resources:
        for name, needs in re.findall(r"Function (\S+):\s+(REG.*)", file):
            if name in names:
                found[file.split()[0], name].update({key: int(number) for key, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", needs)})
    return found


def doubles(operations: Counter) -> list[str]:
    """Operations in double precision."""
    return [name for name in operations if re.match(r"(DADD|DMUL|DFMA|DSETP|DMNMX)\b", name) or "F64" in name or "RCP64" in name]


def assembled(native: Any, kernel: str, architecture: str, folder: Path) -> dict[str, tuple[int, ...]]:
    """The module's intermediate code assembled: by mangled name, bytes of stack frame, of spill stores and of spill loads; no doubles in the text."""
    assembler = tool("ptxas")
    subprocess.run([tool("cuobjdump"), "--extract-ptx", "all", native.__file__], check=True, capture_output=True, cwd=folder)
    found = {}
    for file in sorted(folder.glob("*.ptx")):
        text = file.read_text(encoding="utf-8")
        if kernel not in text:
            continue
        assert ".target sm_90" in text
        assert ".f32" in text
        assert ".f64" not in text
        command = [assembler, "-v", "-O3", f"-arch={architecture}", "-o", str(folder / "out"), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        pattern = rf"'(\S*{kernel}\S*)' for '{architecture}'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
        found |= {name: tuple(map(int, spilled)) for name, *spilled in re.findall(pattern, done.stdout + done.stderr, re.DOTALL)}
    return found
