"""The certificate's limit against enumeration, and its coverage."""

import math

import numpy as np
import pytest

from pybackdoor.defense import certify


def probability_of_at_most(bad: int, rows: int, wrong: int, checked: int) -> float:
    ways = sum(math.comb(wrong, found) * math.comb(rows - wrong, checked - found) for found in range(bad + 1))
    return ways / math.comb(rows, checked)


@pytest.mark.parametrize(("rows", "checked", "bad"), [(1, 1, 0), (20, 5, 0), (20, 20, 3), (50, 10, 1), (200, 60, 7)])
def test_limit_is_the_largest_count_the_finding_does_not_exclude(rows: int, checked: int, bad: int) -> None:
    certificate = certify(rows, checked, bad, confidence=0.95)
    possible = [wrong for wrong in range(bad, rows - (checked - bad) + 1) if probability_of_at_most(bad, rows, wrong, checked) > 0.05]
    assert certificate.max_bad_label_fraction == max(possible) / rows
    assert (certificate.random_calls, certificate.bad_found) == (checked, bad)


def test_nothing_checked_proves_nothing() -> None:
    assert certify(100, 0, 0).max_bad_label_fraction is None


def test_everything_checked_proves_everything() -> None:
    assert certify(37, 37, 0).max_bad_label_fraction == 0.0


def test_limit_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    rows, wrong, checked, trials = 1000, 30, 80, 2000
    covered = sum(
        certify(rows, checked, int(random.hypergeometric(wrong, rows - wrong, checked))).max_bad_label_fraction >= wrong / rows for _ in range(trials)
    )
    assert covered / trials >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / trials)
