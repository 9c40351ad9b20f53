from __future__ import annotations

import pytest
import torch

from pybackdoor.active import CollectingOracle, acquire, propose
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.models import CallableSurrogate
from pybackdoor.oracles import oracle
from pybackdoor.records import Samples

DOMAIN = Domain(("a", "b"), (0.0, 0.0), (10.0, 1.0))


def surrogate(height: float) -> CallableSurrogate:
    """Flat but for a bump at (0.8, 0.2) of the unit square."""
    return CallableSurrogate(lambda x: height * 2.0 ** -(((x[:, 0] / 10 - 0.8) ** 2 + (x[:, 1] - 0.2) ** 2) / 0.01), DOMAIN)


def test_acquire_weighs_error_by_distance() -> None:
    unit = torch.tensor([[0.1, 0.0], [0.5, 0.0], [0.52, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    errors = torch.tensor([-9.0, 2.0, 2.1, 1.0, 100.0], dtype=torch.float64)
    known = torch.zeros(1, 2, dtype=torch.float64)
    # worth 0.9, 1.0, 1.092, 1.0 and 0: the third; then 0.9, 0.04, -, 0.48; a known place is never chosen, whatever its error
    assert acquire(unit, errors, known, 5).tolist() == [2, 0, 3, 1]
    assert acquire(unit, errors, known, 2).tolist() == [2, 0]
    assert acquire(unit, errors, known, 1, sharpness=2.0).tolist() == [0]
    assert acquire(unit, 0 * errors, known, 3).tolist() == []
    assert acquire(unit, errors, known[:0], 1).tolist() == [4]


@pytest.mark.parametrize("maximizer_share", [0.0, 0.5])
def test_propose_goes_where_the_networks_disagree(maximizer_share: float) -> None:
    samples = Samples(DOMAIN, DOMAIN.to_natural(torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)), torch.zeros(50))
    proposal = propose(surrogate(1.0), surrogate(0.0), samples, 20, exploration=0.25, maximizer_share=maximizer_share, seed=3)
    assert proposal.unit.shape == (20, 2)
    assert proposal.unit.unique(dim=0).shape[0] == 20
    assert ((proposal.unit >= 0) & (proposal.unit <= 1)).all()
    near = (proposal.unit - torch.tensor([0.8, 0.2])).norm(dim=1) < 0.3
    directed = 20 - proposal.explored
    assert near[:directed].all()
    assert not near[directed:].all()
    assert proposal.explored >= 5 if maximizer_share else proposal.explored == 5
    again = propose(surrogate(1.0), surrogate(0.0), samples, 20, exploration=0.25, maximizer_share=maximizer_share, seed=3)
    torch.testing.assert_close(again.unit, proposal.unit, rtol=0, atol=0)


def test_propose_fills_up_where_nothing_disagrees() -> None:
    samples = Samples(DOMAIN, torch.tensor([[5.0, 0.5]]), torch.zeros(1))
    proposal = propose(surrogate(1.0), surrogate(1.0), samples, 16, exploration=0.0)
    assert proposal.explored == 16
    assert proposal.unit.unique(dim=0).shape[0] == 16


def test_propose_refuses_shares_above_one() -> None:
    samples = Samples(DOMAIN, torch.tensor([[5.0, 0.5]]), torch.zeros(1))
    with pytest.raises(InputError, match="shares"):
        propose(surrogate(1.0), surrogate(0.0), samples, 4, exploration=0.7, maximizer_share=0.7)


def test_collecting_keeps_each_answer_once() -> None:
    collecting = CollectingOracle(oracle("branin"))
    assert collecting.samples().count == 0
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0]])
    collecting.evaluate(x)
    collecting.evaluate(x[1:2], gradient=True)
    rows = collecting.samples()
    assert rows.x.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    torch.testing.assert_close(rows.y, oracle("branin").values(x[:2]))
    assert collecting.value_calls == 5
