"""What a random sample of the labels proves about all of them."""

from __future__ import annotations

from scipy.stats import hypergeom

from pybackdoor.records import Certificate


def certify(rows: int, checked: int, bad: int, *, confidence: float = 0.95) -> Certificate:
    """The upper confidence limit on the share of wrong labels among `rows`, from `bad` found in `checked` drawn uniformly without replacement.

    The largest number K of wrong labels under which finding `bad` or fewer still has probability above 1 - confidence (hypergeometric, exact);
    Buonaccorsi, The American Statistician 41 (1987). No limit (None) when nothing was checked.
    """
    if checked == 0:
        return Certificate(confidence, None, 0, 0)
    low, high = bad, rows - (checked - bad)  # possible numbers of wrong labels
    while low < high:
        middle = (low + high + 1) // 2
        if hypergeom.cdf(bad, rows, middle, checked) > 1.0 - confidence:
            low = middle
        else:
            high = middle - 1
    return Certificate(confidence, low / rows, checked, bad)
