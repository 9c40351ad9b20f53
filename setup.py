"""Builds the native modules with CMake; everything else is declared in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def find_tool(name: str, advice: str) -> str:
    """The tool from this Python's environment or the PATH, or a message that says what to install."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        raise SystemExit(f"pybackdoor: {name} was not found; {advice}")
    return found


class CMakeBuild(build_ext):
    """One CMake build for all extensions, in a folder that stays, so that a second build compiles only what changed."""

    def run(self) -> None:
        """Configures, builds, and leaves the modules where setuptools looks for them."""
        compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            raise SystemExit(
                "pybackdoor: no C++ compiler was found; install one with C++20 (Debian and Ubuntu: apt install g++; "
                "Fedora: dnf install gcc-c++; macOS: xcode-select --install) or name it in CXX"
            )
        cmake = find_tool("cmake", "pip install cmake")
        import pybind11

        target = Path(self.get_ext_fullpath("pybackdoor._native")).resolve().parent
        tag = f"{sys.implementation.cache_tag}-{self.plat_name}"
        folder = ROOT / "build" / f"cmake-{tag}"
        configure = [
            cmake,
            "-S",
            str(ROOT),
            "-B",
            str(folder),
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DPYBACKDOOR_OUTPUT={target}",
            f"-DPYBACKDOOR_CUDA={os.environ.get('PYBACKDOOR_CUDA', 'AUTO')}",
            "-DPYBACKDOOR_TESTS=OFF",
        ]
        ninja = shutil.which("ninja", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
        if ninja:
            configure += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        try:
            subprocess.run(configure, check=True)
            subprocess.run([cmake, "--build", str(folder), "--parallel", str(os.cpu_count() or 1)], check=True)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"pybackdoor: the native build failed (exit {error.returncode}); the compiler's message is above") from error


setup(ext_modules=[Extension("pybackdoor._native", sources=[])], cmdclass={"build_ext": CMakeBuild})
