"""Strategies whose label is a volatility, in homes of markets whose truth is known: studied, judged, never traded."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.errors import DecisionError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.decision_timing import refuse_live
from nn_assets.operations.history import open_history
from nn_assets.operations.situation import headline_now
from nn_assets.operations.study import StudyResult, track_frames
from nn_assets.operations.study_page import study_and_show
from nn_assets.oversight.headline import Fault, Situation, TradingWord, headline
from nn_assets.settings import Strategy
from tests.first_lines import in_one_sentence
from tests.operations import homes
from tests.operations.test_volatility_home import write_told_by_volume
from tests.orchestration.conftest import living_in, strategy_of, write_strategy
from tests.shared_homes import nothing_drawn

NOT_TRADED = "a volatility has no direction"
MONTHS = homes.months_between("2014-07", "2017-06")


def _labelled(home: Path, kind: str) -> None:
    (file,) = (home / "strategies").glob("*.yaml")
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["label"]["kind"] = kind
    settings["portfolio"] = {}
    settings["trade_without_verdict"] = False
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")


def write_constant(home: Path) -> None:
    """Four years of 12 names whose volatility never changes; volume says nothing."""
    sessions, names = sessions_between("XNYS", "2013-01-02", "2017-06-30"), [f"SIM{number:02d}" for number in range(12)]
    draw, shape = np.random.default_rng(3), (len(sessions), len(names))
    close = 50.0 * np.exp(np.cumsum(0.012 * draw.standard_normal(shape), axis=0))
    fields = {"open": close, "high": close * 1.001, "low": close * 0.999, "close": close}
    fields["volume"] = np.round(5e6 * np.exp(0.3 * draw.standard_normal(shape)))
    bars = [
        pd.DataFrame({"symbol": name, "session": sessions, **{key: of[:, number] for key, of in fields.items()}})
        for number, name in enumerate(names)
    ]
    folder = home / "strategies" / "bars"
    folder.mkdir(parents=True)
    pd.concat(bars).to_csv(folder / "bars.csv", index=False, date_format="%Y-%m-%d")
    write_strategy(
        home,
        source={"kind": "files", "path": "bars", "seed": None, "planted_rank_ic": None},
        market={"symbols": names, "history_starts": "2013-01-02", "live_starts": None},
        features={"names": ["log_return_1", "volume_z_20", "sigma_5_over_sigma_20"]},
        label={"execution": "next_close", "horizon_sessions": 5},
        learning={"hidden": 16, "maximum_epochs": 40, "learning_rate": 0.005},
        walk_forward={"training_months": 12, "refit_every_months": 6},
    )


def _goes_on_with(result: StudyResult) -> str:
    """What the first line goes on with: advice where forecasts of the variance are better, else what was found."""
    verdict = result.last.verdict
    sizes = "a strategy whose label has one may size by such forecasts (portfolio.volatility: network)"
    return sizes if verdict.kind == "forecasts volatility better" and verdict.statistic == "QLIKE" else verdict.phrase


def _studied(home: Path, kind: str) -> tuple[StudyResult, str]:
    _labelled(home, kind)
    with living_in(home), nothing_drawn():
        strategy = strategy_of()
        homes.take_in(strategy)
        homes.train(strategy, MONTHS)
        with open_history(strategy) as history:
            result, metadata = study_and_show(history, MONTHS[-1:], homes.RUN, logging.getLogger("home"))
            assert in_one_sentence(headline_now(history)).startswith(
                f"{strategy.name} DOES NOT TRADE: {NOT_TRADED}; {_goes_on_with(result)}."
            )
            assert history.stores.ledger.read("looks", strategy.name)["verdict"].iloc[-1] == result.last.verdict.phrase
            kept = history.stores.ledger.read("studies", strategy.name)["figures"].iloc[-1]
        assert kept["judged_by"] == ("QLIKE" if kind == "log_realised_volatility" else "Brier score")
        assert kept["network_sharpe_net_absent"] == "the label is a volatility, which has no direction"
        assert track_frames(result.study, MONTHS[-1:])[MONTHS[-1]].empty
        return result, Path(metadata["report"]).read_text(encoding="utf-8")


@pytest.mark.full
@pytest.mark.parametrize("kind", ["log_realised_volatility", "volatility_move"])
def test_a_driver_that_only_a_feature_sees_is_found_and_nothing_is_traded(tmp_path: Path, kind: str) -> None:
    write_told_by_volume(tmp_path, "direction")
    result, page = _studied(tmp_path, kind)
    assert result.last.verdict.kind == "forecasts volatility better"
    assert result.last.verdict.phrase in page.replace("Forecasts", "forecasts")
    assert NOT_TRADED in page
    assert result.leak_alarm.held is None
    assert not result.last.verdict.allows_trading


@pytest.mark.full
@pytest.mark.parametrize("kind", ["log_realised_volatility", "volatility_move"])
def test_of_a_volatility_that_never_changes_nothing_better_is_said_to_be_known(tmp_path: Path, kind: str) -> None:
    write_constant(tmp_path)
    result, page = _studied(tmp_path, kind)
    assert result.last.verdict.kind == "not shown to forecast volatility better"
    assert "It does not trade: " in page


def test_a_live_round_is_refused_by_name_and_the_first_line_says_why() -> None:
    strategy = Strategy.model_validate(
        {"name": "mine", "market": {"history_starts": "2014-01-02"}, "label": {"kind": "log_realised_volatility"}}
    )
    with pytest.raises(DecisionError, match=f"log_realised_volatility: it does not trade, since {NOT_TRADED}"):
        refuse_live(strategy)
    situation = Situation(strategy="mine", settings=strategy.portfolio, no_direction=True)
    assert str(headline(situation)) == f"mine DOES NOT TRADE: {NOT_TRADED}. No action needed."
    studied = replace(situation, volatility_found="not distinguishable from the EWMA and HAR")
    assert f"{NOT_TRADED}; not distinguishable from the EWMA and HAR. No" in str(headline(studied))
    faulty = replace(studied, faults=(Fault("quarantined bars", "mend the file", TradingWord.HALTED),))
    assert str(headline(faulty)) == "mine HALTED: quarantined bars. A person is needed: mend the file."
    noticed = replace(situation, faults=(Fault("an old bar", ""),))
    assert NOT_TRADED in str(headline(noticed))
