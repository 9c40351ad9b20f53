"""`pybackdoor oracles`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional

from pybackdoor.cli.options import COMMON, Command, CommonOptions

if TYPE_CHECKING:
    from pybackdoor.oracles import Oracle

MOST_COLUMNS = 120
_UNBROKEN = "\N{NO-BREAK SPACE}"  # a line is not broken there


@dataclass(frozen=True, kw_only=True)
class Oracles(Command):
    """List the registered oracles by family, with domain, method, cost and error, or show all of one.

    Example: pybackdoor oracles heston_put
    """

    name: Annotated[str | None, Positional] = None
    """Show this one alone."""
    json: bool = False
    """Print as JSON: of NAME the domain, as a domain.json; without NAME everything about all."""
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Prints the list, or one oracle."""
        import json

        from pybackdoor.oracles import ORACLES, oracle

        if self.name is None:
            made = [oracle(name) for name in ORACLES]
            print(json.dumps([_record(one) for one in made], indent=2) if self.json else "\n".join(_listing(made)))
            return 0
        chosen = oracle(self.name)
        print(json.dumps(chosen.domain.to_dict(), indent=2) if self.json else "\n".join(_page(self.name, chosen)))
        return 0


def _record(one: Oracle) -> dict[str, Any]:
    facts = {name: getattr(one, name) for name in ("name", "family", "method", "accuracy", "exact", "sampled", "gradient_cost")}
    return facts | {"level": getattr(one, "level", None), "devices": list(one.devices), "domain": one.domain.to_dict()}


def _listing(made: list[Oracle]) -> Iterator[str]:
    """Family by family; oracles that differ in nothing but their names stand together."""
    from pybackdoor.oracles.families import FAMILIES

    for family in FAMILIES:
        alike: dict[str, list[Oracle]] = {}
        for one in (one for one in made if one.family == family):
            alike.setdefault(f"{one.domain}{one.method}{one.accuracy}{one.gradient_cost}", []).append(one)
        if alike:
            yield f"{family}\n"
        for members in alike.values():
            yield from _wrapped(", ".join(one.name for one in members), 2, 2)
            for word, text in _facts(members[0]):
                yield from _wrapped(f"{word:8}{text}", 4, 8)
            yield ""
    yield f"{len(made)} oracles. `pybackdoor oracles NAME` shows all of one; docs/oracles.md has formulas, convergence and sources."


def _page(name: str, one: Oracle) -> Iterator[str]:
    """Everything about one: docstring, domain, what has no answer, cost and error, known values and source."""
    import inspect
    import sys

    own = [kind for kind in type(one).__mro__ if kind.__module__ == type(one).__module__ and kind.__doc__]
    yield f"{name}: " + "\n\n".join(inspect.cleandoc(kind.__doc__ or "") for kind in own) + "\n"
    yield f"{'feature':20} {'lower':>12} {'upper':>12}  scale"
    domain = one.domain
    for feature, lower, upper, scale in zip(domain.names, domain.lower, domain.upper, domain.scales, strict=True):
        yield f"{feature:20} {lower:12g} {upper:12g}  {scale}"
    yield f"\ntarget    {domain.target}"
    yield f"family    {one.family}"
    yield f"method    {one.method}"
    yield f"error     {one.accuracy}" + ("" if one.exact else "; `estimate_error` measures it at points")
    if getattr(one, "level", None) is not None:
        yield f"level     {one.level}; others: {', '.join(level for level in _levels() if level != one.level)}"  # type: ignore[attr-defined]
    yield f"cost      {_cost(one)}"
    yield f"devices   {', '.join(one.devices)}"
    for number, condition in enumerate(one.conditions):
        yield f"{'' if number else 'needs':9} {condition.feature}: {condition.needed}"
    yield f"\n{inspect.getdoc(sys.modules[type(one).__module__]) or ''}"


def _levels() -> tuple[str, ...]:
    from pybackdoor.oracles.levels import LEVELS

    return LEVELS


def _cost(one: Oracle) -> str:
    return f"1 call a value, {1 + one.gradient_cost:g} with its gradient"


def _domain(one: Oracle) -> str:
    features = zip(one.domain.names, one.domain.lower, one.domain.upper, one.domain.scales, strict=True)
    words = (f"{name} {lower:g} .. {upper:g}{' (log)' if scale == 'log' else ''}" for name, lower, upper, scale in features)
    return ", ".join(word.replace(" ", _UNBROKEN) for word in words)


def _facts(one: Oracle) -> list[tuple[str, str]]:
    devices = [] if one.devices == ("cpu",) else [("devices", ", ".join(one.devices))]
    return [("method", one.method), ("error", one.accuracy), ("cost", _cost(one)), *devices, ("domain", _domain(one))]


def _wrapped(text: str, indent: int, hanging: int) -> list[str]:
    import shutil
    import textwrap

    width = min(MOST_COLUMNS, max(40, shutil.get_terminal_size().columns))
    lines = textwrap.wrap(
        text, width, initial_indent=" " * indent, subsequent_indent=" " * (indent + hanging), break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_UNBROKEN, " ") for line in lines]
