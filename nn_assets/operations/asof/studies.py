"""The verdict in force: that of the newest study that had ended before a month began.

A session that is decided late is decided on the verdict of its own moment. A strategy whose settings end its history
has no such moments: it is replayed on what is on record when it is decided.
"""

from __future__ import annotations

import pandas as pd

from nn_assets.operations.asof.settings_on_record import hashes_in_force
from nn_assets.operations.clock import as_of_session, counts_until, has_clock, now_utc
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

_LEAK_ALARM = "leak alarm"


def latest_study(
    ledger: Ledger, strategy: Strategy, before_month: str | None = None, recorded_by: pd.Timestamp | None = None
) -> pd.Series | None:
    """The newest study of the settings in force, or None.

    A study of other settings (looser limits, another pace of refits) says nothing of these. Where history
    ended then is no matter, nor whether the strategy traded without a verdict.

    Parameters
    ----------
    before_month : str, optional
        YYYY-MM: only studies whose record ended before it began; all when left out.
    recorded_by : UTC moment, optional
        Only studies put on record by then; all when left out.
    """
    studies = ledger.read("studies", strategy.name, recorded_by=recorded_by, bookkeeping=True)
    own = studies["settings_hash"].isin(hashes_in_force(ledger, strategy, of_studies=True))
    if before_month is not None:
        own &= studies["month"] < before_month
    studies = studies[own]
    return None if studies.empty else studies.sort_values(["month", "sequence"]).iloc[-1]


def is_leak_alarm(study: pd.Series) -> bool:
    """Whether a study says that a leak alarm stands."""
    return bool(study["verdict"] == _LEAK_ALARM)


def study_in_force(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, decided_at: pd.Timestamp | None = None
) -> pd.Series | None:
    """The study whose verdict decides a session, or None.

    Parameters
    ----------
    decided_at : UTC moment, optional
        When the session was put on record; None while it is undecided.
    """
    until = counts_until(strategy.market, session, decided_at)
    return latest_study(ledger, strategy, session.strftime("%Y-%m"), until)


def month_of_verdict(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, decided_at: pd.Timestamp | None, verdict: object
) -> str | None:
    """Up to the end of which month, YYYY-MM, the study went whose verdict decided a session.

    None where there was none, or where the settings were changed since, so that no study of these gave that verdict.
    """
    study = study_in_force(ledger, strategy, session, decided_at)
    return None if study is None or study["verdict"] != verdict else str(study["month"])


def late_verdict(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, decided_at: pd.Timestamp | None = None
) -> str | None:
    """Say which verdict came too late for a session that was decided after it; None where none did.

    Parameters
    ----------
    decided_at : UTC moment, optional
        When the session was put on record; None while it is undecided.
    """
    if not has_clock(strategy.market, now_utc()):
        return None
    newest = latest_study(ledger, strategy, session.strftime("%Y-%m"), decided_at)
    used = study_in_force(ledger, strategy, session, decided_at)
    if newest is None or (used is not None and used["sequence"] == newest["sequence"]):
        return None
    due = as_of_session(strategy.market, session)
    verdict = (
        f"{newest['verdict']!r} of {newest['month']} was put on record at {newest['recorded_at']:%Y-%m-%d %H:%M} UTC"
    )
    return f"{verdict}, after the session's moment ({due:%Y-%m-%d %H:%M} UTC)"
