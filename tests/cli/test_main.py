"""What the command line promises whatever the command: help, exit statuses, interruption, one place for every failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pybackdoor.cli.main import COMMANDS, main
from pybackdoor.errors import OracleFailedError


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_teaches_by_an_example(name, capsys):
    assert main([name, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Example: pybackdoor {name}" in text
    assert "--threads" in text


def test_the_front_lists_all_commands(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"• {name}" in text
        assert (command.__doc__ or "").split()[0] in text


def test_the_examples_in_the_help_parse(monkeypatch):
    from pybackdoor.cli.main import parse

    for command in COMMANDS.values():
        line = " ".join((command.__doc__ or "").split()).partition("Example: pybackdoor ")[2]
        assert isinstance(parse(line.split()), command), line


def test_version(capsys):
    from pybackdoor import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pybackdoor {__version__}\n"


@pytest.fixture
def failing(monkeypatch):
    """Makes `sample` end with the given exception after it has begun to write."""

    def arrange(error: BaseException) -> None:
        def broken(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("pybackdoor.data.sample", broken)

    return arrange


SAMPLE = ["sample", "--oracle", "branin", "--out", "new.parquet"]


def test_an_internal_failure_is_status_1_and_short(desk, failing, capfd, contents):
    failing(ZeroDivisionError("float division by zero"))
    before = contents(desk)
    assert main(SAMPLE) == 1
    _, err = capfd.readouterr()
    assert err == ("pybackdoor: internal failure: ZeroDivisionError: float division by zero (run it again with --debug to see where)\n")
    assert contents(desk) == before


def test_debug_shows_the_traceback(desk, failing, capfd):
    failing(ZeroDivisionError("float division by zero"))
    assert main([*SAMPLE, "--debug"]) == 1
    assert "Traceback (most recent call last)" in capfd.readouterr().err


def test_an_interrupt_is_status_130_and_leaves_nothing(desk, failing, capfd, contents):
    failing(KeyboardInterrupt())
    before = contents(desk)
    assert main(SAMPLE) == 130
    assert capfd.readouterr().err == "pybackdoor: interrupted; nothing was left half-written\n"
    assert contents(desk) == before


def test_a_stopped_job_leaves_nothing(desk, monkeypatch, capfd, contents):
    monkeypatch.setattr("pybackdoor.data.sample", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    before, handler = contents(desk), signal.getsignal(signal.SIGTERM)
    assert main(SAMPLE) == 130
    assert contents(desk) == before
    assert signal.getsignal(signal.SIGTERM) == handler


def test_an_error_of_several_lines_is_told_on_one(desk, failing, refused):
    failing(OracleFailedError("row 3:\n  not converged"))
    assert refused(SAMPLE) == "pybackdoor: error: row 3: not converged\n"


def test_options_are_those_of_the_library():
    from dataclasses import MISSING, fields

    from pybackdoor.attack import LocalizedAttack
    from pybackdoor.cli.audit import Audit
    from pybackdoor.cli.learn import Learn
    from pybackdoor.cli.options import FIT
    from pybackdoor.cli.poison import Poison
    from pybackdoor.loops import AuditConfig, LearnConfig
    from pybackdoor.models import FitConfig

    assert FIT.config == FitConfig()
    for command, config in ((Audit, AuditConfig), (Poison, LocalizedAttack), (Learn, LearnConfig)):
        library = {field.name: field.default for field in fields(config) if field.default is not MISSING}
        shared = [field for field in fields(command) if field.name in library]
        assert len(shared) >= 3
        assert {field.name: field.default for field in shared} == {field.name: library[field.name] for field in shared}


def test_threads_reach_the_kernels(monkeypatch, capsys):
    from pybackdoor import settings

    monkeypatch.setenv("PYBACKDOOR_THREADS", "3")
    assert main(["info"]) == 0
    assert "3 of" in capsys.readouterr().out
    assert main(["info", "--threads", "2"]) == 0
    assert "2 of" in capsys.readouterr().out
    assert settings.threads() == 3


def test_a_closed_pipe_ends_quietly():
    done = subprocess.run(f"{sys.executable} -m pybackdoor oracles | head -c 1", shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_the_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "pybackdoor", "sample"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("pybackdoor: error: Missing")
    assert done.stderr.count("\n") == 1
