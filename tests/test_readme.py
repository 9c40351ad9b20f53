"""The README tells the truth: its example runs and finds what it says, its commands and links exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs_and_finds_the_poison(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    poisoned, rows, calls = capsys.readouterr().out.split()
    assert poisoned == "True"
    assert int(rows) == 200
    assert float(calls) <= 20


def test_links_and_folders_exist() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert linked
    for target in [*linked, *re.findall(r"`((?:pybackdoor|csrc|examples)[/\w]*/?)`", TEXT)]:
        assert (ROOT / target).exists(), target


def test_the_second_command_is_one_line() -> None:
    (command,) = re.findall(r"<!-- second command -->\n```\n(.*)\n```", TEXT)
    assert command == "pip install '.[test]' && pytest -n 2 --dist loadfile"
