"""Names of what forecasts: the network's ensemble and the baselines beside it."""

__all__ = ["ESTIMATORS"]

ESTIMATORS = ("network", "linear", "boosting")
"""In the order in which a frame of forecasts lists them."""
