"""Decisions within the session, from files of bars to the replay: what they read, when they fill, what is not sent."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.errors import DecisionError, PublicationError, SettingsError
from nn_assets.evaluation.replay import Replay, Scene, replay
from nn_assets.evaluation.trials import trial_configuration, trial_hash
from nn_assets.market.calendar.decision_bars import DecisionTiming, catching_up_decisions
from nn_assets.operations import study_page
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.decision_timing import decision_timing
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.intraday import audit_intraday, ingest_intraday
from nn_assets.operations.models.groups import groups_by_row, groups_of
from nn_assets.operations.models.preparation import due_folds
from nn_assets.operations.pages import caveats_of
from nn_assets.operations.study import StudyResult, study_identity
from nn_assets.reports.page import study_page as drawn_page
from nn_assets.session.daily_round import SENT_LATE
from nn_assets.session.horizon_in_session import decisions_that_count
from nn_assets.settings import Strategy
from nn_assets.settings.reading import parse_strategy
from nn_assets.settings.sections import STUDIED_AND_REPLAYED_ONLY
from tests.cli.conftest import call
from tests.operations import within_the_session as intraday
from tests.operations.homes import study
from tests.orchestration.conftest import living_in, strategy_of
from tests.shared_homes import nothing_drawn

STARTS, ENDS, MONTH = "2024-01-15", "2024-02-06", "2024-02"
HOURLY: dict[str, dict[str, object]] = {
    "intraday": {"bar_minutes": 60},
    "decisions": {"overnight": "flat", "closing_bars": 4},
    "learning": {"maximum_epochs": 2, "ensemble": 1},
    "label": {"horizon_sessions": 3},
    "walk_forward": {"validation_days": 2, "calibration_days": 2},
}
BARS = intraday.simulated_bars(STARTS, 23 * 24, edge=0.5, symbols=5, minutes=60)
CLOSES = BARS.assign(date=BARS["date"].dt.tz_localize(None)).pivot(index="date", columns="symbol", values="close")
DUE = pd.Timedelta(hours=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hourly bars around the clock, of which ``studied`` makes a study; no other test writes to it."""
    home = tmp_path_factory.mktemp("within_the_session")
    intraday.write(home, BARS, starts=STARTS, ends=ENDS, **HOURLY)
    with living_in(home):
        intraday.take_in_all(strategy_of(intraday.NAME))
    return home


@pytest.fixture(scope="module")
def studied(home: Path) -> StudyResult:
    with living_in(home), nothing_drawn():
        return study(strategy_of(intraday.NAME), [MONTH])


@pytest.fixture
def here(home: Path) -> Iterator[Strategy]:
    with living_in(home):
        yield strategy_of(intraday.NAME)


def test_every_bar_is_decided_and_fills_at_the_next_close(studied: StudyResult) -> None:
    replayed = studied.study.replays["network"]
    sessions = [session_round.session for session_round in replayed.rounds]
    assert sessions == list(pd.date_range("2024-02-01", periods=6 * 24, freq="h"))
    closes = BARS.pivot(index="date", columns="symbol", values="close").tz_localize(None)
    fills = 0
    for before, now in zip(replayed.rounds, replayed.rounds[1:], strict=False):
        ordered = {before.orders.client_order_id[row] for row in np.flatnonzero(before.orders.accepted)}
        for batch in now.fills:
            fills += len(batch.quantity)
            assert set(batch.client_order_id) <= ordered
            close = closes.loc[now.session].to_numpy()[batch.symbol]
            assert batch.price == pytest.approx(close, rel=1e-3)
            assert (np.sign(batch.price - close) == np.sign(batch.quantity)).all()  # spread and impact, either way
            assert (batch.commission_usd > 0.0).all()
    assert fills > 20


def test_a_verdict_knows_how_many_decisions_a_day_count(studied: StudyResult, here: Strategy) -> None:
    """Also where no month has ended, as the page of such a record is worded by it.

    Of 24 hours of a flat book, those that leave one to the fill and three to the horizon: as many as are counted.
    """
    track = studied.study.track
    counted = np.isfinite(track.forecasts["network"]).any(axis=1) & np.isfinite(track.targets).any(axis=1)
    days = track.sessions[counted].normalize()
    assert days.value_counts().mode().tolist() == [studied.last.verdict.decisions_per_day] == [20]
    assert studied.terms.counted_per_year == 365 * 20
    assert here.decisions is not None
    for overnight, counts in (("held", 24), ("flat", 20)):
        decisions = here.decisions.model_copy(update={"overnight": overnight})
        intraday_settings = here.intraday.model_copy(update={"decisions": decisions})
        assert decisions_that_count(here.model_copy(update={"intraday": intraday_settings})) == counts


SAYS_SESSIONS = {
    "Held past a session's end",
    "0 of 6 sessions, by what could not be closed",
    f"The settings say trade_without_verdict: it changes nothing, since {STUDIED_AND_REPLAYED_ONLY}.",
}
"""What the page says of sessions themselves: every other row of its record is a decision."""


def test_the_page_calls_decisions_decisions(
    studied: StudyResult, here: Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read whole, without its markup; the positions of its replay are drawn by another page."""
    monkeypatch.setattr(study_page, "_kept_study", lambda _: tmp_path / "kept.json")
    set_aside = pd.DataFrame({"symbol": ["SIM02"], "session": [pd.Timestamp("2024-02-03 09:00")], "field": ["high"]})
    set_aside = set_aside.assign(rule="high_low_bracket", value="49.5")
    monkeypatch.setattr(study_page, "_set_aside", lambda *_: (set_aside, "1"))
    with open_history(here) as history:
        study_page.keep_study(history, studied, {})
        text = drawn_page(study_page.study_sheet(history))
    lines = html.unescape(re.sub("<[^>]+>", "\n", re.sub("<style.*?</style>", "", text, flags=re.DOTALL))).split("\n")
    of_sessions = {
        line.strip() for line in lines if re.search("session", line.replace(intraday.NAME, ""), re.IGNORECASE)
    }
    assert of_sessions == SAYS_SESSIONS
    assert {"Out-of-sample decisions", "decisions with a gain", "decisions", "Decisions"} <= {*map(str.strip, lines)}
    assert any(line.startswith("SIM02 2024-02-03T09:00 high") for line in lines)


def test_a_flat_book_holds_nothing_through_a_sessions_end(studied: StudyResult) -> None:
    replayed = studied.study.replays["network"]
    held = pd.Series(
        {session_round.session: session_round.session_state.book.quantity.any() for session_round in replayed.rounds}
    )
    assert held.sum() > 12
    assert not held[held.index.hour == 23].any()
    assert not held[held.index.hour == 0].any()  # what is decided at the last close would fill in the next session


def test_a_label_ends_within_its_session_where_the_book_is_flat(here: Strategy) -> None:
    with open_history(here) as history:
        cut = history.cut_for(history.last_session)
        hours = cut.sessions.hour + 1 + here.label.horizon_sessions
        labelled = np.isfinite(cut.labels.targets).any(axis=1)
        settled = np.arange(len(hours)) >= 30  # sigma_20 is there
        known = cut.labels.realised_row < len(hours)
        assert list(labelled[settled & known]) == list((hours < 24)[settled & known])
        assert history.sessions_per_year == 365 * 24


def views(home: Path, bars: pd.DataFrame, ends: str) -> dict[str, np.ndarray]:
    """All that decisions read, of a home with other bars, rows in order."""
    intraday.write(home, bars, starts=STARTS, ends=ends, **HOURLY)
    with living_in(home):
        strategy = strategy_of(intraday.NAME)
        intraday.take_in_all(strategy)
        with open_history(strategy) as history:
            cut, timing = history.cut_for(history.last_session), decision_timing(history)
            assert timing is not None
            read = {
                name: getattr(cut.market, name)
                for name in ("volatility", "cost_volatility", "adv_usd", "beta", "returns")
            }
            known = cut.labels.until(len(cut.sessions) - 1)
            made = {
                "closes": cut.panel.close,
                "features": cut.cube.values,
                "closing": timing.closing,
                "late": timing.late,
            }
            return {name: np.asarray(values) for name, values in (read | made | {"targets": known.targets}).items()}


def _corrupted(bars: pd.DataFrame, after: pd.Timestamp) -> pd.DataFrame:
    wrong = bars.copy()
    prices = ["open", "high", "low", "close"]
    wrong.loc[wrong["date"] >= after, prices] *= 1.07
    wrong.loc[wrong["date"] >= after, "volume"] *= 3.0
    return wrong


def _restated(bars: pd.DataFrame, after: pd.Timestamp) -> pd.DataFrame:
    known_bars = bars.assign(known_at=bars["date"] + DUE + pd.Timedelta(seconds=5))
    again = known_bars[(known_bars["date"] < after) & (known_bars["date"].dt.hour % 5 == 2)]
    restated = again.assign(close=again["low"], volume=again["volume"] * 5.0, known_at=after + DUE)
    return pd.concat([known_bars, restated], ignore_index=True)


FEW = BARS[BARS["date"] < pd.Timestamp("2024-01-19", tz="UTC")].reset_index(drop=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return views(tmp_path_factory.mktemp("whole"), FEW, "2024-01-18")


@pytest.mark.parametrize(
    "changed", [_corrupted, _restated, pytest.param(lambda bars, _: bars[:0], marks=pytest.mark.full, id="cut")]
)
def test_no_decision_reads_a_bar_or_a_word_of_after_its_moment(tmp_path: Path, whole, changed) -> None:
    """Rows up to the evening of the third day are the same to the bit, whatever the fourth brings."""
    after = pd.Timestamp("2024-01-18", tz="UTC")
    others = changed(FEW, after)
    cut = others.empty
    other = views(tmp_path, FEW[FEW["date"] < after] if cut else others, "2024-01-17" if cut else "2024-01-18")
    for name, values in whole.items():
        stop = 72 - (4 if name == "targets" else 0)  # realised by then
        np.testing.assert_array_equal(values[:stop], other[name][:stop], err_msg=name)
    assert np.isfinite(whole["features"][71]).all()


def test_a_decision_that_would_be_late_is_not_sent_and_counted(here: Strategy, studied: StudyResult) -> None:
    """Known five seconds after its bar, and 56 of computing: a second beyond the budget of 60."""
    assert studied.study.replays["network"].late_decisions == 0
    with open_history(_computing(here, 56)) as history:
        timing = decision_timing(history)
        (stretch,) = studied.material.known()
    assert timing is not None
    assert timing.late.all()
    forecasts = studied.material.forecasts["network"].at(slice(None))
    late = np.where(np.arange(len(timing.late)) % 2 == 0, timing.late, False)  # every second one
    scene = Scene(stretch.rows, stretch.market, stretch.labels, forecasts, timing=replace(timing, late=late))
    replayed = replay(here, studied.material.costs(stretch.rows[0]), 365 * 24, [scene])
    assert replayed.late_decisions == len(replayed.rounds) // 2
    reasons = {True: set(), False: set()}
    for before, now in zip(replayed.rounds, replayed.rounds[1:], strict=False):
        reasons[before.sent_late].update(before.orders.reason_code)
        if before.sent_late:
            assert not any(len(batch.quantity) for batch in now.fills)
    assert reasons == {True: {SENT_LATE}, False: {None}}
    with open_history(_computing(here, 55)) as history:
        timing = decision_timing(history)
    assert timing is not None
    assert not timing.late.any()


def _replayed(
    strategy: Strategy,
    studied: StudyResult,
    *,
    share: float = 1.0,
    timing: DecisionTiming | None = None,
    begins: str = "2024-02-04",
    **portfolio: object,
) -> Replay:
    """The study's replay with other settings of the book; a ``share`` of -1 forecasts the opposite."""
    (stretch,) = studied.material.known()
    forecasts = studied.material.forecasts["network"].at(slice(None))
    forecasts = replace(
        forecasts, calibrated=forecasts.base_rate + share * (forecasts.calibrated - forecasts.base_rate)
    )
    portfolio_settings = strategy.portfolio.model_copy(update=portfolio)
    noiseless = strategy.execution.model_copy(update={"cost_noise_fraction": 0.0})
    changed = strategy.model_copy(update={"portfolio": portfolio_settings, "execution": noiseless})
    rows = range(int(stretch.market.panel.sessions.searchsorted(pd.Timestamp(begins))), stretch.rows.stop)
    scene = Scene(rows, stretch.market, stretch.labels, forecasts, timing=timing)
    return replay(changed, studied.material.costs(stretch.rows[0]), 365 * 24, [scene])


def test_a_days_loss_stops_the_book_and_the_replay_takes_it_on_after_days(here: Strategy, studied: StudyResult) -> None:
    """Forecasts turned round lose steadily: no hour loses a limit, and a day does."""
    limit, days_latched = 0.001, 1
    played = _replayed(
        here, studied, share=-1.0, session_loss_limit_fraction=limit, replay_reset_sessions=days_latched
    ).rounds
    equity = pd.Series({one.session: one.state.equity_usd for one in played})
    hour = equity.pct_change().min()
    first = pd.Timestamp(next(one.session for one in played if "session_loss" in (one.state.breaker or "")))
    day = first.normalize()
    began = equity[: day - pd.Timedelta(hours=1)].iloc[-1] if day > equity.index[0] else 1e6
    so_far = equity[day:first] / began - 1.0
    assert hour > -limit  # the worst hour
    assert so_far.iloc[-1] < -limit  # and the bar that the breaker fired on
    assert (so_far.iloc[:-1] > -limit).all()
    latched = {one.session for one in played if "session_loss" in (one.state.breaker or "")}
    released = day + pd.Timedelta(days=days_latched + 1)
    assert [session in latched for session in pd.date_range(first, released, freq="h")] == [
        *[True] * len(pd.date_range(first, released - pd.Timedelta(hours=1), freq="h")), False
    ]  # fmt: skip
    held = {one.session: bool(one.session_state.book.quantity.any()) for one in played}
    assert not any(held[session] for session in pd.date_range(day + pd.Timedelta(days=1), released, freq="h"))
    assert any(held[session] for session in pd.date_range(released, played[-1].session, freq="h"))


def test_sizes_and_impact_go_by_the_volume_of_days(here: Strategy, studied: StudyResult) -> None:
    """A limit of one percent of daily volume, with pandas; 24 times that of a bar. Impact by the formula, likewise."""
    played = _replayed(here, studied, begins="2024-02-06", adv_limit_fraction=0.002).rounds
    bars = BARS.assign(date=BARS["date"].dt.tz_localize(None), dollars=BARS["close"] * BARS["volume"])
    daily = bars.groupby([bars["date"].dt.normalize(), "symbol"])["dollars"].sum().unstack()
    moves = np.log(bars.pivot(index="date", columns="symbol", values="close")).diff()
    variance = (moves**2).groupby(moves.index.normalize()).sum()
    largest, checked = 0.0, 0
    for one in played:
        before = one.session.normalize() - pd.Timedelta(days=1)
        adv = daily.loc[:before].tail(20).mean().to_numpy()
        held = np.abs(one.decision.target_quantity) * one.decision.inputs.reference_price
        largest = max(largest, float((held / adv).max()))
        priced = np.sqrt(variance.loc[:before].tail(20).mean().to_numpy())  # a day's: what the decision costs by
        np.testing.assert_allclose(one.decision.inputs.priced_volatility, priced, rtol=1e-9)
        (orders, _), past = one.fills, one.session - pd.Timedelta(hours=1)
        for row, symbol in enumerate(orders.symbol):
            if (orders.symbol == symbol).sum() > 1:  # closed and opened anew: they move its price as one
                continue
            ended = past.normalize() - pd.Timedelta(days=1)  # as known when the order was decided
            volume = daily.loc[:ended].tail(20).mean().iloc[symbol]
            sigma = np.sqrt(variance.loc[:ended].tail(20).mean().iloc[symbol])
            value = abs(orders.quantity[row]) * float(CLOSES.loc[one.session].iloc[symbol])
            costs = here.costs
            share = value / volume
            impact = sigma * (costs.temporary_impact * np.sqrt(share) + costs.permanent_impact * share) * value
            assert orders.impact_usd[row] == pytest.approx(impact, rel=1e-6)
            checked += 1
    assert checked > 10
    assert 0.002 / 24 * 2 < largest <= 0.002 * (1.0 + 1e-9)


@pytest.mark.full
def test_what_a_late_close_left_open_is_closed_by_the_next_decision_in_time(
    here: Strategy, studied: StudyResult
) -> None:
    """All of an evening's decisions late: the book stays open overnight, and 01:00, the first in time, closes it."""
    with open_history(here) as history:
        timing = decision_timing(history)
        assert timing is not None
        sessions = history.axis
    assert timing.catching_up is not None
    assert not timing.catching_up.any()
    evening = (sessions >= "2024-02-05 17:00") & (sessions <= "2024-02-06 00:00")
    late = DecisionTiming(timing.closing, evening, catching_up_decisions(timing.closing, evening, 8))
    assert sessions[np.flatnonzero(late.catching_up)].hour.tolist() == list(range(1, 9))
    ways = {}
    for way in (late, replace(late, catching_up=None)):
        played = _replayed(here, studied, timing=way, begins="2024-02-05").rounds
        ways[way is late] = pd.Series({one.session: bool(one.session_state.book.quantity.any()) for one in played})
        wanted = {one.session: one.decision.target_quantity for one in played}
        assert not wanted[pd.Timestamp("2024-02-05 20:00")].any()  # to hold nothing, and it was not sent
        assert (wanted[pd.Timestamp("2024-02-06 01:00")] == 0.0).all() == (way is late)
    assert ways[True]["2024-02-05 18:00":"2024-02-06 01:00"].all()
    assert not ways[True]["2024-02-06 03:00"]  # two fills: none takes more than its bar's volume allows
    assert ways[True]["2024-02-06 05:00":"2024-02-06 17:00"].all()  # and then it trades on
    assert ways[False]["2024-02-06 03:00"]


def test_late_closing_decisions_are_made_up_for_by_those_in_time() -> None:
    closing = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0], dtype=bool)
    late = np.array([0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0], dtype=bool)
    made_up = catching_up_decisions(closing, late, 3)
    assert np.flatnonzero(made_up).tolist() == [5, 6, 8, 11]
    assert not catching_up_decisions(closing, np.zeros(12, dtype=bool), 3).any()
    for stop in range(12):  # no row reads a later one
        np.testing.assert_array_equal(catching_up_decisions(closing[:stop], late[:stop], 3), made_up[:stop])


def test_a_lookback_left_out_is_that_of_decision_bars(home: Path, here: Strategy) -> None:
    file = home / "strategies" / f"{intraday.NAME}.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert settings["learning"].pop("lookback") == here.learning.lookback == 4
    left_out = parse_strategy(yaml.safe_dump(settings), file=str(file))
    settings["learning"]["lookback"] = 24
    in_file = parse_strategy(yaml.safe_dump(settings), file=str(file))
    assert left_out.learning.lookback == in_file.learning.lookback == 24
    assert left_out.content_hash() == in_file.content_hash()
    settings["learning"]["lookback"] = 20
    assert parse_strategy(yaml.safe_dump(settings), file=str(file)).learning.lookback == 20
    del settings["learning"]["lookback"], settings["intraday"]
    settings["market"]["known_at_lag_minutes"] = 0
    assert parse_strategy(yaml.safe_dump(settings), file=str(file)).learning.lookback == 20  # daily, as ever


def test_names_are_grouped_by_returns_of_decision_bars(home: Path, here: Strategy, studied: StudyResult) -> None:
    """Ten days of hours are 240 returns, less four that are purged: two hundred and thirty-six."""
    file = home / "strategies" / f"{intraday.NAME}.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["portfolio"]["groups"] = "behaviour"
    grouped = parse_strategy(yaml.safe_dump(settings), file=str(file))
    with open_history(grouped) as history:
        (model,) = {name for name in studied.material.model_by_row if name is not None}
        groups = groups_of(history, history.cut_for(history.last_session).market, model)
        row_groups = groups_by_row(history, history.cut_for(history.last_session).market, studied.material.model_by_row)
    assert groups.returns == 236
    assert groups.text == "none: names do not move in groups"  # they are independent
    assert row_groups is not None
    assert row_groups(len(studied.material.model_by_row) - 1) == groups.names
    settings["walk_forward"]["training_days"] = 5
    with pytest.raises(SettingsError, match=r"never holds more than 116 \(4 sessions are purged\)"):
        parse_strategy(yaml.safe_dump(settings), file=str(file))


@pytest.mark.full
def test_a_decision_is_explained_by_the_moment_that_its_bar_begins(home: Path, here: Strategy, studied) -> None:
    asked = {"2024-02-03T05:00": "2024-02-03T05:00", "2024-02-03": "2024-02-03T23:00", "": "2024-02-06T23:00"}
    for moment, named in asked.items():
        answer = call(home, "explain", "--strategy", here.name, *(("--session", moment) if moment else ()))
        before = f"{pd.Timestamp(named) - pd.Timedelta(hours=1):%Y-%m-%dT%H:%M}"
        start = f"{here.name}, {named}: what moved the network's forecasts since {before}, in logits"
        assert answer.out.startswith(start), answer.err
    document = call(home, "explain", "--strategy", here.name, "--session", "2024-02-03T05:00", "--json").document
    assert (document["session"], document["before"]) == ("2024-02-03T05:00", "2024-02-03T04:00")
    refused = call(home, "explain", "--strategy", here.name, "--session", "2024-02-03T05:30")
    assert "named by its start" in refused.err
    assert "such as 2024-02-03T05:00" in refused.err
    assert "YYYY-MM-DDTHH:MM" in call(home, "explain", "--strategy", here.name, "--session", "3 May").err


def test_the_first_line_says_that_it_is_studied_and_replayed_only(home: Path, here: Strategy) -> None:
    first = call(home, "status", "--strategy", here.name).out.splitlines()[0]
    assert first.startswith(
        f"{here.name} DOES NOT TRADE: it decides within the session (intraday.decisions), which is studied and replayed"
    )
    assert "decided yet" not in first
    assert any("a latched breaker is reset after 20 days" in caveat for caveat in caveats_of(here))


def test_the_same_horizon_in_hours_shares_models_trials_and_records(home: Path, here: Strategy, studied) -> None:
    file = home / "strategies" / f"{intraday.NAME}.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert settings["label"].pop("horizon_sessions") == 3
    settings["label"]["horizon_hours"] = 3
    in_hours = parse_strategy(yaml.safe_dump(settings), file=str(file))
    assert in_hours.label.horizon_hours == 3.0
    identities, addresses = [], []
    for strategy in (here, in_hours):
        with open_history(strategy) as history:
            due = list(due_folds(history, [MONTH]))
            addresses.append([fold.address(strategy) for fold in due])
            identities.append((study_identity(history, MONTH), trial_hash(strategy), trial_configuration(strategy)))
            assert all(map(history.stores.models.has, addresses[-1]))
            assert models_in_force(history.stores.ledger, strategy).on(history.last_session) == addresses[-1][-1]
    assert addresses[0] == addresses[1]
    assert identities[0] == identities[1]
    assert studied.metadata["horizon"] == "3 hours: 3 bars"


def _computing(strategy: Strategy, seconds: int) -> Strategy:
    assert strategy.intraday is not None
    assert strategy.intraday.decisions is not None
    decisions = strategy.intraday.decisions.model_copy(update={"computing_seconds": seconds})
    intraday_settings = strategy.intraday.model_copy(update={"decisions": decisions})
    return strategy.model_copy(update={"intraday": intraday_settings})


def test_live_rounds_within_the_session_are_refused_by_name(here: Strategy) -> None:
    with open_history(here) as history, pytest.raises(DecisionError, match="studied and replayed, and never sent"):
        decide_session(history, history.last_session, "test")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("label.execution", "next_open", "label.execution: next_close"),
        ("market.known_at_lag_minutes", 30, "market.known_at_lag_minutes: 0"),
        ("market.live_starts", "2024-02-03", "live rounds within the session are not carried out"),
        ("market.symbols", [], "market.symbols"),
        ("halts", {"path": "halts.csv"}, "stated by the day"),
        ("intraday.rolls_at", "17:00", "intraday.rolls_at"),
        ("intraday.decisions.latency_budget_seconds", 3600, "below the 3600 seconds"),
        ("intraday.decisions.every_bars", 13, "720 is the most"),
        ("intraday.decisions.latency_budget_seconds", 4, "computing_seconds 5, so that every decision would be late"),
        ("portfolio.volatility", "har", "portfolio.volatility left out, not har, since the week and month of HAR"),
        ("portfolio.volatility", "network", "portfolio.volatility left out, not network"),
    ],
)
def test_what_cannot_be_decided_within_the_session_is_refused(tmp_path: Path, key, value, words) -> None:
    file = intraday.write(tmp_path, BARS[:4], starts=STARTS, ends=ENDS, **HOURLY)
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    *sections, last = key.split(".")
    section_settings = settings
    for name in sections:
        section_settings = section_settings[name]
    section_settings[last] = value
    with pytest.raises(SettingsError, match=words):
        parse_strategy(yaml.safe_dump(settings))


def test_a_budget_that_no_decision_can_meet_is_refused_unless_the_file_says_when_bars_were_known(
    tmp_path: Path,
) -> None:
    """Known 5 seconds after its end and 5 of computing: 10, beyond a budget of 8. One symbol left out is enough."""
    late = HOURLY | {"decisions": {"latency_budget_seconds": 8}}
    bars = BARS[: 5 * 24].reset_index(drop=True)
    moments = bars["date"] + pd.Timedelta(hours=1, seconds=1)
    files = {
        "unstated": bars,
        "one bar": bars.assign(known_at=moments.where(bars.index == 0)),
        "all but one symbol": bars.assign(known_at=moments.where(bars["symbol"] != "SIM02")),
        "the last decision": bars.assign(known_at=moments.where(bars["date"] == bars["date"].max())),
        "stated": bars.assign(known_at=moments),
        "stated, and late": bars.assign(known_at=moments + pd.Timedelta(seconds=10)),
    }
    for name, delivered in files.items():
        home = tmp_path / name
        home.mkdir()
        intraday.write(home, delivered, starts=STARTS, ends="2024-01-16", **late)
        with living_in(home), open_history(strategy_of(intraday.NAME)) as history:
            folder = home / "strategies"
            if name in {"the last decision", "stated", "stated, and late"}:
                assert ingest_intraday(history, folder)[1] == len(bars)
                timing = decision_timing(history)
                assert timing is not None
                expected = {"the last decision": 23, "stated": 0, "stated, and late": 24}[name]
                assert int(timing.late[:24].sum()) == expected
                continue
            with pytest.raises(SettingsError) as refused:
                ingest_intraday(history, folder)
            for key, value in {"latency_budget": 8, "known_at_lag": 5, "computing": 5}.items():
                assert f"{key}_seconds {value}" in str(refused.value)
            counts = {"one bar": "119 of 120 bars", "all but one symbol": "24 of 120 bars"}
            assert counts.get(name, "the files state no known_at") in str(refused.value)


def test_bars_that_all_lie_outside_the_history_are_counted_and_nothing_is_taken_in(tmp_path: Path) -> None:
    bars = BARS[: 5 * 24]
    for number, days in enumerate((-60, 400)):
        home = tmp_path / str(number)
        home.mkdir()
        elsewhere = bars.assign(date=bars["date"] + pd.Timedelta(days=days))
        intraday.write(home, elsewhere, starts=STARTS, ends="2024-01-16", **HOURLY)
        with living_in(home), open_history(strategy_of(intraday.NAME)) as history:
            assert ingest_intraday(history, home / "strategies")[1:] == (120, 120)
            with pytest.raises(PublicationError, match="intraday bars from 2024-01-15"):
                audit_intraday(history)


@pytest.mark.full
@pytest.mark.parametrize(
    ("edge", "overnight", "lag"), [(0.1, "held", 5), (0.1, "flat", 5), (0.0, "held", 5), (0.1, "held", 400)]
)
def test_a_planted_edge_of_twelve_bars_is_found_and_no_other(tmp_path: Path, edge, overnight, lag) -> None:
    """Bars of five minutes, twelve names: with an edge, without one, and known later than a bar after."""
    bars = intraday.simulated_bars(STARTS, 24 * 288, edge=edge)
    bars = bars.assign(known_at=bars["date"] + pd.Timedelta(minutes=5, seconds=lag))
    overrides = {"decisions": {"overnight": overnight, "closing_bars": 6}}
    intraday.write(tmp_path, bars, starts=STARTS, ends=ENDS, **overrides)
    with living_in(tmp_path):
        strategy = strategy_of(intraday.NAME)
        intraday.take_in_all(strategy)
        result = study(strategy, [MONTH])
    figures, replayed = result.study.figures.total["network"], result.study.replays["network"]
    earned = replayed.rounds[-1].state.equity_usd / 1e6 - 1.0
    if edge:
        assert figures.rank_ic > 0.05
    else:
        assert abs(figures.rank_ic) < 0.02
    if overnight == "flat":
        at_ends = [play for play in replayed.rounds if f"{play.session:%H:%M}" == "23:55"]
        assert not any(play.session_state.book.quantity.any() for play in at_ends)
    if not edge or lag > 300:
        assert earned == 0.0
    else:
        assert earned > 0.01
    late = len(replayed.rounds) if lag > 300 else 0
    assert replayed.late_decisions == late
    assert result.metadata.get("late_decisions", 0) == late
