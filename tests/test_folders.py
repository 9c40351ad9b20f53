"""A folder of results appears whole or not at all, and nobody's files are lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybackdoor.errors import FileRefusedError
from pybackdoor.folders import replacing_folder


def fill(folder: Path, text: str = "one") -> None:
    (folder / "run.json").write_text(json.dumps({"program": "pybackdoor"}))
    (folder / "sub").mkdir()
    (folder / "sub" / "result.txt").write_text(text)


def made(path: Path, text: str = "one", **options: bool) -> None:
    with replacing_folder(path, **options) as folder:
        assert folder != path
        fill(folder, text)


def test_the_folder_appears_when_the_block_ends(tmp_path):
    with replacing_folder(tmp_path / "out") as folder:
        fill(folder)
        assert not (tmp_path / "out").exists()
    assert json.loads((tmp_path / "out" / "run.json").read_text())["files"] == ["run.json", "sub/result.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_the_block_raises(tmp_path, failure):
    def broken() -> None:
        with replacing_folder(tmp_path / "out") as folder:
            fill(folder, "new")
            raise failure

    made(tmp_path / "out", "old")
    with pytest.raises(failure):
        broken()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "sub" / "result.txt").read_text() == "old"


def test_our_own_folder_is_replaced_and_an_empty_one_filled(tmp_path):
    (tmp_path / "out").mkdir()
    made(tmp_path / "out", "first")
    made(tmp_path / "out", "second")
    assert (tmp_path / "out" / "sub" / "result.txt").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def strange(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").write_text("dear")


def added_to(folder: Path) -> None:
    made(folder)
    (folder / "notes.txt").write_text("dear")


def linked_from(folder: Path) -> None:
    made(folder)
    (folder / "link").symlink_to("/")


def hostile(folder: Path) -> None:
    folder.mkdir()
    (folder / "run.json").write_text("[" * 100_000)


def plain_file(folder: Path) -> None:
    folder.write_text("dear")


@pytest.mark.parametrize("standing", [strange, added_to, linked_from, hostile, plain_file])
def test_what_is_not_ours_is_refused_and_with_force_moved_aside(tmp_path, standing):
    standing(tmp_path / "out")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(FileRefusedError, match="use --force to move it aside"):
        made(tmp_path / "out")
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    made(tmp_path / "out", force=True)
    assert (tmp_path / "out" / "sub" / "result.txt").read_text() == "one"
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.read_text() in ("dear", "[" * 100_000)]
    assert len(kept) == (0 if standing is linked_from else 1)
    assert (tmp_path / "out.old-1").exists()


@pytest.mark.parametrize("place", ["missing/out", "file/out"])
def test_a_place_that_cannot_be_written_is_refused_on_entry(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileRefusedError, match="cannot be written"), replacing_folder(tmp_path / place):
        pytest.fail("the block must not run")


def test_the_current_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    for place in (".", ".."):
        with pytest.raises(FileRefusedError, match=r"current folder|not a folder"), replacing_folder(place, force=True):
            pytest.fail("the block must not run")
