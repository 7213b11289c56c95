"""A session's page: how the session left the strategy, what a person must know of it, and the file it is written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import values_of
from nn_assets.contracts.frames import RangeRows
from nn_assets.costs.shortfall import shortfall_rows
from nn_assets.errors import first_of
from nn_assets.operations.account_faults import faults_of_cash
from nn_assets.operations.asof.cash_apart import cash_apart_at
from nn_assets.operations.asof.choices import as_fitted
from nn_assets.operations.asof.studies import late_verdict, month_of_verdict
from nn_assets.operations.asof.trading_halts import halts_in_words
from nn_assets.operations.bar_faults import delisting_line, without_bar
from nn_assets.operations.history import History
from nn_assets.operations.models.unlike_days import novelty_notices
from nn_assets.operations.next_command import study_of_others, study_of_others_text
from nn_assets.operations.pages import caveats_of, market_label, own_sections, write_page
from nn_assets.operations.ranges import ranges_on
from nn_assets.operations.session_moves import kept_moves
from nn_assets.operations.situation import (
    account_apart,
    of_bars,
    of_regime,
    orders_cancelled,
    share_text,
    situation_of,
    unlike_day,
)
from nn_assets.operations.waiting_refresh import waits_on_page
from nn_assets.oversight.headline import Situation, headline
from nn_assets.portfolio.binding import binding_constraints
from nn_assets.portfolio.records import book_remainder
from nn_assets.reports.page import DailyPage, Plot, daily_page
from nn_assets.reports.round_notices import (
    answer_notices,
    calendar_notices,
    delisting_notices,
    ended_notices,
    financing_facts,
    funding_facts,
    funding_notices,
    held_on_notices,
    late_notices,
    net_notices,
    overdue_notices,
    premium_notices,
    resting_facts,
    slippage_notices,
    stop_notices,
    volatility_notices,
)
from nn_assets.session.daily_round import Round
from nn_assets.session.missing_bars import missing_bars, sessions_read
from nn_assets.signals.regimes import RARE_SHARE

_PROVENANCE = {
    "data_hash": "Data",
    "model_id": "Model",
    "code_version": "Code",
    "settings_hash": "Settings",
    "content_hash": "Decision",
}


def _missing_notices(history: History, session_round: Round) -> list[str]:
    """Say which symbols of the decision lack a bar: stepped over, of the session itself, or too many of them."""
    view = history.view(session_round.session)
    strategy = as_fitted(history.stores.ledger, history.strategy, session_round.session)
    chosen = strategy.search is not None and "features.names" in strategy.search.space
    names = strategy.features.names if chosen and strategy.features.names else view.cube.names
    reached = sessions_read(names, strategy.learning.lookback, strategy.features.max_missing_bars_fraction)
    signalled = np.isfinite(session_round.signals.calibrated_probability)
    halted = view.halted
    missing = missing_bars(np.isfinite(view.panel.close), signalled, view.members, reached, halted)
    within = f"within the {reached} sessions that features and lookback read"

    def named(columns: Sequence[int]) -> str:
        return ", ".join(first_of([view.symbols[column] for column in columns]))

    notices = []
    if missing.stepped_over:
        notices.append(
            f"{len(missing.stepped_over)} of {int(signalled.sum())} signals rest on fewer bars "
            f"(features.missing_bars {strategy.features.missing_bars}), at least one is missing {within}: "
            f"{named(missing.stepped_over)}."
        )
    if halted is not None and halted.any():
        on_halt = halts_in_words(history.halt_versions, view.session, view.moment)
        notices.append(f"Halted, so that no bar is due and nothing of it trades: {', '.join(first_of(on_halt))}.")
    if missing.none_today:
        notices.append(f"No bar of this session, so no signal: {named(missing.none_today)}.")
    if missing.silenced:
        notices.append(
            f"No signal, and bars are missing {within}: {named(missing.silenced)}. Windows step over "
            f"{strategy.features.max_missing_bars_fraction:.0%} at most (features.max_missing_bars_fraction)."
        )
    return notices


def _halted_symbols(history: History, session_round: Round) -> list[str]:
    view = history.view(session_round.session)
    return [] if view.halted is None else [view.symbols[column] for column in np.flatnonzero(view.halted).tolist()]


def _alarm_notices(history: History, session_round: Round) -> list[str]:
    """Repeat the leak alarms that a person released, as the study in force has them."""
    study = history.view(session_round.session).study
    alarms = "" if study is None else study["figures"].get("released_alarms", "")  # version 0.1 had none
    return [f"Leak alarm, released: {alarms}"] if alarms else []


def _unquoted_notices(history: History, session_round: Round) -> list[str]:
    """Say what is held and has no bar, or has one in quarantine."""
    remainder = book_remainder(session_round.session_state.book)
    in_quarantine, absent = without_bar(history, session_round.session, remainder)
    return [
        *(f"{bar.cause}; {bar.remedy}." for bar in in_quarantine),
        *(f"{position.cause}; {delisting_line(history.strategy, position)}." for position in absent),
    ]


def _details_on_record(history: History, session_round: Round) -> Mapping[str, Any]:
    """The details of the session's decision; none where it is not on record."""
    decided = history.stores.ledger.read(
        "decisions", history.strategy.name, session_round.session, session_round.session
    )
    return {} if decided.empty else dict(decided["details"].iloc[-1])


def regime_lines(regime: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Which regime the session was in, and how much of what its model was fitted on was in it.

    Parameters
    ----------
    regime : mapping
        As the session's decision has it; empty where it has none.

    Returns
    -------
    (list of str, list of str)
        Ordinary facts; what a person should look at: a rare regime, or none where the settings ask for one.
    """
    plain, notices = list[str](), list[str]()
    if (share := regime.get("share")) is not None:
        line = f"Regime: {regime['name']}; it {share_text(share)}."
        if share < RARE_SHARE:
            notices.append(f"{line} Its models hardly learned what holds there.")
        else:
            plain.append(line)
    if "no_markov" in regime:
        notices.append(f"No Markov regime because {regime['no_markov']}: the rules name it.")
    return plain, notices


def _situation_after(
    history: History, session_round: Round, frames: Mapping[str, pd.DataFrame], provenance: Mapping[str, str]
) -> Situation:
    """How the session left the strategy."""
    decided_at, details = history.view(session_round.session).decided_at, _details_on_record(history, session_round)
    ledger, verdict = history.stores.ledger, _verdict_or_none(provenance)
    situation = situation_of(
        history.strategy,
        state=values_of(frames["portfolio_states"].iloc[0]),
        trading=values_of(frames["trading_states"].iloc[0]),
        targets=frames["target_positions"],
        holdings=frames["holdings"],
        orders=frames["orders"],
        verdict=verdict,
        controls=details,
        verdict_of=month_of_verdict(ledger, history.strategy, session_round.session, decided_at, verdict),
        late=late_verdict(ledger, history.strategy, session_round.session, decided_at),
        kill_switch=str(session_round.decision.inputs.kill_switch),
    )
    faults = (
        *of_bars(history, session_round.session, frames["portfolio_states"]["book"].iloc[0]),
        *of_regime(details, session_round.session),
        *unlike_day(details),
        *orders_cancelled(details),
        *account_apart(history.strategy, details.get("account_differs")),
        *faults_of_cash(cash_apart_at(ledger, history.strategy, session_round.session, details)),
        *waits_on_page(ledger, history.strategy, session_round.session, details, decided_at),
    )
    return replace(situation, study_of_others=study_of_others(history), faults=faults)


def bound_by(session_round: Round, frames: Mapping[str, pd.DataFrame]) -> dict[str, tuple[str, int | None]]:
    """The constraint that bound each size of a session and the step that it acts in, by symbol."""
    symbols = session_round.decision.inputs.symbols
    after = frames["position_steps"]["weight_after"].to_numpy().reshape(len(symbols), -1).T  # (steps, symbols)
    return dict(zip(symbols, binding_constraints(session_round.decision, after), strict=True))


def _verdict_or_none(provenance: Mapping[str, str]) -> str | None:
    return provenance["verdict"] if provenance["verdict"] != "None" else None


def _no_verdict(history: History) -> str:
    """How far the newest study goes, if it was made under other settings; else empty."""
    text = study_of_others_text(history)
    return "" if text is None else f"none: the newest study goes {text}"


def _ranges(history: History, session: pd.Timestamp) -> RangeRows | None:
    return None if history.strategy.ranges is None else ranges_on(history, session).to_frame(session)


def write_daily_page(
    history: History,
    session_round: Round,
    frames: dict[str, pd.DataFrame],
    provenance: dict[str, str],
    drift_plot: bytes | None,
) -> Path:
    """Write the report of one session; returns its file."""
    strategy = history.strategy
    trading = frames["trading_states"].iloc[0]
    regime, rare_regime = regime_lines(_details_on_record(history, session_round).get("regime", {}))
    caption = "Each monitored series against its calibrated critical value."
    plots = [] if drift_plot is None else [Plot("Drift", caption, drift_plot)]
    page = DailyPage(
        name=strategy.name,
        session=str(session_round.session.date()),
        headline=headline(_situation_after(history, session_round, frames, provenance)),
        trading_state=str(trading["state"]),
        trading_reasons="; ".join(trading["reasons"]),
        portfolio=values_of(frames["portfolio_states"].iloc[0]),
        targets=frames["target_positions"],
        steps=frames["position_steps"],
        orders=frames["orders"],
        fills=frames["fills"],
        drift=frames["drift"],
        moves=kept_moves(history, session_round.session),
        bound_by=bound_by(session_round, frames),
        label=market_label(strategy),
        verdict=_verdict_or_none(provenance) or _no_verdict(history),
        plots=plots,
        ranges=_ranges(history, session_round.session),
        notices=[
            *answer_notices(session_round),
            *held_on_notices(session_round),
            *ended_notices(session_round, _halted_symbols(history, session_round)),
            *stop_notices(session_round),
            *slippage_notices(strategy, session_round),
            *net_notices(strategy, values_of(frames["portfolio_states"].iloc[0])),
            *calendar_notices(strategy, session_round),
            *_unquoted_notices(history, session_round),
            *delisting_notices(session_round),
            *overdue_notices(strategy, session_round),
            *funding_notices(strategy, session_round),
            *late_notices(strategy, session_round),
            *_missing_notices(history, session_round),
            *rare_regime,
            *_alarm_notices(history, session_round),
            *novelty_notices(history, _details_on_record(history, session_round), provenance["model_id"]),
        ],
        plain_facts=[
            *regime,
            *resting_facts(session_round),
            *financing_facts(session_round),
            *funding_facts(strategy, session_round),
            *premium_notices(session_round),
            *volatility_notices(session_round),
        ],
        provenance={label: provenance[key] for key, label in _PROVENANCE.items()},
        caveats=caveats_of(strategy),
        own_sections=own_sections(strategy),
        shortfall=() if session_round.executions is None else shortfall_rows(session_round.executions),
    )
    return write_page(f"{strategy.name}-{session_round.session.date()}.html", daily_page(page))
