"""On a GPU a search finds what it finds on the CPU, and its loop waits for the device no more often than is stated."""

from __future__ import annotations

import warnings

import pytest
import torch

from pybackdoor.models import FitConfig, NetworkSurrogate, fit_many
from pybackdoor.oracles import oracle
from pybackdoor.records import Samples
from pybackdoor.search import SearchConfig, front, search, thin, trust_region

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")]


@pytest.fixture(scope="module")
def networks() -> list[NetworkSurrogate]:
    branin = oracle("branin")
    x = branin.domain.to_natural(torch.rand(300, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    return fit_many([Samples(branin.domain, x, branin.values(x))] * 2, FitConfig(widths=(16, 16), epochs=1, least_steps=300), streams=[0, 1])


def on_gpu(surrogate: NetworkSurrogate) -> NetworkSurrogate:
    return NetworkSurrogate(surrogate.network.to("cuda"), surrogate.domain)


@pytest.mark.parametrize("name", ["borehole", "branin", "friedman1", "hartmann6", "ishigami"])
def test_test_functions_are_those_of_the_cpu(name):
    chosen = oracle(name)
    points = chosen.domain.to_natural(torch.rand(1001, chosen.domain.dimension, dtype=torch.float64))
    ours, theirs = chosen.evaluate(points.cuda(), gradient=True), chosen.evaluate(points, gradient=True)
    assert ours.values.is_cuda
    torch.testing.assert_close(ours.values.cpu(), theirs.values, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.gradients.cpu(), theirs.gradients, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("radius", [0.0, 0.02, 0.2])
def test_thinning_is_that_of_the_cpu(radius):
    generator = torch.Generator().manual_seed(0)
    unit, errors = torch.rand(20_011, 3, generator=generator).double(), torch.randn(20_011, generator=generator).double()
    assert torch.equal(thin(unit.cuda(), errors.cuda(), radius).cpu(), thin(unit, errors, radius))


@pytest.mark.parametrize("method", ["trust_region", "plain"])
def test_a_search_is_that_of_the_cpu(networks, method):
    config = SearchConfig(method=method, seeds=64, climbers=16, precision="float64", backend="reference")
    theirs = search(networks[0], oracle("branin"), config, pseudo_oracle=networks[1])
    ours = search(on_gpu(networks[0]), oracle("branin"), config, pseudo_oracle=on_gpu(networks[1]))
    assert ours.x.is_cuda
    torch.testing.assert_close(ours.unit[:3].cpu(), theirs.unit[:3], rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.errors[:3].cpu(), theirs.errors[:3], rtol=1e-6, atol=1e-6)


def test_the_loop_waits_twice_an_iteration(networks, monkeypatch):
    config = SearchConfig(seeds=64, climbers=16, iterations=10)
    pair = [on_gpu(network) for network in networks]
    search(pair[0], oracle("branin"), config, pseudo_oracle=pair[1])  # packs weights, makes constants, compiles
    seen = []

    def watched(region):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                trust_region.TrustRegion.run(region)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        seen.extend(str(warning.message) for warning in caught if "synchroniz" in str(warning.message))

    class Watched(trust_region.TrustRegion):
        run = watched

    monkeypatch.setattr(front, "TrustRegion", Watched)
    search(pair[0], oracle("branin"), config, pseudo_oracle=pair[1])
    assert 2 <= len(seen) <= 2 * config.iterations + 1, seen


@pytest.mark.slow
def test_a_million_seeds_in_bounded_memory(networks):
    torch.cuda.reset_peak_memory_stats()
    found = search(on_gpu(networks[0]), oracle("branin"), SearchConfig(seeds=10**6, climbers=1000))
    assert found.count > 2
    assert torch.cuda.max_memory_allocated() < 4 * 2**30
