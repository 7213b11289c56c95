"""What bars within the session say beyond prices, volume and quotes: taken in beside them, and read with them."""

from __future__ import annotations

import pandas as pd

from nn_assets.arrays import BoolArray
from nn_assets.contracts import DETAILS, INTRADAY_DETAILS, QUARANTINE, conform, empty
from nn_assets.contracts.frames import IntradayBars, IntradayDetails, IntradayVersions
from nn_assets.market.facts.bitemporal import INTRADAY_DETAIL_FACTS
from nn_assets.market.facts.intraday import KEY, first_known
from nn_assets.market.quality.bar_details import contradicted_details, judge_details
from nn_assets.operations.asof.stored import DETAILS_OF_INTRADAY, versions_of
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import append_contradicted, append_versions
from nn_assets.operations.intake.delivered_details import append_details_quarantine


def append_intraday_details(
    history: History, delivered: pd.DataFrame, stamped: IntradayVersions, explicit: BoolArray | None
) -> None:
    """Store what delivered bars say beside them, each detail known when its bar is; what is faulty is left out.

    Parameters
    ----------
    delivered : DataFrame
        Of :func:`~nn_assets.sources.tables.intraday_files.read_intraday_files`; without a column of ``DETAILS``
        nothing is stored.
    stamped : DataFrame
        The same rows with session and moments, columns of ``INTRADAY_VERSIONS``.
    explicit : array of bool, shape (rows delivered,), optional
        Rows whose ``known_at`` is the source's own.
    """
    judged = judge_details(delivered.assign(session=stamped["session"].array))
    if judged is None or not judged.rows.any():
        return
    stores, name = history.stores, history.strategy.name
    carrying = stamped[judged.rows].reset_index(drop=True)
    details = conform(carrying.assign(**{detail: judged.details[detail] for detail in DETAILS}), INTRADAY_DETAILS)
    there = bool(stores.lake.segments(name, DETAILS_OF_INTRADAY))
    stored = versions_of(stores, name, DETAILS_OF_INTRADAY) if there else empty(INTRADAY_DETAILS)
    by_source = None if explicit is None else explicit[judged.rows]
    fresh, counted = INTRADAY_DETAIL_FACTS.added(stored, details, by_source)
    append_contradicted(stores, name, DETAILS_OF_INTRADAY, counted.contradicted)
    append_versions(stores, name, DETAILS_OF_INTRADAY, stored, fresh.sort_values(KEY, kind="stable"))
    at = judged.quarantine["row"].to_numpy()
    findings = [_dated(judged.quarantine.assign(known_at=details["known_at"].iloc[at].array), details.iloc[at])]
    if len(counted.contradicted):
        findings.append(_dated(contradicted_details(counted.contradicted), counted.contradicted))
    append_details_quarantine(stores, name, pd.concat(findings, ignore_index=True))


def _dated(findings: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    """Findings whose value names the start of its bar: a session has many."""
    starts = [f"{moment.isoformat()}: " for moment in bars["bar_at"]]
    return conform(findings.assign(value=starts + findings["value"].to_numpy(dtype=object)), QUARANTINE)


def details_beside(history: History, bars: IntradayBars) -> IntradayDetails | None:
    """What is said of some bars, as it was known first; None where nothing ever was.

    The first words of a bar count, as for decisions within the session: a detail that is restated says nothing of the
    moment at which the bar was read. One that is stated to be known later than its bar is left out; what came after
    its session was decided is known from its arrival, as the session bar is that is made of it.

    Parameters
    ----------
    bars : DataFrame
        Columns of ``INTRADAY_BARS``, one row a bar.
    """
    stores, name = history.stores, history.strategy.name
    if not stores.lake.segments(name, DETAILS_OF_INTRADAY):
        return None
    first = first_known(versions_of(stores, name, DETAILS_OF_INTRADAY))
    known = first[KEY].merge(bars[[*KEY, "known_at"]], on=KEY, how="left")["known_at"]
    arrived = first["known_at"] == first["ingested_at"]
    return first[arrived | (first["known_at"] <= known)].reset_index(drop=True)
