"""The form of a command, and the options that several share."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from tyro.conf import arg

if TYPE_CHECKING:
    from pybackdoor.models import FitConfig

Activation = Literal["relu", "leaky_relu", "tanh", "silu", "gelu", "gelu_tanh", "softplus", "sigmoid", "elu"]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every command."""

    threads: int | None = None
    """Threads of the native kernels (default: PYBACKDOOR_THREADS, else all cores). Results do not depend on it."""
    quiet: bool = False
    """No progress bars and no warnings. Bars are shown only on a terminal anyway."""
    debug: bool = False
    """Log what is done, and show the traceback of a failure."""

    @property
    def progress(self) -> bool:
        """Whether to show progress bars."""
        return not self.quiet and sys.stderr.isatty()


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a network is fitted."""

    widths: tuple[int, ...] = (64, 64, 64, 64)
    """Widths of the hidden layers."""
    activation: Activation = "silu"
    """After every hidden layer."""
    epochs: int = 100
    """Passes over the rows."""
    least_steps: int = 2000
    """Minibatch steps to take even when the rows are so few that the epochs make fewer."""
    batch_size: int = 256
    """Rows of a minibatch."""
    learning_rate: float = 1e-2
    """Peak of the learning-rate schedule (Adam, one cycle)."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    loss: Literal["mse", "huber"] = "mse"
    """Huber is linear beyond one standard deviation of the target."""
    validation_fraction: float = 0.0
    """Share of the rows held out; with any, the weights of the lowest validation loss are kept."""
    patience: int = 0
    """Epochs without a lower validation loss after which the fit stops; 0: never."""
    seed: int = 0
    """Key of every random choice: the same seed gives the same network."""

    @property
    def config(self) -> FitConfig:
        """These options as the library's configuration."""
        from pybackdoor.models import FitConfig

        return FitConfig(**asdict(self))


@dataclass(frozen=True, kw_only=True)
class OracleUse:
    """How the oracle is run, and where its answers are kept."""

    oracle_workers: int = 0
    """Processes that evaluate a Python function row by row; 0: in this one. What is compiled uses --threads instead."""
    oracle_timeout: float | None = None
    """Seconds that a row may take in a worker process; then it is stopped, and the row counts as failed."""
    oracle_retries: int = 0
    """Further attempts at a row that raised, timed out or took its worker process down."""
    oracle_cache: Path | None = None
    """A file of the oracle's answers, made or added to: what it knows costs no call, in this run or a later one."""
    oracle_version: str | None = None
    """For --oracle-cache: your word for the state of the oracle's code, instead of a hash of its file."""


CommonOptions: TypeAlias = Annotated[Common, arg(name="")]
FitOptions: TypeAlias = Annotated[Fit, arg(name="")]
OracleOptions: TypeAlias = Annotated[OracleUse, arg(name="")]
COMMON, FIT, ORACLE = Common(), Fit(), OracleUse()


class Command(ABC):
    """A command: a dataclass whose fields are its options; `run` does it."""

    common: CommonOptions

    @abstractmethod
    def run(self, invocation: str) -> int:
        """Does it and returns the exit status; `invocation` is the command line to type to do it again."""
