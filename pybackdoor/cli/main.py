"""`pybackdoor`: parses the command line, runs the command, and turns every outcome into an exit status.

0 done; 3 and 4 from `audit` (poison confirmed, inconclusive); 2 bad input, one line on stderr; 1 an internal failure; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence

from pybackdoor import __version__
from pybackdoor.cli.audit import Audit
from pybackdoor.cli.bench import Bench
from pybackdoor.cli.demo import Demo
from pybackdoor.cli.info import Info
from pybackdoor.cli.learn import Learn
from pybackdoor.cli.options import Command
from pybackdoor.cli.oracles import Oracles
from pybackdoor.cli.poison import Poison
from pybackdoor.cli.repair import Repair
from pybackdoor.cli.sample import Sample
from pybackdoor.cli.train import Train
from pybackdoor.errors import InputError, PybackdoorError
from pybackdoor.settings import threads, use_threads

COMMANDS: dict[str, type[Command]] = {
    "demo": Demo,
    "sample": Sample,
    "poison": Poison,
    "train": Train,
    "audit": Audit,
    "repair": Repair,
    "learn": Learn,
    "bench": Bench,
    "oracles": Oracles,
    "info": Info,
}
DESCRIPTION = """Finds, plants and removes localized backdoors in regression surrogates, and trains surrogates actively.

Begin with `pybackdoor demo`. On files of your own: `pybackdoor audit --model M --data D --oracle O --out DIR`.
Exit status: 0 done, no poison confirmed; 3 poison confirmed; 4 inconclusive; 2 bad input; 1 internal failure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that `arguments` (default: those of the process) name and returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's pool would compete with the native kernels' threads; its own work here is small
    try:
        command = parse(words)
        if command is None:
            return 0
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # `module:callable` is looked for here too, and last: nothing here shadows a library
        with _logging(command), _termination(), use_threads(threads() if command.common.threads is None else command.common.threads):
            status = command.run(shlex.join(["pybackdoor", *words]))
            sys.stdout.flush()
            return status
    except PybackdoorError as error:
        return _told(f"error: {' '.join(str(error).split())}", 2, debug)
    except KeyboardInterrupt:
        return _told("interrupted; nothing was left half-written", 130, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has gone: flushing at exit must not raise again
        return 1
    except Exception as error:  # the last resort: what we did not foresee must not look like a verdict
        return _told(f"internal failure: {type(error).__name__}: {' '.join(str(error).split())} (run it again with --debug to see where)", 1, debug)


def parse(words: Sequence[str]) -> Command | None:
    """The command that `words` ask for, or None when they asked for help or the version, which has then been printed."""
    import tyro

    if list(words) == ["--version"]:
        print(f"pybackdoor {__version__}")
        return None
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            command: Command = tyro.extras.subcommand_cli_from_dict(
                dict(COMMANDS),
                prog="pybackdoor",
                description=DESCRIPTION,
                args=list(words),
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            )
    except SystemExit as end:
        if end.code:
            raise InputError(_one_line(complaint.getvalue())) from None
        return None
    return command


def _one_line(box: str) -> str:
    """The sentences of the parser's framed complaint, without frames and footers."""
    content = "\n".join(line.strip("│╰╯ ") for line in box.splitlines() if not line.startswith("╭"))  # the first line is a title
    parts = [" ".join(part.split()) for part in re.split(r"\n?─{3,}\n?", content)]
    footers = ("For full helptext", "Argument helptext")
    return "; ".join(part for part in parts if part and not part.startswith(footers)) + "; see `pybackdoor --help` or `pybackdoor COMMAND --help`"


def _told(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"pybackdoor: {message}", file=sys.stderr)
    return status


@contextlib.contextmanager
def _termination() -> Iterator[None]:
    """Lets SIGTERM interrupt like Ctrl-C, so that a job that is stopped cleans up as well."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class _Once(logging.Filter):
    """Lets each kind of message pass once: an oracle that fails on every batch is told of once."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[object] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, record.msg)
        known = key in self._seen
        self._seen.add(key)
        return not known


@contextlib.contextmanager
def _logging(command: Command) -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("pybackdoor: %(levelname)s: %(message)s" if command.common.debug else "pybackdoor: %(message)s"))
    if not command.common.debug:
        handler.addFilter(_Once())
    logger = logging.getLogger("pybackdoor")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if command.common.debug else logging.ERROR if command.common.quiet else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
