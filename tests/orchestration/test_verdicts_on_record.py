"""Looks, trials and released alarms are rows of the ledger, shared by what the data are and not by a name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.controls import release_leak_alarm
from nn_assets.cli.runs import run_study
from nn_assets.cli.status import report
from nn_assets.errors import ControlError
from nn_assets.estimators import USUAL
from nn_assets.evaluation import figures
from nn_assets.evaluation.trials import trial_hash
from nn_assets.learning.first_month import first_model_month
from nn_assets.operations.asof.alarms import released_alarms
from nn_assets.operations.asof.trials import ground_of, looks_taken, trials_made
from nn_assets.operations.history import open_history
from nn_assets.store.ledger.ledger import Ledger
from tests.operations import homes
from tests.orchestration.conftest import NAME, TINY, left_by_killed_writers, living_in, strategy_of, write_strategy

pytestmark = pytest.mark.slow

FIRST_LOOK = "2017-05"  # the month before the live start
MONTHS = homes.months_between("2017-01", "2017-06")


def _rows(table: str, name: str | None = None) -> pd.DataFrame:
    with Ledger() as ledger:
        return ledger.read(table, name, bookkeeping=True).sort_values("sequence")


def _counted(name: str) -> int:
    return int(_rows("studies", name)["trial_count"].iloc[-1])


def _headline() -> str:
    return str(report(NAME)["strategies"][NAME]["headline"])


@pytest.fixture(scope="module")
def known_home(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studied home after a copy of the strategy was studied there under another name."""
    home = tmp_path_factory.mktemp("known") / "home"
    shutil.copytree(studied_home, home)
    with living_in(home):
        write_strategy(home, "copied")
        study_anew("copied", MONTHS)
    return home


@pytest.fixture(scope="module")
def tried_home(known_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That home after others studied there too: a variant, and the strategy on other data."""
    home = tmp_path_factory.mktemp("tried") / "home"
    shutil.copytree(known_home, home)
    with living_in(home):
        write_strategy(home, "variant", portfolio={"kelly_fraction": 0.25})
        study_anew("variant", MONTHS[:1])
        write_strategy(home, "elsewhere", source={"seed": 6}, portfolio={"kelly_fraction": 0.3})
        study_anew("elsewhere", MONTHS[:1])
    return home


def study_anew(name: str, months: list[str]) -> None:
    """Take in the bars of a strategy that has none yet, and study it: a trial counts however short its record."""
    homes.take_in(strategy_of(name))
    homes.study(strategy_of(name), months)


def study_again(*months: str) -> None:
    homes.study_stored(strategy_of(), list(months))


@pytest.fixture
def known(known_home: Path, tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    shutil.copytree(known_home, home)
    with living_in(home):
        yield home


@pytest.fixture
def tried(tried_home: Path, tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    shutil.copytree(tried_home, home)
    with living_in(home):
        yield home


def test_looks_begin_before_the_live_start_and_are_on_record_read_or_not(studied: Path) -> None:
    looks, studies = _rows("looks", NAME), _rows("studies", NAME)
    assert looks["month"].tolist() == [FIRST_LOOK, "2017-06"]
    assert looks["look"].tolist() == [1, 2]
    assert looks["allowed_p_value"].iloc[0] == pytest.approx(0.03, abs=1e-9)
    assert looks["allowed_p_value"].iloc[1] < 1e-9
    assert (looks["trials"] == 3).all()
    assert (looks["trial_id"] == trial_hash(strategy_of())).all()
    assert studies["month"].tolist() == [f"2017-0{month}" for month in range(1, 7)]
    before = studies[studies["month"] < FIRST_LOOK]
    assert (before["verdict"] == "cannot tell").all()
    assert not any(entry["allows_trading"] for entry in before["figures"])
    assert all("no look was planned" in entry["reason"] for entry in before["figures"])
    after = studies[studies["month"] >= FIRST_LOOK]
    assert looks["allows_trading"].tolist() == [entry["allows_trading"] for entry in after["figures"]] == [False, False]


@pytest.mark.full
@pytest.mark.parametrize("allows", [False, True])
def test_a_session_trades_by_what_the_last_verdict_before_its_month_allows(studied: Path, allows: bool) -> None:
    with open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        study = ledger.read("studies", NAME).set_index("month")
        for month, allowed in ((FIRST_LOOK, allows), ("2017-06", not allows)):  # June's says nothing of June
            row = study.loc[month].to_dict() | {"month": month}
            row["figures"] = row["figures"] | {"allows_trading": allowed}
            ledger.append("studies", [row], run_id="again", strategy=NAME, reason="said otherwise")
        assert history.view(history.live_sessions[0]).controls.verdict_allows is allows


@pytest.mark.full
def test_a_study_run_again_takes_no_further_look(studied: Path) -> None:
    before = _rows("looks", NAME)
    study_again("2017-06")
    after = _rows("looks", NAME)
    columns = ["month", "look", "sessions", "estimate", "standard_error", "allowed_p_value", "verdict"]
    pd.testing.assert_frame_equal(before[columns].reset_index(drop=True), after[columns].reset_index(drop=True))


def test_a_renamed_copy_forgets_no_trial_and_no_look(known: Path) -> None:
    assert _counted("copied") == 3  # the same three trials, not three more
    looks = _rows("looks", "copied")
    assert looks["month"].tolist() == [FIRST_LOOK, "2017-06"]
    own = _rows("looks", NAME)
    assert (looks["trial_id"].unique() == own["trial_id"].unique()).all()
    # A further copy, before any study of its own: what it counts then was done under other names.
    write_strategy(known, "unstudied")
    homes.take_in(strategy_of("unstudied"))
    with open_history(strategy_of("unstudied")) as history:
        ledger, data_hash = history.stores.ledger, history.covering(history.last_session).content_hash
        ground = ground_of("unstudied", data_hash, history.view().bars)
        assert len(trials_made(ledger, ground)) == 3
        assert [look.month for look in looks_taken(ledger, ground, trial_hash(strategy_of("unstudied")))] == [
            FIRST_LOOK,
            "2017-06",
        ]


@pytest.mark.full
def test_a_variant_under_another_name_counts_on_top(tried: Path) -> None:
    assert _counted("variant") == 6
    study_again("2017-06")
    assert _counted(NAME) == 6


@pytest.mark.full
def test_a_configuration_whose_forecasts_were_made_is_a_trial_though_nobody_studied_it(studied: Path) -> None:
    """Its months come one by one, and once more under another name on a history that ends sooner: one trial each."""

    def on_record() -> list[tuple[str, str]]:
        rows = _rows("trials").sort_values("trial_id")
        return list(zip(rows["strategy"], rows["trial_id"], strict=True))

    before = on_record()
    assert {name for name, _ in before} == {NAME}
    write_strategy(studied, "unstudied", portfolio={"kelly_fraction": 0.45})
    homes.take_in(strategy_of("unstudied"))
    assert on_record() == before
    homes.train(strategy_of("unstudied"), MONTHS[:1])
    after = on_record()
    trials = {trial_hash(strategy_of("unstudied"), estimator) for estimator in USUAL}
    assert {trial for name, trial in after if name == "unstudied"} == trials
    assert len(after) == 6
    assert all(not entry for entry in _rows("trials", "unstudied")["figures"])
    homes.train(strategy_of("unstudied"), MONTHS[:2])
    write_strategy(studied, "shorter", portfolio={"kelly_fraction": 0.45}, market={"history_ends": "2017-06-26"})
    homes.take_in(strategy_of("shorter"))
    homes.train(strategy_of("shorter"), MONTHS[:1])
    assert on_record() == after
    study_again("2017-06")
    assert _counted(NAME) == 6
    homes.study_stored(strategy_of("unstudied"), MONTHS[:2])
    assert on_record() == after
    assert all(entry for entry in _rows("trials", "unstudied")["figures"])


@pytest.mark.full
def test_other_data_are_other_ground_whatever_is_tried_there(tried: Path) -> None:
    assert _counted("elsewhere") == 3


@pytest.mark.full
def test_a_strategy_removed_and_written_anew_under_a_new_name_starts_at_no_zero(tried: Path) -> None:
    (tried / "strategies" / f"{NAME}.yaml").unlink()
    write_strategy(tried, "fresh", portfolio={"kelly_fraction": 0.45})
    study_anew("fresh", MONTHS[:1])
    assert _counted("fresh") == 9


@pytest.mark.full
def test_half_of_the_data_is_the_same_ground_and_less_is_not(studied: Path) -> None:
    with open_history(strategy_of()) as history:
        bars, ledger = history.view().bars, history.stores.ledger
        half = bars[bars["symbol"].isin(TINY["market"]["symbols"][:3])]  # type: ignore[index]
        days = sorted(bars["session"].unique())
        third = bars[bars["symbol"].isin(TINY["market"]["symbols"][:2])]  # type: ignore[index]
        few = pd.concat([third, *(third.assign(symbol=word + third["symbol"]) for word in ("X", "Y", "Z"))])
        late = bars[bars["session"] >= days[len(days) // 2]]
        for part, shared in ((half, 3), (late, 3), (few, 0), (bars.assign(close=bars["close"] * 1.01), 0)):
            ground = ground_of("nobody", "f" * 16, part)
            assert len(trials_made(ledger, ground)) == shared
            assert len(looks_taken(ledger, ground, trial_hash(strategy_of()))) == (2 if shared else 0)


def test_rows_without_a_fingerprint_count_for_their_own_strategy_alone(studied: Path) -> None:
    row = {"trial_id": "old", "data_hash": "e" * 16, "code_version": "c", "study_id": None, "configuration": {}}
    with open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        ledger.append("trials", [{**row, "figures": {}}], run_id="old", strategy=NAME)
        bars = history.view().bars
        assert len(trials_made(ledger, ground_of(NAME, "d" * 16, bars))) == 4
        assert len(trials_made(ledger, ground_of("another", "d" * 16, bars))) == 3


def test_a_standing_alarm_is_released_by_who_and_why_and_repeated_and_void_for_other_data(
    studied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        figures, "LEAK_ALARMS", figures.LEAK_ALARMS | {"rank_ic": -1.0}
    )  # any figure is too good to be true
    monkeypatch.setattr(figures, "_SURE", 1.1)
    study_again(FIRST_LOOK, "2017-06")
    looks = _rows("looks", NAME)
    alarms = looks["details"].iloc[-1]["standing_alarms"]
    assert "network rank IC" in alarms
    assert (looks["verdict"] == "leak alarm").all()
    with open_history(strategy_of()) as history:
        first_live, second_live = history.live_sessions[:2]
    homes.decide(strategy_of(), [first_live])  # without a verdict, but not under an alarm
    assert not _rows("target_positions", NAME)["target_quantity"].any()
    assert _rows("decisions", NAME)["details"].iloc[-1]["leak_alarm"] is True
    assert "DOES NOT TRADE: flat by the verdict in force, 'leak alarm'" in _headline()
    file = studied / "strategies" / f"{NAME}.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("trade_without_verdict: true", ""), encoding="utf-8")
    homes.decide(strategy_of(), [second_live])
    assert "control release-alarm" in _headline()
    with pytest.raises(ControlError, match="a reason"):
        release_leak_alarm(NAME, "ann", " ")
    result = release_leak_alarm(NAME, "ann", "the edge is planted")
    assert "network rank IC" in result["released"]
    control = _rows("controls", NAME).iloc[-1]
    assert (control["who"], control["reason"], control["state"]) == ("ann", "the edge is planted", "RELEASED")
    assert "it was released, and no study was made since" in _headline()
    assert f"A person is needed: nn-assets study --strategy {NAME}" in _headline()
    assert "release-alarm" not in _headline()

    left = left_by_killed_writers()
    file = studied / "reports" / f"{NAME}-study.html"
    file.unlink()
    answer = run_study(NAME, FIRST_LOOK, "2017-06", None)
    assert [path.exists() for path in left] == [False, True] * 2
    assert answer["verdict"] != "leak alarm"
    assert "release-alarm" not in _headline()
    assert f"the newest study says {_rows('studies', NAME)['verdict'].iloc[-1]!r} of 2017-06" in _headline()
    assert "by ann: the edge is planted" in answer["figures"]["released_alarms"]
    page = file.read_text(encoding="utf-8")
    assert "Leak alarm, released" in page
    assert "by ann: the edge is planted" in page
    assert "by ann: the edge is planted" in report(NAME)["strategies"][NAME]["released_alarms"]
    with pytest.raises(ControlError, match="none in the newest look"):
        release_leak_alarm(NAME, "ann", "again")

    with open_history(strategy_of()) as history:
        bars, ledger = history.view().bars, history.stores.ledger
        more = pd.concat([bars, bars.tail(500).assign(symbol="NEW")])
        restated = bars.assign(close=bars["close"].where(bars.index % 20 != 0, bars["close"] * 1.1))
        assert released_alarms(ledger, ground_of(NAME, "d" * 16, more))
        assert not released_alarms(ledger, ground_of(NAME, "d" * 16, restated))
        assert not released_alarms(ledger, ground_of("another", "d" * 16, bars))


@pytest.mark.full
def test_a_month_under_way_is_shown_and_not_judged(empty_home: Path) -> None:
    """Studies within May show its sessions and say April's verdict; the one after its last session takes a look."""
    ends, results = ("2017-05-05", "2017-05-17", "2017-05-31"), []
    write_strategy(empty_home, market={"history_ends": ends[0], "live_starts": None})
    study_anew(NAME, MONTHS[:5])
    for end in ends:
        write_strategy(empty_home, market={"history_ends": end, "live_starts": None})
        homes.take_in(strategy_of())
        result = homes.study(strategy_of(), ["2017-05"])
        assert result.study.track.sessions[-1] == pd.Timestamp(end)
        results.append((result.last.month, result.last.verdict.look, [look.month for look in result.terms.looks]))
    assert results[:2] == [("2017-04", 1, ["2017-04"])] * 2
    assert results[2][:2] == ("2017-05", 2)
    looks = _rows("looks", NAME).drop_duplicates("month", keep="last")
    assert looks["month"].tolist() == ["2017-04", "2017-05"]
    assert looks["look"].tolist() == [1, 2]
    assert looks["allowed_p_value"].iloc[0] == pytest.approx(0.03, abs=1e-9)
    assert looks["allowed_p_value"].iloc[1] < 1e-9
    assert _rows("studies", NAME)["month"].max() == "2017-05"


@pytest.mark.full
def test_a_record_whose_first_month_is_under_way_has_no_verdict(empty_home: Path) -> None:
    write_strategy(empty_home)
    first = first_model_month(strategy_of())
    write_strategy(empty_home, market={"history_ends": f"{first}-14", "live_starts": None})
    answer = run_study(NAME, first, first, None)
    assert (answer["verdict"], answer["verdict_of"]) == ("cannot tell", None)
    assert "No month of the record has ended" in answer["text"]
    assert _rows("looks").empty
    assert _rows("studies").empty
    assert _rows("trials")["study_id"].isna().tolist() == [True] * 3
