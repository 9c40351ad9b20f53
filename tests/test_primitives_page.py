"""docs/primitives.md tells the truth: its examples run from first to last as one program."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "primitives.md"


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(examples) == 7
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, PAGE.name, "exec"), names)
    statuses = ast.literal_eval(capsys.readouterr().out)  # the only thing printed: how many seeds ended how
    assert sum(statuses.values()) == 4096
