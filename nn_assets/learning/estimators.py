"""Names of what forecasts: the network's ensemble, and the baselines beside it, which ``baselines.BASELINES`` holds.

Names alone: who reads or reports forecasts neither waits for what fits them nor depends on its code.
"""

__all__ = ["ESTIMATORS", "TRADED"]

ESTIMATORS = ("network", "linear", "boosting")
"""In the order in which a frame of forecasts lists them."""
TRADED = ESTIMATORS[0]
"""Whose forecasts are traded; the others are what it is compared with."""
