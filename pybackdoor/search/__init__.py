"""Search: local maximizers of the squared error between a surrogate and an oracle."""

from pybackdoor.search.config import SearchConfig
from pybackdoor.search.front import search
from pybackdoor.search.screening import screen
from pybackdoor.search.thinning import thin

__all__ = ["SearchConfig", "screen", "search", "thin"]
