"""Oracles by name: registered ones, and callables found in a module or a Python file."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.oracles.callable import CallableOracle
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.registry import Registry

ORACLES = Registry(
    "oracle",
    {
        "down_and_out_put": "pybackdoor.oracles.down_and_out_put:DownAndOutPut",
        "branin": "pybackdoor.oracles.branin:Branin",
        "ishigami": "pybackdoor.oracles.ishigami:Ishigami",
        "hartmann6": "pybackdoor.oracles.hartmann6:Hartmann6",
        "friedman1": "pybackdoor.oracles.friedman1:Friedman1",
        "borehole": "pybackdoor.oracles.borehole:Borehole",
        "american_call": "pybackdoor.oracles.american:AmericanCall",
        "american_put": "pybackdoor.oracles.american:AmericanPut",
        "cev_call": "pybackdoor.oracles.cev:CEVCall",
        "cev_put": "pybackdoor.oracles.cev:CEVPut",
        "max_call_two": "pybackdoor.oracles.max_call_two:MaxCallTwo",
        "heston_call": "pybackdoor.oracles.heston:HestonCall",
        "heston_put": "pybackdoor.oracles.heston:HestonPut",
        "european_call": "pybackdoor.oracles.european_vanilla:EuropeanCall",
        "european_put": "pybackdoor.oracles.european_vanilla:EuropeanPut",
        "barrier_down_in_call": "pybackdoor.oracles.single_barriers:DOWN_IN_CALL",
        "barrier_down_in_put": "pybackdoor.oracles.single_barriers:DOWN_IN_PUT",
        "barrier_down_out_call": "pybackdoor.oracles.single_barriers:DOWN_OUT_CALL",
        "barrier_down_out_put": "pybackdoor.oracles.single_barriers:DOWN_OUT_PUT",
        "barrier_up_in_call": "pybackdoor.oracles.single_barriers:UP_IN_CALL",
        "barrier_up_in_put": "pybackdoor.oracles.single_barriers:UP_IN_PUT",
        "barrier_up_out_call": "pybackdoor.oracles.single_barriers:UP_OUT_CALL",
        "barrier_up_out_put": "pybackdoor.oracles.single_barriers:UP_OUT_PUT",
        "down_and_out_put_pde": "pybackdoor.oracles.down_and_out_put_pde:DownAndOutPutPDE",
        "down_and_out_put_mc": "pybackdoor.oracles.down_and_out_put_mc:DownAndOutPutMonteCarlo",
    },
)


def oracle(name: str, *, domain: Domain | None = None) -> Oracle:
    """The oracle called `name`: a registered name, "package.module:attribute" or "path/to/file.py:attribute".

    The attribute may be a plain callable on arrays [N, d] (then `domain` is needed; see CallableOracle), an `Oracle`, or a class of oracles that is
    made without arguments. An oracle that carries a domain of its own refuses another one.

    Raises UnknownNameError on an unknown registered name, offering the nearest ones, and InputError when the file, module or attribute does not
    exist, the module raises on import, or the domain is missing or contradicts the oracle's own.

    >>> from pybackdoor.oracles import oracle
    >>> oracle("branin").values([[0.0, 0.0]])
    tensor([55.6021], dtype=torch.float64)
    """
    found = _attribute(name) if ":" in name else ORACLES[name]
    if isinstance(found, type) and issubclass(found, Oracle):
        found = found()
    if isinstance(found, Oracle):
        if domain is not None and domain != found.domain:
            raise InputError(f"oracle {name!r} has a domain of its own, other than the one given; leave the domain out")
        return found
    if not callable(found):
        raise InputError(f"oracle {name!r} is a {type(found).__name__}; a callable on arrays [N, d] or an Oracle is needed")
    if domain is None:
        raise InputError(f"oracle {name!r} is a plain callable and no domain was given; give its features and bounds (--domain D.json)")
    return CallableOracle(found, domain, name=name)


def _attribute(name: str) -> Any:
    location, _, attribute = name.rpartition(":")
    if not location or not attribute:
        raise InputError(f"oracle {name!r}: 'package.module:callable' or 'path/to/file.py:callable' is needed")
    module = _module_from_file(name, Path(location)) if location.endswith(".py") else _module_by_name(name, location)
    if not hasattr(module, attribute):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"oracle {name!r}: {location} has no {attribute!r}; it defines {', '.join(public[:8]) or 'no callable'}")
    return getattr(module, attribute)


def _module_from_file(name: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"oracle {name!r}: the file {path} does not exist; give the path of a Python file")
    specification = importlib.util.spec_from_file_location(f"pybackdoor_user_oracle_{path.stem}", path)
    assert specification is not None  # any name that ends in .py has a loader
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises is reported as theirs
        raise InputError(f"oracle {name!r}: importing {path} raised {_one_line(error)}; correct the file") from error
    return module


def _module_by_name(name: str, location: str) -> ModuleType:
    try:
        return importlib.import_module(location)
    except ModuleNotFoundError as error:
        raise InputError(f"oracle {name!r}: {_one_line(error)}; install the package, or give the path of a Python file") from error
    except Exception as error:  # whatever the user's module raises is reported as theirs
        raise InputError(f"oracle {name!r}: importing {location} raised {_one_line(error)}; correct the module") from error


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
