"""Worker processes under supervision, for slow functions of the user's. Standard library only: a new process is ready in a tenth of a second."""

from pybackdoor.workers.pool import Outcome, PoolOptions, WorkerPool
from pybackdoor.workers.serving import ByRow

__all__ = ["ByRow", "Outcome", "PoolOptions", "WorkerPool"]
