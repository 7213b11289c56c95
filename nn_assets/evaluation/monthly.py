"""Results of whole months, from those of their sessions."""

from __future__ import annotations

import numpy as np
import pandas as pd


def monthly_results(daily: pd.DataFrame) -> pd.DataFrame:
    """Compounded returns, turnover and number of sessions of each track over one month.

    Parameters
    ----------
    daily : DataFrame
        A row for each track and session: ``net_return``, ``gross_return``, ``turnover`` (fractions of capital).
        A return that is NaN makes the month's NaN.

    Returns
    -------
    DataFrame
        A row for each track, by name.
    """
    grouped = daily.groupby("track", sort=True)
    return pd.DataFrame(
        {
            "net_return": grouped["net_return"].apply(lambda r: float(np.prod(1.0 + r.to_numpy()) - 1.0)),
            "gross_return": grouped["gross_return"].apply(lambda r: float(np.prod(1.0 + r.to_numpy()) - 1.0)),
            "turnover": grouped["turnover"].sum(),
            "sessions": grouped["session"].nunique(),
        }
    ).reset_index()
