"""Oracles by name: registered ones, and callables found in a module or a Python file."""

from __future__ import annotations

from typing import Unpack

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.locations import attribute_at
from pybackdoor.oracles.callable import CallableOracle
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.registry import Registry
from pybackdoor.workers import PoolOptions

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
        "advection_diffusion_reaction": "pybackdoor.oracles.pulse:Pulse",
        "burgers": "pybackdoor.oracles.burgers:Burgers",
        "darcy_flow": "pybackdoor.oracles.darcy:DarcyFlow",
        "heston_call_adi": "pybackdoor.oracles.heston_adi:HestonADICall",
        "heston_put_adi": "pybackdoor.oracles.heston_adi:HestonADIPut",
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
        "barrier_down_in_call_pde": "pybackdoor.oracles.single_barriers_pde:DOWN_IN_CALL",
        "barrier_down_in_put_pde": "pybackdoor.oracles.single_barriers_pde:DOWN_IN_PUT",
        "barrier_down_out_call_pde": "pybackdoor.oracles.single_barriers_pde:DOWN_OUT_CALL",
        "barrier_down_out_put_pde": "pybackdoor.oracles.single_barriers_pde:DOWN_OUT_PUT",
        "barrier_up_in_call_pde": "pybackdoor.oracles.single_barriers_pde:UP_IN_CALL",
        "barrier_up_in_put_pde": "pybackdoor.oracles.single_barriers_pde:UP_IN_PUT",
        "barrier_up_out_call_pde": "pybackdoor.oracles.single_barriers_pde:UP_OUT_CALL",
        "barrier_up_out_put_pde": "pybackdoor.oracles.single_barriers_pde:UP_OUT_PUT",
        "american_call_pde": "pybackdoor.oracles.american_pde:AmericanCallPDE",
        "american_put_pde": "pybackdoor.oracles.american_pde:AmericanPutPDE",
        "cev_call_pde": "pybackdoor.oracles.cev_pde:CEVCallPDE",
        "cev_put_pde": "pybackdoor.oracles.cev_pde:CEVPutPDE",
        "down_and_out_put_pde": "pybackdoor.oracles.down_and_out_put_pde:DownAndOutPutPDE",
        "mean_exit_time": "pybackdoor.oracles.mean_exit_time:MeanExitTime",
        "mean_exit_time_mc": "pybackdoor.oracles.mean_exit_time_mc:MeanExitTimeMonteCarlo",
        "down_and_out_put_mc": "pybackdoor.oracles.down_and_out_put_mc:DownAndOutPutMonteCarlo",
        "heston_call_mc": "pybackdoor.oracles.heston_mc:HestonCallMonteCarlo",
        "heston_put_mc": "pybackdoor.oracles.heston_mc:HestonPutMonteCarlo",
        "asian_call_mc": "pybackdoor.oracles.asian:AsianCall",
        "asian_put_mc": "pybackdoor.oracles.asian:AsianPut",
        "max_call_two_mc": "pybackdoor.oracles.max_call:MAX_CALL_TWO",
        "max_call_three_mc": "pybackdoor.oracles.max_call:MAX_CALL_THREE",
        "max_call_five_mc": "pybackdoor.oracles.max_call:MAX_CALL_FIVE",
        "bermudan_max_call_two_mc": "pybackdoor.oracles.bermudan:BermudanMaxCall",
        "basket_call_two_mc": "pybackdoor.oracles.basket_call:BASKET_CALL_TWO",
        "basket_call_three_mc": "pybackdoor.oracles.basket_call:BASKET_CALL_THREE",
        "basket_call_five_mc": "pybackdoor.oracles.basket_call:BASKET_CALL_FIVE",
        "european_call_mc": "pybackdoor.oracles.european_mc:EuropeanCallMonteCarlo",
        "european_put_mc": "pybackdoor.oracles.european_mc:EuropeanPutMonteCarlo",
        "barrier_down_in_call_mc": "pybackdoor.oracles.single_barriers_mc:DOWN_IN_CALL",
        "barrier_down_in_put_mc": "pybackdoor.oracles.single_barriers_mc:DOWN_IN_PUT",
        "barrier_down_out_call_mc": "pybackdoor.oracles.single_barriers_mc:DOWN_OUT_CALL",
        "barrier_down_out_put_mc": "pybackdoor.oracles.single_barriers_mc:DOWN_OUT_PUT",
        "barrier_up_in_call_mc": "pybackdoor.oracles.single_barriers_mc:UP_IN_CALL",
        "barrier_up_in_put_mc": "pybackdoor.oracles.single_barriers_mc:UP_IN_PUT",
        "barrier_up_out_call_mc": "pybackdoor.oracles.single_barriers_mc:UP_OUT_CALL",
        "barrier_up_out_put_mc": "pybackdoor.oracles.single_barriers_mc:UP_OUT_PUT",
    },
)


def oracle(name: str, *, domain: Domain | None = None, **processes: Unpack[PoolOptions]) -> Oracle:
    """The oracle called `name`: a registered name, "package.module:attribute" or "path/to/file.py:attribute".

    The attribute may be a plain callable on arrays [N, d] (then `domain` is needed; see CallableOracle), an `Oracle`, or a class of oracles that is
    made without arguments. An oracle that carries a domain of its own refuses another one. processes: worker processes for a plain callable
    (`PoolOptions`); an `Oracle` decides for itself and refuses them.

    Raises UnknownNameError on an unknown registered name, offering the nearest ones, and InputError when the file, module or attribute does not
    exist, the module raises on import, or the domain is missing or contradicts the oracle's own.

    >>> from pybackdoor.oracles import oracle
    >>> oracle("branin").values([[0.0, 0.0]])
    tensor([55.6021], dtype=torch.float64)
    """
    found = attribute_at(name, "oracle") if ":" in name else ORACLES[name]
    if isinstance(found, type) and issubclass(found, Oracle):
        found = found()
    if isinstance(found, Oracle):
        if domain is not None and domain != found.domain:
            raise InputError(f"oracle {name!r} has a domain of its own, other than the one given; leave the domain out")
        if processes.get("workers"):
            raise InputError(f"oracle {name!r} is no plain Python function and takes no worker processes; compiled oracles use threads")
        return found
    if not callable(found):
        raise InputError(f"oracle {name!r} is a {type(found).__name__}; a callable on arrays [N, d] or an Oracle is needed")
    if domain is None:
        raise InputError(f"oracle {name!r} is a plain callable and no domain was given; give its features and bounds (--domain D.json)")
    return CallableOracle(found, domain, name=name, **processes)
