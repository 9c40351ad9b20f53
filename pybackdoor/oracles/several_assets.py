"""What the quasi-Monte Carlo oracles on several assets share: how they are made, and how they are asked."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch

from pybackdoor.errors import InputError
from pybackdoor.oracles import assets as several
from pybackdoor.oracles.asset_paths import MOST
from pybackdoor.oracles.monte_carlo import MonteCarloOracle, Solution
from pybackdoor.oracles.on_device import OnDevice


class SeveralAssets(OnDevice, MonteCarloOracle):
    """An option on 2 to 5 assets whose common factor is integrated (assets.py). Subclasses set `payoff`, and give the kernel of their price."""

    method = "quasi-Monte Carlo, the common factor integrated"
    payoff: str  # first part of the name

    def __init__(self, assets: int = 3, *, paths: int = 8192, seed: int = 0, draws: str = "sobol") -> None:
        if assets not in several.WORDS:
            raise InputError(f"{self.payoff}: {assets} assets; 2 to {MOST} are needed")
        self.assets, self.name = assets, f"{self.payoff}_{several.WORDS[assets]}_mc"
        self.domain, self.conditions = several.domain(assets), several.conditions(assets)
        super().__init__(paths=paths, dimensions=assets - 1, seed=seed, draws=draws)

    @abstractmethod
    def _kernel(self) -> Any:
        """The compiled price(points, normals [d - 1, paths], answers [n, 1 or 3 d + 5], plane [d - 1, d])."""

    def _with_paths(self, paths: int) -> Self:
        return type(self)(self.assets, paths=paths, seed=self.seed, draws=self.draws.method)

    def _solve(self, points: np.ndarray, gradient: bool) -> Solution:
        return self._estimate(self._kernel(), points, gradient, several.plane(self.assets))

    def _solve_on_device(self, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, ...]:
        from pybackdoor.oracles.cuda import several_assets

        return several_assets.estimate(self.payoff, self.assets, self.draws, x, gradient)
