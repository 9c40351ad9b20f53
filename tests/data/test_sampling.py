import pytest
import torch

from pybackdoor.data import design, sample
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, OracleFailedError
from pybackdoor.oracles import CallableOracle, CountedOracle

DOMAIN = Domain(("a", "b"), (0, 1), (1, 10), ("linear", "log"), "price")


def product(x):
    return x[:, 0] * x[:, 1]


def test_labels_are_the_oracles_and_every_row_is_paid_once():
    oracle = CountedOracle(CallableOracle(product, DOMAIN))
    samples = sample(oracle, 2500, seed=7)  # more rows than one call takes
    assert samples.domain == DOMAIN
    assert torch.equal(samples.x, design(DOMAIN, 2500, seed=7))
    assert torch.equal(samples.y, samples.x[:, 0] * samples.x[:, 1])
    assert oracle.value_calls == 2500


def test_noise_has_the_size_asked_for_and_a_seed():
    oracle = CallableOracle(product, DOMAIN)
    exact, noisy, again = sample(oracle, 4000, seed=1), sample(oracle, 4000, seed=1, noise=0.3), sample(oracle, 4000, seed=1, noise=0.3)
    noise = noisy.y - exact.y
    assert torch.equal(noisy.y, again.y)
    assert abs(float(noise.mean())) < 4 * 0.3 / 4000**0.5
    assert float(noise.std()) == pytest.approx(0.3, rel=0.05)


def test_a_failing_row_is_named():
    bad = float(design(DOMAIN, 3000, seed=0)[2000, 0])  # beyond the rows of the first call

    def broken(x):
        values = product(x)
        values[x[:, 0] == bad] = float("nan")
        return values

    with pytest.raises(OracleFailedError, match=r"row 2000: .*NaN"):
        sample(CallableOracle(broken, DOMAIN), 3000)


@pytest.mark.parametrize(
    ("arguments", "text"), [({"rows": 1}, "1 rows"), ({"rows": 10, "noise": -1.0}, "noise -1"), ({"rows": 10, "noise": float("nan")}, "noise nan")]
)
def test_bad_arguments_are_named(arguments, text):
    with pytest.raises(InputError, match=text):
        sample(CallableOracle(product, DOMAIN), **arguments)
