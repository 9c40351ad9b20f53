"""A search leaves its points on the device: what would wait for a GPU is counted, on the CPU, by the calls that would.

Under `Watch` every torch call that must know a tensor's content on the host (item, bool, nonzero, an index by a mask ...) or moves data between the
host and a device is recorded, except within `fetch` and within the ops of a backend, which on a GPU enqueue and return.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from planted import Planted, Wave
from torch.overrides import TorchFunctionMode

from pybackdoor.models import FitConfig, NetworkSurrogate, fit_many
from pybackdoor.ops.ascent import cpu
from pybackdoor.oracles import BudgetedOracle, CountedOracle, oracle
from pybackdoor.records import Samples
from pybackdoor.search import SearchConfig, front, plain, search, trust_region
from pybackdoor.search.front import _BLOCK, _basins
from pybackdoor.search.waiting import chosen, fetch

WAITING = {"item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__", "__array__", "__contains__", "nonzero", "argwhere"}
WAITING |= {"unique", "unique_consecutive", "masked_select", "equal", "is_nonzero", "pin_memory", "allclose", "bincount", "repeat_interleave"}
COPYING = {"tensor", "as_tensor", "from_numpy", "new_tensor", "asarray", "scalar_tensor"}


class Watch(TorchFunctionMode):
    """Records the name of every call that would wait, while `open`."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.fetches = 0
        self.open = False

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        name = getattr(function, "__name__", str(function))
        if self.open and (name in WAITING | COPYING or self._masked(name, arguments) or self._moved(name, arguments) or self._where(name, arguments)):
            self.waits.append(name)
        return function(*arguments, **(named or {}))

    @staticmethod
    def _masked(name: str, arguments: Any) -> bool:
        if name not in ("__getitem__", "__setitem__"):
            return False
        indices = arguments[1] if isinstance(arguments[1], tuple) else (arguments[1],)
        return any(isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices)

    @staticmethod
    def _moved(name: str, arguments: Any) -> bool:
        return name == "to" and any(isinstance(argument, str | torch.device) for argument in arguments[1:])

    @staticmethod
    def _where(name: str, arguments: Any) -> bool:
        return name == "where" and len(arguments) == 1

    @contextmanager
    def shut(self) -> Iterator[None]:
        before, self.open = self.open, False
        try:
            yield
        finally:
            self.open = before


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Open within the loops of the two methods; each `fetch` there is one wait."""
    watch = Watch()

    def fetched(*numbers: torch.Tensor) -> Any:
        watch.fetches += 1
        with watch.shut():
            return fetch(*numbers)

    def closed(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            with watch.shut():
                return function(*arguments, **named)

        return call

    def opened(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            watch.open = True
            try:
                return function(*arguments, **named)
            finally:
                watch.open = False

        return call

    for module in (trust_region, plain):
        monkeypatch.setattr(module, "fetch", fetched)
    for name in ("ascend", "value_and_input_gradient"):
        monkeypatch.setattr(cpu.NativeBackend, name, closed(getattr(cpu.NativeBackend, name)))
    monkeypatch.setattr(front.TrustRegion, "run", opened(trust_region.TrustRegion.run))
    monkeypatch.setattr(front, "plain_ascent", opened(plain.plain_ascent))
    with watch:
        yield watch


@pytest.fixture(scope="module")
def networks() -> list[NetworkSurrogate]:
    branin = oracle("branin")
    x = branin.domain.to_natural(torch.rand(300, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    return fit_many([Samples(branin.domain, x, branin.values(x))] * 2, FitConfig(widths=(16, 16), epochs=1, least_steps=300), streams=[0, 1])


@pytest.mark.parametrize(("slopes", "pseudo"), [("oracle", False), ("oracle", True), ("secant", False), ("secant", True), ("none", True)])
def test_an_iteration_of_the_trust_region_waits_twice_at_most(watch: Watch, networks: list[NetworkSurrogate], slopes: str, pseudo: bool) -> None:
    config = SearchConfig(slopes=slopes, seeds=40, climbers=16, iterations=9)
    counted = CountedOracle(oracle("branin"))
    found = search(networks[0], counted, config, pseudo_oracle=networks[1] if pseudo else None)
    assert watch.waits == []
    assert 4 <= watch.fetches <= 2 * config.iterations + 1
    assert counted.value_calls > 60
    assert found.count > 2


def test_a_step_of_the_plain_ascent_waits_once(watch: Watch, networks: list[NetworkSurrogate]) -> None:
    config = SearchConfig(method="plain", seeds=40, climbers=16, iterations=12)
    search(networks[0], BudgetedOracle(oracle("branin"), 300), config)
    assert watch.waits == []
    assert 4 <= watch.fetches <= config.iterations


@pytest.mark.parametrize("name", ["borehole", "branin", "friedman1", "hartmann6", "ishigami"])
def test_test_functions_do_not_wait(name: str) -> None:
    chosen_oracle = oracle(name)
    points = chosen_oracle.domain.to_natural(torch.rand(50, chosen_oracle.domain.dimension, dtype=torch.float64))
    expected = chosen_oracle.evaluate(points, gradient=True)  # constants are copied to a device once
    with Watch() as watch:
        watch.open = True
        found = chosen_oracle.evaluate_inside(points, gradient=True)
    assert watch.waits == []
    torch.testing.assert_close(found.values, expected.values, rtol=0, atol=0)
    assert "cuda" in chosen_oracle.devices


def test_the_watch_sees_what_would_wait() -> None:
    numbers = torch.arange(4.0)
    with Watch() as watch:
        watch.open = True
        bool(numbers.any())
        int(numbers.sum())
        numbers[numbers > 1]
        numbers[numbers > 1] = 0.0
        numbers.tolist()
        numbers.cpu()
        numbers.to("cpu")
        torch.tensor([1.0])
        torch.where(numbers > 1)
        numbers.nonzero()
    assert len(watch.waits) == 10


def test_chosen_is_nonzero_when_the_count_is_known() -> None:
    for seed in range(20):
        mask = torch.rand(31, generator=torch.Generator().manual_seed(seed)) < 0.4
        assert torch.equal(chosen(mask, int(mask.sum())), mask.nonzero()[:, 0])


@pytest.mark.parametrize("count", [1, 17, 2500])
def test_seeds_of_a_large_search_are_chosen_as_by_all_distances(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    unit, errors = torch.rand(2 * _BLOCK + 77, 3, generator=generator).double(), torch.randn(2 * _BLOCK + 77, generator=generator).double() ** 3
    sizes = errors.abs()
    rank = torch.argsort(torch.argsort(sizes, descending=True, stable=True))
    distances = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = torch.where(rank[None, :] < rank[:, None], distances, torch.inf).amin(dim=1)
    score = torch.where(rank == 0, torch.inf, sizes * nearest)
    assert torch.equal(_basins(unit, errors, count), torch.argsort(score, descending=True, stable=True)[:count])


def test_many_seeds_are_asked_about_in_parts() -> None:
    from pybackdoor.search.asking import LARGEST_QUESTION

    class Watched(Wave):
        largest = 0

        def _evaluate(self, x: torch.Tensor, gradient: bool) -> Any:
            self.largest = max(self.largest, x.shape[0])
            return super()._evaluate(x, gradient)

    wave, planted = Watched(), Planted([[0.2, 0.3], [0.75, 0.7]], [1.0, -0.8], width=0.02)
    found = search(planted, wave, SearchConfig(seeds=LARGEST_QUESTION + 1000, climbers=4))
    assert wave.largest == LARGEST_QUESTION
    assert torch.cdist(planted.centers, found.unit).amin(dim=1).max() < 0.01
    assert found.errors[:2].abs().tolist() == pytest.approx([1.0, 0.8], rel=1e-3)
