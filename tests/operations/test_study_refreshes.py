"""A study carries out the refreshes that drift asks for: the model that a live refresh gives, from the next session on.

One small market twice: as simulated, and with every name rising 4% a session more from the middle of February on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import FoldError, ModelError, NnAssetsError, ShortFoldError, WorkerError
from nn_assets.estimators import USUAL
from nn_assets.evaluation.study import Study
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.heads import SIGN
from nn_assets.learning.inference import forecast
from nn_assets.learning.model import FoldData
from nn_assets.learning.refresh import RefreshCheck
from nn_assets.market.calendar.sessions import next_session, previous_session, sessions_between
from nn_assets.operations.asof.models import models_in_force, scheduled_models
from nn_assets.operations.asof.refreshes import DRIFT_ASKS, STUDY_LEAVES
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, facts_apart
from nn_assets.operations.history import open_history
from nn_assets.operations.models import training
from nn_assets.operations.models.refreshed import refreshed_forecasts
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.study import StudyResult, study_until
from nn_assets.operations.study_page import keep_study, refreshes_text, study_sheet
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.severity import Severity
from nn_assets.session import daily_round
from nn_assets.settings import Strategy
from nn_assets.sources.simulated import SimulatedSource
from tests.matrices import often
from tests.operations import homes
from tests.orchestration.conftest import living_in, strategy_of, write_strategy
from tests.shared_homes import built_once

pytestmark = pytest.mark.slow

SYMBOLS = tuple(f"SIM{number:02d}" for number in range(1, 7))
STARTS, LAST, SHIFT = "2016-01-04", "2017-06-21", "2017-02-13"
MONTHS = homes.months_between("2017-01", "2017-06")
SPRING = MONTHS[3:]  # where all happens in June, a study need not begin in January
LIVE = list(sessions_between("XNYS", "2017-06-12", LAST))
STILL_OPEN = "1 asked for, 0 put in force, 0 refused, 1 asked for on the last session and still open"


def bars_until(last: str, *, shift: bool) -> pd.DataFrame:
    """Simulated bars; with the shift every name rises 4% a session more from then on."""
    source = SimulatedSource(
        calendar="XNYS",
        history_starts=pd.Timestamp(STARTS).date(),
        history_ends=pd.Timestamp(LAST).date(),
        seed=5,
        planted_rank_ic=0.3,
    )
    bars = source.bars(SYMBOLS).drop(columns=["source"]).sort_values(["symbol", "session"], ignore_index=True)
    if shift:
        rank = bars["session"].rank(method="dense").to_numpy()
        since = rank[(bars["session"] >= pd.Timestamp(SHIFT)).to_numpy()].min()
        rise = np.exp(0.04 * np.maximum(0.0, rank - since + 1.0))
        bars[["open", "high", "low", "close"]] = bars[["open", "high", "low", "close"]].mul(rise, axis=0)
    return bars[bars["session"] <= pd.Timestamp(last)]


def write_home(home: Path, last: str = LAST, *, shift: bool) -> None:
    folder = home / "strategies" / "bars"
    folder.mkdir(parents=True)
    bars_until(last, shift=shift).to_csv(folder / "bars.csv", index=False, date_format="%Y-%m-%d")
    live = str(LIVE[0].date()) if last >= str(LIVE[0].date()) else None
    write_strategy(
        home,
        source={"kind": "files", "path": "bars", "seed": None, "planted_rank_ic": None},
        market={"history_starts": STARTS, "history_ends": last, "live_starts": live},
        features={"panel_pass_share": 0.1},
        oversight={"drift_window_sessions": 20, "drift_reference_sessions": 60, "retraining_rings_per_year": 8.0},
    )


@pytest.fixture(scope="module")
def shifting_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of the market that shifts, with the scheduled models and forecasts of every month."""

    def build(home: Path) -> None:
        write_home(home, shift=True)
        with living_in(home):
            homes.take_in(strategy_of())
            homes.train(strategy_of(), MONTHS)

    return built_once("shifting", tmp_path_factory, build)


@pytest.fixture
def home(shifting_home: Path, tmp_path: Path) -> Iterator[Path]:
    copied = tmp_path / "home"
    shutil.copytree(shifting_home, copied)
    with living_in(copied):
        yield copied


@pytest.fixture(scope="module")
def whole(shifting_home: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The study of every month."""
    copied = tmp_path_factory.mktemp("whole") / "home"
    shutil.copytree(shifting_home, copied)
    with living_in(copied):
        return homes.study_stored(strategy_of(), MONTHS)


@pytest.fixture
def asks_in_june(monkeypatch: pytest.MonkeyPatch) -> pd.Timestamp:
    """Drift asks on every session from the third live one on, at the pace of retraining alone; that session."""
    asks_from = LIVE[2]
    monkeypatch.setattr(DriftReport, "asks_retraining", property(lambda report: report.session >= asks_from))
    monkeypatch.setattr(daily_round, "severity", lambda *_: Severity(0, ()))
    return asks_from


def studied(months: list[str] = MONTHS) -> StudyResult:
    return homes.study_stored(strategy_of(), months)


def models_of(study: Study) -> pd.Series:
    """Model that forecast each session, by session."""
    rows = slice(study.rows[0], study.rows[-1] + 1)
    return pd.Series(study.track.models[rows], index=study.track.sessions[rows])


def models_on_record(sessions: pd.DatetimeIndex) -> pd.Series:
    """Model that the ledger has in force on each session."""
    with open_history(strategy_of()) as history:
        in_force = models_in_force(history.stores.ledger, history.strategy)
        return pd.Series([in_force.on(session) for session in sessions], index=sessions)


def states_of(study: Study, estimator: str = "network") -> pd.Series:
    """State that each session was decided under."""
    rounds = study.replays[estimator].rounds
    return pd.Series([done.decision.inputs.trading_state for done in rounds], index=[done.session for done in rounds])


def assert_same_record(one: Study, other: Study, stop: int) -> None:
    """Demand that two studies say the same of every row before one, to the bit."""
    assert models_of(one)[: one.track.sessions[stop - 1]].equals(models_of(other)[: other.track.sessions[stop - 1]])
    for name in USUAL:
        for part in ("forecasts", "scores", "base_rates"):
            ours, theirs = (getattr(study.track, part)[name][:stop] for study in (one, other))
            assert ours.tobytes() == theirs.tobytes(), (name, part)
        for part in ("net", "gross", "turnover"):
            ours, theirs = (getattr(study.track.tracks[name], part)[:stop] for study in (one, other))
            assert ours.tobytes() == theirs.tobytes(), (name, part)


@pytest.mark.full
def test_a_shift_of_the_market_puts_a_refreshed_model_in_force_from_the_next_session_on(
    home: Path, whole: StudyResult
) -> None:
    asked = [request.session for request in whole.material.refreshes]
    assert asked, "the shift was not noticed"
    assert asked[0] > pd.Timestamp(SHIFT)
    effective = next_session("XNYS", asked[0])
    models, on_record = models_of(whole.study), models_on_record(models_of(whole.study).index)
    new = whole.material.refreshes[0].model_id
    assert new is not None
    assert (models[: asked[0]] == on_record[: asked[0]]).all()
    assert (models[effective:"2017-03-31"] == new).all()  # until the refit of April
    assert not (on_record == new).any()
    for name in USUAL:  # one model holds them all, and one watch asks
        played = whole.study.replays[name].rounds
        assert [done.session for done in played if done.asks_refresh] == asked
        by_session = {done.session: done for done in played}
        drift = by_session[effective].drift
        assert drift is not None
        assert drift.model_id == new
        refresh = by_session[asked[0]].session_state.refresh
        assert (refresh.state_under(refresh.model_id), refresh.state_under(new)) == ("REDUCE_SIZE", "CONTINUE")
        assert by_session[effective].session_state.refresh.asked is None  # it was answered


@pytest.mark.full
def test_what_the_refreshed_model_forecasts_is_what_it_says_of_these_rows(home: Path) -> None:
    result = studied()
    record = result.study.track
    refreshed = [refresh.model_id for refresh in result.material.refreshes if refresh.model_id is not None]
    assert refreshed
    with open_history(strategy_of()) as history:
        cube = history.cut_for(history.last_session).cube
        for model_id in refreshed:
            rows = np.flatnonzero(record.models == model_id)
            made = forecast(load_model(history.stores, model_id), cube, slice(rows[0], rows[-1] + 1))
            for name in USUAL:
                assert record.scores[name][rows].tobytes() == made[name].probability.tobytes()


@pytest.mark.full
def test_a_refit_that_is_no_better_leaves_the_refreshed_model_in_force(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = iter([True])  # the refresh alone
    monkeypatch.setattr(
        training, "check_refresh", lambda *_: RefreshCheck(accepted=next(accepted, False), reason="as the test says")
    )
    result = studied(MONTHS[:4])
    first = result.material.refreshes[0]
    effective = next_session("XNYS", first.session)
    models = models_of(result.study)
    assert effective < pd.Timestamp("2017-04-01"), "the refit of April is to come after it"
    assert (models[effective:] == first.model_id).all()


@pytest.mark.full
def test_a_refused_refresh_leaves_the_model_and_the_reduced_size(
    home: Path, asks_in_june: pd.Timestamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "check_refresh", lambda *_: RefreshCheck(accepted=False, reason="worse"))
    result = studied()
    models = models_of(result.study)
    assert models.equals(models_on_record(models.index))
    (refused,) = result.material.refreshes
    assert (refused.session, refused.check) == (asks_in_june, RefreshCheck(accepted=False, reason="worse"))
    for name in USUAL:
        states = states_of(result.study, name)
        assert set(states[:asks_in_june]) == {"CONTINUE"}
        assert set(states[states.index > asks_in_june]) == {"REDUCE_SIZE"}
    assert refreshes_text(result) == "1 asked for, 0 put in force, 1 refused"


@pytest.mark.full
def test_a_refresh_whose_training_diverges_is_refused(
    home: Path, asks_in_june: pd.Timestamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SIGN, "exploded", 0.0)
    result = studied()
    models = models_of(result.study)
    assert models.equals(models_on_record(models.index))
    (refused,) = result.material.refreshes
    assert (refused.session, refused.model_id) == (asks_in_june, None)
    assert refused.check is not None
    assert not refused.check.accepted
    assert "could not be fitted: expected at least half of 2 members trained; found 0" in refused.check.reason
    for name in USUAL:
        states = states_of(result.study, name)
        assert set(states[states.index > asks_in_june]) == {"REDUCE_SIZE"}
    assert refreshes_text(result) == "1 asked for, 0 put in force, 1 refused"


@pytest.mark.parametrize(
    ("kind", "refused"),
    often(
        [(ShortFoldError, True), (FoldError, False), (ModelError, False), (WorkerError, False), (KeyError, False)],
        *[(ShortFoldError, True), (ModelError, False), (KeyError, False)],
    ),
)
def test_only_what_the_data_do_not_let_be_fitted_is_refused(
    home: Path, asks_in_june: pd.Timestamp, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], refused: bool
) -> None:
    """A label realised too late, a damaged store, a dead process and a bug end the study."""
    arguments = {"expected": "this", "found": "that", "remedy": "none"} if issubclass(kind, NnAssetsError) else {}

    def failing(*_: object) -> Iterator[FoldModel]:
        raise kind(**arguments)

    monkeypatch.setattr(training, "fit_models", failing)
    with open_history(strategy_of()) as history:
        if refused:
            (asked,) = refreshed_forecasts(history, SPRING, lambda _: None).refreshes
            assert asked.check is not None
            assert not asked.check.accepted
        else:
            with pytest.raises(kind):
                refreshed_forecasts(history, SPRING, lambda _: None)


def test_the_live_round_and_the_study_put_the_same_model_in_force_and_forecast_alike(
    home: Path, asks_in_june: pd.Timestamp, tmp_path: Path
) -> None:
    never_lived = shutil.copytree(home, tmp_path / "never lived")
    before = homes.decide(strategy_of(), LIVE[:3])
    homes.refresh(strategy_of(), asks_in_june, "2017-06")
    decided = [*before, *homes.decide(strategy_of(), LIVE[3:])]
    in_force = [done.provenance["model_id"] for done in decided]
    assert len(set(in_force[:3])) == len(set(in_force[3:])) == 1
    assert in_force[2] != in_force[3]
    with living_in(never_lived):
        result = studied(SPRING)
        (refresh,) = result.material.refreshes
        with open_history(strategy_of()) as history:
            sealed = history.stores.models.artifact_sha256(in_force[3])
    assert refresh.model_id == in_force[3]
    assert list(models_of(result.study)[LIVE]) == in_force
    replayed = {done.session: done for done in result.study.replays["network"].rounds}
    for live in decided:
        assert facts_apart(live.round, replayed[live.round.session]) == []
        states = [played.decision.inputs.trading_state for played in (live.round, replayed[live.round.session])]
        assert states == ["CONTINUE"] * 2
    with open_history(strategy_of()) as history:
        assert history.stores.models.artifact_sha256(in_force[3]) == sealed
    again = studied(SPRING)
    assert_same_record(again.study, result.study, len(result.study.track.sessions))
    assert again.material.refreshes == result.material.refreshes


def kept_ledger() -> pd.DataFrame:
    """Every version of the models on record, but for when and by which run."""
    with open_history(strategy_of()) as history:
        rows = history.stores.ledger.read("models", "tiny", every_version=True, bookkeeping=True)
    return rows.drop(columns=["known_at", "run_id", "recorded_at", "sequence"])


@pytest.mark.full
def test_what_was_in_force_in_the_study_before_the_first_live_session_is_in_force_for_it(home: Path) -> None:
    models = models_of(studied().study)
    pd.testing.assert_series_equal(models_on_record(models.index), models, check_names=False)
    ledger = kept_ledger()
    homes.study(strategy_of(), MONTHS)  # trained and studied again: nothing is recorded twice
    pd.testing.assert_frame_equal(kept_ledger(), ledger)
    with open_history(strategy_of()) as history:  # and what is stored of forecasts is by these models
        stored = history.stores.lake.read_months("tiny", "forecasts", ["2017-03"])
    assert stored.groupby("session")["model_id"].first().equals(models["2017-03"].rename("model_id"))


@pytest.mark.full
def test_a_study_that_asks_for_nothing_takes_back_what_an_earlier_one_put_in_force(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = models_of(studied().study).index
    refreshed = models_on_record(sessions)
    with monkeypatch.context() as patch:
        patch.setattr(DriftReport, "asks_retraining", property(lambda _: False))
        quiet = studied()
        assert not quiet.material.refreshes
        on_record = models_on_record(sessions)
        assert models_of(quiet.study).equals(on_record)
        assert not refreshed.equals(on_record)
    studied()
    assert models_on_record(sessions).equals(refreshed)


@pytest.mark.full
def test_what_a_study_put_in_force_is_no_part_of_the_schedule_that_is_trained_after_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Studied as months come, then by a study that asks for nothing: the schedule is that of a home never studied."""
    with open_history(strategy_of()) as history:
        untouched = scheduled_models(history.stores.ledger, strategy_of())
    grown = tmp_path / "grown"
    write_home(grown, shift=True)
    shutil.copytree(home / "models", grown / "models")  # so that nothing has to be fitted again
    with living_in(grown):
        homes.take_in(strategy_of())
        for count in (2, 6):
            homes.study(strategy_of(), MONTHS[:count])
        with open_history(strategy_of()) as history:
            schedule = scheduled_models(history.stores.ledger, strategy_of())
        assert schedule.by_month == untouched.by_month
        with monkeypatch.context() as patch:
            patch.setattr(DriftReport, "asks_retraining", property(lambda _: False))
            quiet = models_of(studied().study)
        assert quiet.tolist() == [untouched.on(session) for session in quiet.index]
        assert models_on_record(quiet.index).equals(quiet)


@pytest.mark.full
def test_a_shorter_study_that_asks_for_nothing_takes_back_the_whole_of_a_refresh(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh of February that stays in force in March is taken back in both by a study up to February."""
    sessions = models_of(studied(MONTHS[:3]).study).index
    asked = models_on_record(sessions)
    first = next(iter(asked[asked.ne(asked.iloc[0])].index))
    month = f"{first:%Y-%m}"
    assert asked[asked.eq(asked[first])].index[-1] > pd.Period(month, "M").end_time  # it goes on in the next month
    with monkeypatch.context() as patch:
        patch.setattr(DriftReport, "asks_retraining", property(lambda _: False))
        studied(MONTHS[: MONTHS.index(month) + 1])
    left = models_on_record(sessions)
    assert not left.eq(asked[first]).any()
    following = MONTHS[MONTHS.index(month) + 1]
    with open_history(strategy_of()) as history:
        stored = history.stores.lake.read_months("tiny", "forecasts", [following])
    by_session = stored.groupby("session")["model_id"].first()
    assert by_session.tolist() == left[following].tolist()


@pytest.mark.full
def test_once_a_session_is_decided_a_study_puts_nothing_in_force(home: Path) -> None:
    homes.decide(strategy_of(), LIVE[:2])
    ledger = kept_ledger()
    result = studied()
    taken = [refresh for refresh in result.material.refreshes if refresh.check is not None and refresh.check.accepted]
    assert taken
    pd.testing.assert_frame_equal(kept_ledger(), ledger)
    # What the live record never had is told, so that its models are not taken for those of the study.
    days = ", ".join(str(refresh.session.date()) for refresh in taken)
    with open_history(strategy_of()) as history:
        keep_study(history, result, {})
        facts = dict(study_sheet(history).facts)
    assert facts["Refreshes"].endswith(
        f"; {len(taken)} put in force here that the live record never had, asked for on {days}"
    )
    alone = len({refresh.model_id for refresh in taken})
    assert facts["Models of the study alone"] == f"{alone}, which the live record never had"


@pytest.mark.full
@pytest.mark.parametrize("after", often([0, 6], 6))
def test_nothing_of_the_record_hangs_on_what_came_later(whole: StudyResult, after: int, tmp_path: Path) -> None:
    """History that ends with the session that asks, and six sessions later."""
    record = whole.study.track
    stop = record.sessions.get_loc(whole.material.refreshes[0].session) + after + 1
    write_home(tmp_path, str(record.sessions[stop - 1].date()), shift=True)
    with living_in(tmp_path):
        homes.take_in(strategy_of())
        cut = homes.study(strategy_of(), MONTHS[: MONTHS.index(f"{record.sessions[stop - 1]:%Y-%m}") + 1])
    (asked,) = cut.material.refreshes
    assert asked.session == whole.material.refreshes[0].session
    assert asked.model_id == (whole.material.refreshes[0].model_id if after else None)
    assert_same_record(cut.study, whole.study, stop)
    if not after:
        assert refreshes_text(cut) == STILL_OPEN


@pytest.mark.full
def test_a_study_killed_after_a_fit_ends_as_one_never_killed_and_fits_nothing_twice(
    home: Path, whole: StudyResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []
    fit_models = training.fit_models

    def fitting(folds: list[FoldData], strategy: Strategy) -> Iterator[FoldModel]:
        for model in fit_models(folds, strategy):
            fitted.append(model.model_id)
            yield model

    def killed(*_: object) -> RefreshCheck:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit_models", fitting)
    with monkeypatch.context() as patch:
        patch.setattr(training, "check_refresh", killed)
        with pytest.raises(KeyboardInterrupt):
            studied()
    assert fitted == [whole.material.refreshes[0].model_id]
    result = studied()
    assert fitted == [refresh.model_id for refresh in whole.material.refreshes]
    assert result.material.refreshes == whole.material.refreshes
    assert_same_record(result.study, whole.study, len(whole.study.track.sessions))
    studied()
    assert len(fitted) == len(whole.material.refreshes)


@pytest.mark.full
def test_the_page_says_how_many_were_asked_for_put_in_force_and_refused(home: Path) -> None:
    with open_history(strategy_of()) as history:
        result = study_until(history, MONTHS, "test", lambda _: None)
        keep_study(history, result, {})
        facts = dict(study_sheet(history).facts)
    asked = len(result.material.refreshes)
    assert asked > 0
    assert facts["Refreshes"] == f"{asked} asked for, {asked} put in force, 0 refused"
    assert facts["Models in use"] == str(models_of(result.study).nunique())


@pytest.fixture
def asks_before_live(monkeypatch: pytest.MonkeyPatch) -> pd.Timestamp:
    """Drift asks from the session before the first live one on, at the pace of retraining alone; that session."""
    asks_from = previous_session("XNYS", LIVE[0])
    monkeypatch.setattr(DriftReport, "asks_retraining", property(lambda report: report.session >= asks_from))
    monkeypatch.setattr(daily_round, "severity", lambda *_: Severity(0, ()))
    return asks_from


def refuse_refreshes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(training, "check_refresh", lambda *_: RefreshCheck(accepted=False, reason="worse"))


def decided_as_in(result: StudyResult, sessions: list[pd.Timestamp]) -> list[str]:
    """Decide live sessions; the states they are decided under, which are those of a study's replay."""
    replayed = {done.session: done for done in result.study.replays["network"].rounds}
    decided = homes.decide(strategy_of(), sessions)
    for live in decided:
        ours, theirs = live.round, replayed[live.round.session]
        assert facts_apart(ours, theirs) == []
        assert ours.decision.inputs.trading_state == theirs.decision.inputs.trading_state
        assert ours.session_state.refresh == theirs.session_state.refresh
        states = [
            (trading.state, trading.cooldown_left)
            for trading in (ours.session_state.trading, theirs.session_state.trading)
        ]
        assert states[0] == states[1]
    assert all(done.already_decided for done in homes.decide(strategy_of(), sessions))
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history) == (len(sessions), [])
    return [live.round.decision.inputs.trading_state for live in decided]


def requests_on_record() -> pd.DataFrame:
    with open_history(strategy_of()) as history:
        return history.stores.ledger.read("refresh_requests", "tiny", every_version=True)


@pytest.mark.full
def test_a_refresh_refused_just_before_the_first_live_session_halves_its_size(
    home: Path, asks_before_live: pd.Timestamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_refreshes(monkeypatch)
    result = studied()
    (refused,) = result.material.refreshes
    assert refused.session == asks_before_live
    assert decided_as_in(result, LIVE[:4]) == ["REDUCE_SIZE"] * 4


@pytest.mark.full
def test_the_cooldown_of_a_refresh_taken_just_before_live_goes_on(home: Path, asks_before_live: pd.Timestamp) -> None:
    result = studied()
    (taken,) = result.material.refreshes
    assert taken.session == asks_before_live
    assert decided_as_in(result, LIVE[:4]) == ["CONTINUE"] * 4
    assert DRIFT_ASKS not in set(requests_on_record()["cause"]), "live asked again in the cooldown"


@pytest.mark.full
def test_a_state_by_the_score_holds_over_the_start_of_live_until_its_cooldown_is_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_drift = previous_session("XNYS", previous_session("XNYS", LIVE[0]))
    monkeypatch.setattr(DriftReport, "asks_retraining", property(lambda _: False))
    monkeypatch.setattr(
        daily_round, "severity", lambda report, _: Severity(3 if report.session == last_drift else 0, ())
    )
    result = studied()
    assert decided_as_in(result, LIVE[:8]) == ["REDUCE_SIZE"] * 4 + ["CONTINUE"] * 4


@pytest.mark.full
def test_a_later_study_replaces_what_an_earlier_one_left_until_a_session_is_decided(
    home: Path, asks_before_live: pd.Timestamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refuse_refreshes(patch)
        studied()
    with monkeypatch.context() as patch:
        patch.setattr(DriftReport, "asks_retraining", property(lambda _: False))
        quiet = studied()
        assert requests_on_record()["cause"].tolist() == [STUDY_LEAVES] * 2
        assert decided_as_in(quiet, LIVE[:2]) == ["CONTINUE"] * 2
    refuse_refreshes(monkeypatch)
    studied()
    assert len(requests_on_record()) == 2


@pytest.mark.full
def test_a_study_that_leaves_nothing_waiting_records_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DriftReport, "asks_retraining", property(lambda _: False))
    monkeypatch.setattr(daily_round, "severity", lambda *_: Severity(0, ()))
    studied()
    assert requests_on_record().empty


FIRST_OF_JUNE = pd.Timestamp("2017-06-01")


def ask_before_june(patch: pytest.MonkeyPatch) -> pd.Timestamp:
    """Drift asks from the last session of May on, at the pace of retraining alone; that session."""
    last = previous_session("XNYS", FIRST_OF_JUNE)
    patch.setattr(DriftReport, "asks_retraining", property(lambda report: report.session >= last))
    patch.setattr(daily_round, "severity", lambda *_: Severity(0, ()))
    return last


@pytest.fixture(scope="module")
def asked_before_june(shifting_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResult]:
    """The home live from June on, studied until May, and the study. Read it; never write to it."""
    copied = Path(shutil.copytree(shifting_home, tmp_path_factory.mktemp("before-june") / "home"))
    settings = copied / "strategies" / "tiny.yaml"
    settings.write_text(settings.read_text().replace(str(LIVE[0].date()), str(FIRST_OF_JUNE.date())))
    with living_in(copied), pytest.MonkeyPatch.context() as patch:
        ask_before_june(patch)
        return copied, studied(SPRING[:2])


@pytest.mark.full
@pytest.mark.parametrize("refreshed", [False, True])
def test_a_request_of_the_last_session_before_live_is_open_for_the_live_refresh(
    asked_before_june: tuple[Path, StudyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refreshed: bool
) -> None:
    """A study that ends with the session before the first live one could not carry it out."""
    last = ask_before_june(monkeypatch)
    studied_home, result = asked_before_june
    with living_in(Path(shutil.copytree(studied_home, tmp_path / "home"))):
        (open_request,) = result.material.refreshes
        assert (open_request.session, open_request.check) == (last, None)
        assert refreshes_text(result) == STILL_OPEN
        asked = requests_on_record()
        assert set(asked["cause"]) == {STUDY_LEAVES, DRIFT_ASKS}
        assert set(asked["session"]) == {last}
        before = models_on_record(pd.DatetimeIndex([FIRST_OF_JUNE]))[FIRST_OF_JUNE]
        if refreshed:
            homes.refresh(strategy_of(), last, "2017-06")
        (decided,) = homes.decide(strategy_of(), [FIRST_OF_JUNE])
        assert (decided.provenance["model_id"] != before) == refreshed
        assert decided.round.decision.inputs.trading_state == ("CONTINUE" if refreshed else "REDUCE_SIZE")
