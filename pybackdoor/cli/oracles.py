"""`pybackdoor oracles`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from pybackdoor.cli.options import COMMON, Command, CommonOptions


@dataclass(frozen=True, kw_only=True)
class Oracles(Command):
    """List the registered oracles, or show one: its features, bounds and the cost of a gradient.

    Example: pybackdoor oracles down_and_out_put
    """

    name: Annotated[str | None, Positional] = None
    """Show this one alone."""
    json: bool = False
    """Print the domain of NAME as a domain.json."""
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Prints the list, or one oracle."""
        import inspect
        import json

        from pybackdoor.errors import InputError
        from pybackdoor.oracles import ORACLES, oracle

        if self.name is None:
            if self.json:
                raise InputError("oracles: --json prints the domain of one oracle; name it")
            for name in ORACLES:
                made = oracle(name)
                summary = (inspect.getdoc(type(made)) or "").partition("\n")[0]
                print(f"{name:24} {made.domain.dimension} features; gradient costs {made.gradient_cost:g} values; {summary}")
            return 0
        chosen = oracle(self.name)
        if self.json:
            print(json.dumps(chosen.domain.to_dict(), indent=2))
            return 0
        print(f"{self.name}: {inspect.getdoc(type(chosen)) or ''}\n")
        print(f"{'feature':20} {'lower':>12} {'upper':>12}  scale")
        for name, lower, upper, scale in zip(chosen.domain.names, chosen.domain.lower, chosen.domain.upper, chosen.domain.scales, strict=True):
            print(f"{name:20} {lower:12g} {upper:12g}  {scale}")
        exact = "exact" if chosen.exact else "with a discretisation or sampling error"
        print(f"target {chosen.domain.target}, {exact}; a value with gradient costs {1 + chosen.gradient_cost:g} value calls")
        return 0
