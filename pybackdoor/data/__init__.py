"""Data: designs of points, labelled samples, and files of them."""

from pybackdoor.data.designs import DESIGNS, design
from pybackdoor.data.files import read_domain, read_samples, write_domain, write_samples
from pybackdoor.data.sampling import sample

__all__ = ["DESIGNS", "design", "read_domain", "read_samples", "sample", "write_domain", "write_samples"]
