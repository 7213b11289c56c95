"""The tables that can be exported: where each is read, and how it is cut by session and by what was known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from nn_assets.contracts import FORECASTS as FORECAST_ROWS
from nn_assets.contracts import INTRADAY_BARS, QUARANTINE, empty, framed, validate
from nn_assets.contracts.contract import Contract
from nn_assets.contracts.frames import (
    ActionVersions,
    BarDetails,
    BarVersions,
    DailyBars,
    FeatureRows,
    ForecastRows,
    HaltVersions,
    IntradayBars,
    IntradayDetails,
    MembershipVersions,
    Notices,
    NoveltyRows,
    PortfolioStateRows,
    Quarantine,
    RangeRows,
    SeriesVersions,
)
from nn_assets.contracts.ledger import ACCOUNTS
from nn_assets.contracts.tables import NOTICES
from nn_assets.errors import NnAssetsError, PluginError, PublicationError, SettingsError
from nn_assets.estimators import TRADED
from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.facts.actions import actions_as_of
from nn_assets.market.facts.bars import known_bars
from nn_assets.market.facts.bitemporal import BAR_FACTS, INTRADAY_DETAIL_FACTS
from nn_assets.market.facts.intraday import intraday_as_of
from nn_assets.market.facts.membership import membership_as_of
from nn_assets.market.facts.series import series_as_of
from nn_assets.market.facts.trading_halts import halts_as_of
from nn_assets.market.panel import FIELDS, panel_from_bars
from nn_assets.market.quality.cleaning import clean
from nn_assets.market.quality.intraday_cleaning import clean_intraday
from nn_assets.market.quality.unexplained_factors import with_unexplained_factors
from nn_assets.operations.asof.actions import ACTIONS, read_action_versions
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.asof.known_details import details_as_of, details_left_out, read_detail_versions
from nn_assets.operations.asof.series import OTHER_SERIES
from nn_assets.operations.asof.stored import (
    COMPARED,
    DETAILS_OF_INTRADAY,
    RAW_BARS,
    TRADING_HALTS,
    versions_of,
    with_contradictions,
)
from nn_assets.operations.asof.universe import UNIVERSE
from nn_assets.operations.catalog import load_strategies
from nn_assets.operations.clock import as_of_sessions, now_utc, seen_until
from nn_assets.operations.exported_names import LEDGER_TABLES
from nn_assets.operations.history import History
from nn_assets.operations.intake.actions import actions_to_publish
from nn_assets.operations.intake.bars import audit_bars, notices_of
from nn_assets.operations.intake.intraday import RAW_INTRADAY, cleaned_intraday, published_intraday
from nn_assets.operations.ranges import ranges_on
from nn_assets.plugins import place_of
from nn_assets.portfolio.records import FLOWS, session_flows
from nn_assets.store.ledger.ledger import Ledger

_SPELL = ["universe", "symbol", "member_from"]


def read_of_ledger(
    ledger: Ledger,
    name: str,
    table: str,
    first: pd.Timestamp | None,
    last: pd.Timestamp | None,
    moment: pd.Timestamp | None,
) -> pd.DataFrame:
    """Read one of ``exported_names.LEDGER_TABLES``, or ``audit``; the strategy needs no file.

    Parameters
    ----------
    first, last, moment
        As of ``read_exported``.
    """
    if table == "audit":
        return ledger.chain()
    exported = LEDGER_TABLES[table]
    low, high = (_month(first), _month(last)) if "month" in exported.columns else (first, last)
    owner = _account_of(name) if exported in ACCOUNTS else name
    rows = ledger.read(exported.name, owner, low, high, moment)
    return _with_flows(rows) if table == "portfolio" else rows


def _account_of(name: str) -> str:
    """What the ledger calls the account of a strategy; of its own name where no file says which it is."""
    named = [entry.strategy for entry in load_strategies() if entry.strategy.name == name]
    return ledger_name((account_of(named[0]) if named else None) or name)


def read_exported(
    history: History,
    table: str,
    first: pd.Timestamp | None,
    last: pd.Timestamp | None,
    moment: pd.Timestamp | None,
    adjusted: str | None = None,
) -> pd.DataFrame:
    """Read one of ``exported_names.LAKE_TABLES``.

    Parameters
    ----------
    first, last : Timestamp, optional
        Sessions, both included. Membership is cut to the spells that hold a day between them.
    moment : Timestamp, UTC, optional
        Only what was known then. Without it, ``compared``, ``series`` and ``membership`` are every version stored.
    adjusted : {"backward", "forward"}, optional
        Of ``bars`` alone: for the splits and dividends known, over all bars, before they are cut.
        *Backward* ends at the last bar as quoted, *forward* starts at the first one.

    Raises
    ------
    PublicationError
        The table was never stored.
    """
    frame = _LAKE_TABLES[table](history, moment)
    if adjusted is not None:
        frame = _adjusted(history, frame, moment, adjusted)
    return _until(history, table, frame, first, last)


def read_of_plugin(
    history: History,
    contract: Contract,
    read: Callable[[History], pd.DataFrame | None],
    first: pd.Timestamp | None,
    last: pd.Timestamp | None,
    moment: pd.Timestamp | None,
) -> pd.DataFrame:
    """Read a table that a plug-in's wing stores; parameters as of `read_exported`.

    It is cut where it has a column ``session``, or ``known_at``. One without sessions is refused while any are sealed.

    Raises
    ------
    PluginError
        ``read`` raises anything but an error of this package, or gives no frame.
    SettingsError
        The strategy has a vault, and the table no column ``session``.
    PublicationError
        Nothing is stored.
    SchemaError
        What is stored is not as its contract says.
    """
    vault_starts = history.strategy.market.vault_starts
    if vault_starts is not None and "session" not in contract.columns:
        raise SettingsError(
            expected=f"a column session in {contract.name}, by which what lies in the vault is left out",
            found=f"none, and sessions from {vault_starts} on are sealed",
            remedy="give the contract a column session, or export the table once the vault is opened",
            key="table",
        )
    try:
        frame = read(history)
        if frame is not None and not isinstance(frame, pd.DataFrame):
            raise TypeError(f"a {type(frame).__name__}, which is no frame")
    except NnAssetsError:
        raise
    except (Exception, SystemExit) as error:  # whatever a person's function raises
        raise PluginError(
            expected=f"rows of {contract.name}, or None where nothing is stored",
            found=f"{type(error).__name__}: {error}",
            remedy="mend the function that tables names beside the contract",
            **place_of(read, error),
            key="plugins",
        ) from error
    if frame is None:
        raise PublicationError(
            expected=f"rows of {contract.name}",
            found="nothing stored",
            remedy="run the job of the plug-in that takes them in: nn-assets ui",
            strategy=history.strategy.name,
        )
    frame = validate(frame, contract)
    if moment is not None:
        frame = frame[frame["known_at"] <= moment]
    if "session" in contract.columns:
        return _until(history, "", frame, first, last)
    return frame.reset_index(drop=True)


def _until(
    history: History, table: str, frame: pd.DataFrame, first: pd.Timestamp | None, last: pd.Timestamp | None
) -> pd.DataFrame:
    """Its rows between two sessions, none that is sealed."""
    until = history.last_session if last is None else min(last, history.last_session)
    return frame[_between(table, frame, first, until)].reset_index(drop=True)


def _with_flows(states: PortfolioStateRows) -> PortfolioStateRows:
    """What moved the session's cash besides fills, in place of the record that the book goes on from."""
    flows = pd.DataFrame([session_flows(book) for book in states["book"]], index=states.index, columns=FLOWS)
    return pd.concat([states.drop(columns="book"), flows.astype("float64")], axis=1)


def _month(day: pd.Timestamp | None) -> str | None:
    return None if day is None else day.strftime("%Y-%m")


def _between(table: str, frame: pd.DataFrame, first: pd.Timestamp | None, last: pd.Timestamp) -> pd.Series:
    if table != "membership":
        day = frame[{"actions": "ex_session", "halts": "halted_from"}.get(table, "session")]
        return (day <= last) if first is None else (day <= last) & (day >= first)
    inside = frame["member_from"] <= last
    if first is not None:
        inside &= frame["member_to"].isna() | (frame["member_to"] > first)
    # A spell is cut with all its versions: one alone would hide that a later one ends or retires it.
    return inside.groupby([frame[key] for key in _SPELL]).transform("any").astype(bool)


def _bars(history: History, moment: pd.Timestamp | None) -> DailyBars:
    """Clean bars, the newest as published, or as they were known at a moment."""
    if moment is None:
        return history.published_bars
    market = history.strategy.market
    versions = known_bars(history.raw_versions, moment)
    judged_by = history.strategy.cleaning, _known_actions(history, moment), history.compared_until(moment)
    return clean(versions, market.calendar, *judged_by).bars


def _compared(history: History, moment: pd.Timestamp | None) -> BarVersions:
    """Every version of the second source's bars, or each bar as it was known at a moment."""
    _check_taken_in(history, COMPARED, "bars of a second source", "market.compare_with")
    versions = versions_of(history.stores, history.strategy.name, COMPARED)
    return versions if moment is None else known_bars(versions, moment)


def _adjusted(history: History, bars: DailyBars, moment: pd.Timestamp | None, how: str) -> DailyBars:
    market = history.strategy.market
    actions = _known_actions(history, moment)
    if not market.binary:
        actions = with_unexplained_factors(actions, bars)
    if actions is None or bars.empty:
        return bars
    sessions = sessions_between(market.calendar, bars["session"].min(), bars["session"].max())
    symbols = tuple(sorted(bars["symbol"].unique()))
    panel = panel_from_bars(bars, sessions, symbols, actions, market.adjustment_convention)
    shown = panel.backward_adjusted() if how == "backward" else panel.total_return()
    index = (
        sessions.get_indexer(pd.DatetimeIndex(bars["session"])),
        pd.Index(symbols).get_indexer(pd.Index(bars["symbol"])),
    )
    return bars.assign(**{field: getattr(shown, field)[index] for field in FIELDS})


def _actions(history: History, moment: pd.Timestamp | None) -> ActionVersions:
    """Splits and dividends stored, as they are known now or were known at a moment."""
    stored = history.stores.lake.segments(history.strategy.name, ACTIONS)
    actions = actions_to_publish(history, stored) if moment is None else _known_actions(history, moment)
    if actions is None:
        raise _never_stored(history, "splits and dividends", "source.actions_path")
    return actions


def _known_actions(history: History, moment: pd.Timestamp | None) -> ActionVersions | None:
    """Those of the publication in force as known now, or those known at a moment; None where there are none."""
    if moment is None:
        return actions_to_publish(history, tuple(history.covering(None).details.get(ACTIONS, ())))
    name = history.strategy.name
    versions = read_action_versions(history.stores, name, history.stores.lake.segments(name, ACTIONS))
    return None if versions is None else actions_as_of(versions, moment)


def _quarantine(history: History, moment: pd.Timestamp | None) -> Quarantine:
    # From the raw bars, so that what made the gate halt can be read although nothing was published.
    market = history.strategy.market
    as_of = now_utc() if moment is None else moment
    intraday = cleaned_intraday(history, seen_until(market, history.last_session, as_of) if moment is None else as_of)
    of_intraday = empty(QUARANTINE) if intraday is None else intraday.quarantine
    if len(of_intraday) and not history.stores.lake.segments(history.strategy.name, RAW_BARS):
        return of_intraday  # their gate refused them, so that no daily bar was ever made
    versions = known_bars(history.stored_versions, as_of)
    segments = history.stores.lake.segments(history.strategy.name, ACTIONS)
    actions = actions_to_publish(history, segments) if moment is None else _known_actions(history, moment)
    bars = with_contradictions(
        history.stores, history.strategy.name, RAW_BARS, BAR_FACTS, versions, history.stored_versions
    )
    judged_by = history.strategy.cleaning, actions, history.compared_until(as_of)
    of_bars = clean(bars, market.calendar, *judged_by).quarantine
    of_details = details_left_out(history.stores, history.strategy.name, of_bars)
    left_out = of_details[of_details["known_at"] <= as_of]
    beside = [rows for rows in (left_out, of_intraday) if len(rows)]
    return pd.concat([of_bars, *beside], ignore_index=True) if beside else of_bars


def _notices(history: History, _moment: pd.Timestamp | None) -> Notices:
    """What a person should judge of the bars and actions stored, also where they made the gate halt.

    A moment is refused before: they are judged on what is known now.
    """
    actions = actions_to_publish(history, history.stores.lake.segments(history.strategy.name, ACTIONS))
    notices = notices_of(history, audit_bars(history), actions)
    columns = {name: [getattr(notice, name) for notice in notices] for name in NOTICES.columns if name != "session"}
    return framed(NOTICES, len(notices), session=[notice.first_session for notice in notices], **columns)


def _features(history: History, moment: pd.Timestamp | None) -> FeatureRows:
    """Features in wide form, one row for each symbol and session."""
    cube = history.view(None if moment is None else _last_known(history, moment)).cube
    values = np.asarray(cube.values)
    bars, symbols = values.shape[:2]
    frame = pd.DataFrame(values.reshape(bars * symbols, -1), columns=list(cube.names))
    frame.insert(0, "symbol", list(cube.symbols) * bars)
    frame.insert(0, "session", cube.sessions.repeat(symbols))
    return frame


def _forecasts(history: History, moment: pd.Timestamp | None) -> ForecastRows:
    lake, name = history.stores.lake, history.strategy.name
    # Version 0.1 stored calibrated probabilities too, each model's own; those in force are in the signals.
    stored = lake.read_months(name, FORECASTS, list(lake.months(name, FORECASTS)))
    frame = stored[list(FORECAST_ROWS.columns)]
    return frame if moment is None else frame[frame["session"] <= _last_known(history, moment)]


def _ranges(history: History, moment: pd.Timestamp | None) -> RangeRows:
    """Those of the last session, or of the last one that was known at a moment."""
    session = history.last_session if moment is None else _last_known(history, moment)
    return ranges_on(history, session).to_frame(session)


def _novelty(history: History, moment: pd.Timestamp | None) -> NoveltyRows:
    """Of every forecast that is kept, or that could be made by a moment."""
    from nn_assets.operations.models.novelty import novelty_of_forecasts  # imports torch, as no other table does

    if history.strategy.novelty is None:
        raise SettingsError(
            expected="a section novelty, by which models score rows",
            found="none",
            remedy="state novelty: {} in the strategy file",
            key="novelty",
            strategy=history.strategy.name,
        )
    forecasts = _forecasts(history, moment)
    return novelty_of_forecasts(history, forecasts[forecasts["estimator"] == TRADED])


def _last_known(history: History, moment: pd.Timestamp) -> pd.Timestamp:
    """The last session whose decision could be made by a moment."""
    sessions = history.axis
    decidable = as_of_sessions(history.strategy.market, sessions) <= moment
    if not decidable.any():
        raise SettingsError(
            expected=f"a time after the close of {sessions[0].date()}",
            found=moment.isoformat(),
            remedy="ask for a later time",
            key="--as-of",
        )
    return sessions[decidable][-1]


def _series(history: History, moment: pd.Timestamp | None) -> SeriesVersions:
    """Every version of every observation, or each observation as it was known at a moment."""
    _check_taken_in(history, OTHER_SERIES, "observations of other series", "series")
    versions = versions_of(history.stores, history.strategy.name, OTHER_SERIES)
    return versions if moment is None else series_as_of(versions, moment)


def _membership(history: History, moment: pd.Timestamp | None) -> MembershipVersions:
    """Every version of every spell, or each spell as it was known at a moment."""
    _check_taken_in(history, UNIVERSE, "membership of a universe", "universe")
    versions = versions_of(history.stores, history.strategy.name, UNIVERSE)
    return versions if moment is None else membership_as_of(versions, moment)


def _bar_details(history: History, moment: pd.Timestamp | None) -> BarDetails:
    """What sources say of bars beyond prices and volume, as known now or at a moment."""
    versions = read_detail_versions(history.stores, history.strategy)
    if versions is None:
        raise _no_details(history, "bars", "the source")
    return details_as_of(versions, now_utc() if moment is None else moment)


def _intraday_details(history: History, moment: pd.Timestamp | None) -> IntradayDetails:
    """What sources say of bars within the session beyond prices, volume and quotes, as known now or at a moment."""
    if not history.stores.lake.segments(history.strategy.name, DETAILS_OF_INTRADAY):
        raise _no_details(history, "bars within the session", "their files")
    versions = versions_of(history.stores, history.strategy.name, DETAILS_OF_INTRADAY)
    return INTRADAY_DETAIL_FACTS.as_of(versions, now_utc() if moment is None else moment)


def _no_details(history: History, of_bars: str, source: str) -> PublicationError:
    return PublicationError(
        expected=f"details of {of_bars}: vwap, trades, bid, ask or effective_spread",
        found="none ever taken in",
        remedy=f"give {source} such columns (docs/data.md), then nn-assets check --strategy {history.strategy.name}",
        strategy=history.strategy.name,
    )


def _halts(history: History, moment: pd.Timestamp | None) -> HaltVersions:
    """Every version of every halt, or each halt as it was known at a moment."""
    _check_taken_in(history, TRADING_HALTS, "halts of instruments", "halts")
    versions = versions_of(history.stores, history.strategy.name, TRADING_HALTS)
    return versions if moment is None else halts_as_of(versions, moment)


def _intraday(history: History, moment: pd.Timestamp | None) -> IntradayBars:
    """Clean bars within the session, as published or as they were known at a moment."""
    strategy = history.strategy
    _check_taken_in(history, RAW_INTRADAY, "bars within the session", "intraday")
    if moment is None:
        return published_intraday(history)
    versions = intraday_as_of(versions_of(history.stores, strategy.name, RAW_INTRADAY), moment)
    if versions.empty or strategy.intraday is None:
        return empty(INTRADAY_BARS)
    return clean_intraday(versions, strategy.market.calendar, strategy.intraday, strategy.cleaning, seen_at=moment).bars


def _check_taken_in(history: History, table: str, what: str, section: str) -> None:
    if not history.stores.lake.segments(history.strategy.name, table):
        raise _never_stored(history, what, section)


def _never_stored(history: History, what: str, setting: str) -> PublicationError:
    name = history.strategy.name
    return PublicationError(
        expected=what,
        found="none ever taken in",
        remedy=f"name their file under {setting} in the strategy file, then nn-assets check --strategy {name}",
        strategy=name,
    )


_LAKE_TABLES: dict[str, Callable[[History, pd.Timestamp | None], pd.DataFrame]] = {
    "bars": _bars,
    "compared": _compared,
    "quarantine": _quarantine,
    "notices": _notices,
    "features": _features,
    "forecasts": _forecasts,
    "intraday": _intraday,
    "actions": _actions,
    "series": _series,
    "membership": _membership,
    "bar_details": _bar_details,
    "intraday_details": _intraday_details,
    "halts": _halts,
    "ranges": _ranges,
    "novelty": _novelty,
}
