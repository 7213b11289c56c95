"""Modules that have another name than when homes were written: their definitions count under the name of then.

What is moved says the same, so it may outdate no model, study or decision on record.
"""

from __future__ import annotations

MOVED = {
    "nn_assets.features.catalogue.vwap_and_spreads": "nn_assets.features.catalogue.details",
    "nn_assets.operations.asof.known_details": "nn_assets.operations.asof.details",
    "nn_assets.operations.intake.delivered_details": "nn_assets.operations.intake.details",
}
"""By the name of today. A name of then is not given to another module."""


def counted_name(reference: str) -> str:
    """A module, or ``module:name``, under the name that it counts by: its own, unless the module was moved.

    Of ``package:module.name``, as a module reached through its package is read, the module is told by ``MOVED`` alone.
    """
    module, colon, name = reference.partition(":")
    if module in MOVED:
        return f"{MOVED[module]}{colon}{name}"
    for now, then in MOVED.items() if colon else ():
        inside = now.removeprefix(f"{module}.")
        if inside != now and (name == inside or name.startswith(f"{inside}.")):
            package = module if then.startswith(f"{module}.") else then.rpartition(".")[0]
            return f"{package}:{then.removeprefix(f'{package}.')}{name.removeprefix(inside)}"
    return reference
