"""`pybackdoor info`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pybackdoor.cli.options import COMMON, Command, CommonOptions


@dataclass(frozen=True, kw_only=True)
class Info(Command):
    """Tell what runs here: versions, instruction set, threads, GPU, and which backend serves which op and why not the others.

    Example: pybackdoor info --json
    """

    json: bool = False
    """Print it as JSON."""
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Prints what was found."""
        import json

        from pybackdoor.info import collect

        found = collect()
        print(json.dumps(found, indent=2) if self.json else "\n".join(_lines(found)))
        return 0


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"{name:16} {version}" for name, version in found["versions"].items()]
    lines += ["", f"{'threads':16} {found['threads']} of {found['cores']} cores", f"{'instruction set':16} {found['instruction_set']}"]
    gpus = found["gpu"] if isinstance(found["gpu"], list) else [found["gpu"]]
    lines += [f"{'GPU':16} {gpu}" for gpu in gpus]
    named = {"NVIDIA driver": "driver", "CUDA module": "cuda_module", "Triton": "triton", "GPU oracles": "oracle_kernels"}
    lines += [f"{label:16} {found[key]}" for label, key in named.items()]
    for op, devices in found["backends"].items():
        for device, backends in devices.items():
            lines += ["", f"ops.{op} on {device}: {backends['serves'] or 'nothing'} serves"]
            lines += [f"    {name}: {reason or 'can, but is slower'}" for name, reason in backends["others"].items()]
        lines += [f"    order on a GPU: {found['order'][op]}"]
    return lines
