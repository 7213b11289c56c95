"""A strategy file is read into one typed object, or refused with the key, the value and the remedy."""

from __future__ import annotations

import pickle
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import pytest
import yaml
from pydantic import Field

from nn_assets.errors import GateHalted, RunFailed, SettingsError
from nn_assets.operations.strategy_files import load_strategy, parse_strategy
from nn_assets.settings import Strategy
from nn_assets.settings.section import CountsUnless, NeverCounts, Section, WhenSet

MINIMAL = "name: demo\nmarket:\n  history_starts: 2000-01-03\n"
BUNDLED = Path(__file__).resolve().parent.parent / "nn_assets" / "strategies"


@pytest.mark.parametrize("file", sorted(BUNDLED.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_bundled_strategy_reads_and_is_named_like_its_file(file: Path) -> None:
    assert load_strategy(file).name == file.stem


def test_what_is_not_stated_is_the_contracts_default() -> None:
    strategy = parse_strategy(MINIMAL)
    assert strategy.costs.half_spread_bps == 4.5
    assert strategy.portfolio.drawdown_limit_fraction == 0.08
    assert strategy.learning.ensemble == 5
    assert not strategy.trade_without_verdict


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        (MINIMAL + "learnin: {}\n", "learnin", "a mapping"),
        (MINIMAL + "learning: {hiden: 3}\n", "learning.hiden", "3"),
        (MINIMAL + "learning: {hidden: many}\n", "learning.hidden", "'many'"),
        (MINIMAL + "learning: {dropout: 1.0}\n", "learning.dropout", "1.0"),
        (MINIMAL + "costs: {half_spread_bps: .nan}\n", "costs.half_spread_bps", "nan"),
        (MINIMAL + "label: {execution: at_the_high}\n", "label.execution", "'at_the_high'"),
        (MINIMAL + "label: {execution_lag_sessions: 0}\n", "label.execution_lag_sessions", "0"),
        ("name: Bad Name\nmarket: {history_starts: 2000-01-03}\n", "name", "'Bad Name'"),
        ("name: demo\nmarket: {history_starts: soon}\n", "market.history_starts", "'soon'"),
    ],
)
def test_a_bad_key_is_refused_with_its_name_and_value(text: str, key: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_strategy(text, file="mine.yaml")
    assert f"{key} = {value}" in str(refused.value)
    assert "mine.yaml" in str(refused.value)
    assert "Remedy" in str(refused.value)


def test_every_bad_key_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        parse_strategy(MINIMAL + "learning: {hiden: 3, dropout: 7}\nwhat: 1\n")
    assert all(key in str(refused.value) for key in ("learning.hiden", "learning.dropout", "what"))


@pytest.mark.parametrize(
    "settings",
    [
        "portfolio: {weekly_loss_limit_fraction: 0.09, drawdown_limit_fraction: 0.08}",
        "portfolio: {session_loss_limit_fraction: 0.5}",
        "portfolio: {session_loss_limit_fraction: 0.05}",  # below the drawdown's 0.08, above the week's 0.04
        "portfolio: {stale_symbols_limit_fraction: 1.0}",
        "oversight: {pause_score: 8}",
    ],
)
def test_a_breaker_that_could_never_fire_is_refused(settings: str) -> None:
    with pytest.raises(SettingsError, match="can never fire"):
        parse_strategy(MINIMAL + settings)


@pytest.mark.parametrize(
    ("calendar", "broker", "execution", "is_refused"),
    [
        ("24/7", "file_drop", "next_open", True),
        ("24/7", "file_drop", "next_close", False),
        ("24/7", "paper", "next_open", False),
        ("XNYS", "file_drop", "next_open", False),
    ],
)
def test_orders_to_a_venue_around_the_clock_that_would_all_be_late_are_refused(
    calendar: str, broker: str, execution: str, is_refused: bool
) -> None:
    text = (
        f"name: demo\nmarket: {{history_starts: 2000-01-03, calendar: {calendar}}}\n"
        f"execution: {{broker: {broker}}}\nlabel: {{execution: {execution}}}\n"
    )
    with pytest.raises(SettingsError, match="every order to file_drop would be late") if is_refused else nullcontext():
        parse_strategy(text)


@pytest.mark.parametrize("prior", ["pretrained", "searched", "chosen_over_all_folds"])
def test_what_has_seen_data_must_say_until_when(prior: str) -> None:
    with pytest.raises(SettingsError, match=f"learning.prior {prior} needs learning.knows_until"):
        parse_strategy(MINIMAL + f"learning: {{prior: {prior}}}\n")
    strategy = parse_strategy(MINIMAL + f"learning: {{prior: {prior}, knows_until: 2002-06-28}}\n")
    assert str(strategy.learning.knows_until) == "2002-06-28"
    assert strategy.content_hash() != parse_strategy(MINIMAL).content_hash()


def test_days_that_have_been_seen_must_say_by_what() -> None:
    with pytest.raises(SettingsError, match=r"learning\.knows_until 2002-06-28 needs learning\.prior"):
        parse_strategy(MINIMAL + "learning: {knows_until: 2002-06-28}\n")


def test_a_strategy_that_brings_nothing_along_keeps_its_hash() -> None:
    plain, explicit = parse_strategy(MINIMAL), parse_strategy(MINIMAL + "learning: {prior: none}\n")
    assert not {"prior", "knows_until"} & set(plain.behaviour()["learning"])
    assert plain.content_hash() == explicit.content_hash()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [unclosed", "line"),
        ("- a\n- b\n", "list"),
        ("", "NoneType"),
        (MINIMAL + "name: twice\n", "name stands twice"),
        ("base: &x {a: 1}\nother: *x\n", "alias"),
        ("!!python/object/apply:os.system ['true']\n", "python/object"),
    ],
)
def test_unreadable_yaml_is_explained(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_strategy(text)


def test_a_file_that_is_no_text_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "strategy.yaml"
    file.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SettingsError, match="UTF-8") as refused:
        load_strategy(file)
    assert str(file) in str(refused.value)


def test_stages_of_history_must_be_in_order() -> None:
    with pytest.raises(SettingsError, match="must lie before"):
        parse_strategy("name: demo\nmarket: {history_starts: 2010-01-04, history_ends: 2009-01-05}\n")


def test_equal_settings_have_equal_hashes_and_a_change_shows_in_its_section_only() -> None:
    one, other = parse_strategy(MINIMAL), parse_strategy(MINIMAL + "learning: {hidden: 8}\n")
    assert one.content_hash() == parse_strategy(MINIMAL).content_hash()
    assert one.content_hash("learning") != other.content_hash("learning")
    assert one.content_hash("portfolio") == other.content_hash("portfolio")


def test_settings_of_actions_count_from_where_they_are_stated() -> None:
    plain = parse_strategy(MINIMAL)
    assert "actions_path" not in plain.behaviour()["source"]
    assert "adjustment_convention" not in plain.behaviour("market")["market"]
    with_actions = plain.model_copy(
        update={
            "source": plain.source.model_copy(update={"actions_path": "actions.csv"}),
            "market": plain.market.model_copy(update={"adjustment_convention": "ex_close"}),
        }
    )
    assert with_actions.behaviour()["source"]["actions_path"] == "actions.csv"
    assert with_actions.content_hash("market") != plain.content_hash("market")


@pytest.mark.parametrize(
    ("name", "unset", "other"),
    [("construction", "per_name", "programme"), ("hold_premium", False, True), ("covariance_sessions", 120, 250)],
)
def test_how_a_book_is_made_counts_from_where_it_is_stated(name: str, unset: object, other: object) -> None:
    plain = parse_strategy(MINIMAL)
    assert getattr(plain.portfolio, name) == unset
    assert name not in plain.behaviour()["portfolio"]
    explicit = parse_strategy(MINIMAL + f"portfolio: {{{name}: {other}}}\n")
    assert explicit.content_hash() != plain.content_hash()
    assert explicit.content_hash("learning") == plain.content_hash("learning")


RELATIVE = MINIMAL + "label: {kind: direction_relative}\nportfolio: {net_limit: 0.0%s}\n"


def test_a_label_relative_to_the_others_is_built_by_the_programme_unless_the_file_states_otherwise() -> None:
    left_out, programme, per_name = (
        parse_strategy(RELATIVE % clause) for clause in ("", ", construction: programme", ", construction: per_name")
    )
    assert left_out.portfolio.construction == "programme"
    assert per_name.portfolio.construction == "per_name"
    assert parse_strategy(MINIMAL).portfolio.construction == "per_name"
    assert left_out.content_hash() == programme.content_hash() != per_name.content_hash()
    assert Strategy.model_validate(per_name.model_dump()) == per_name


def test_what_a_file_states_of_its_book_has_the_hash_it_had() -> None:
    hashes = [
        parse_strategy(RELATIVE % f", construction: {construction}").content_hash()
        for construction in ("per_name", "programme")
    ]
    assert hashes == ["ea8e815817b91aad", "30d12e87af517b71"]


COMPARED = "91f80843833960d5"
ON_RECORD = {
    "96addd23cec1e23a": "source: {kind: files, path: x, actions_path: a, max_rows: 5, max_columns: 3}",
    "ee21fbb29670a5ae": "costs: {funding: fund}\nfeatures: {series: {funding_rate: fund}}\n"
    "series: [{kind: ccxt_funding, name: fund, exchange: okx, symbols: [A]}]",
    "a89d3cbead1e90b6": "features: {series: {implied_volatility: fear}}\n"
    "series:\n- {name: fear, path: p, lag_minutes: 3}\n"
    "- {name: gold, path: q, kind: file, symbol_from: file_name, named: {a: B}, stamps: moments}",
    "8c20dc53e2cbc5f8": "universe: {path: m, max_retired_fraction: 0.5, renamed: {A: B}}",
    "c5096adcf5b4ae03": "intraday: {path: m}",
    "50fb3d1421f0a2ca": "description: d\nowner: o\ntrade_without_verdict: true",
    "0fa67734219907f1": "learning: {prior: searched, knows_until: 2014-01-01}",
    "6fd2c51084e97d56": "learning: {processes: 7}",
    "f44026b6514dde8c": "portfolio: {construction: programme}",
    "cc53d3c833d302dc": "cleaning: {odd_print_multiple: 7}",
    COMPARED: "",
}
"""What some files say beside the least that one must, by the hash that it had when fields were listed apart."""


@pytest.mark.parametrize("had", ON_RECORD)
def test_what_is_on_record_has_the_hash_it_had(had: str) -> None:
    market = "{history_starts: 2015-01-02" + (", asset_class: perpetual" if "funding" in ON_RECORD[had] else "")
    if had == COMPARED:
        market += ", compare_with: {kind: files, path: x, max_rows: 5}"
    assert parse_strategy(f"name: s\nmarket: {market}}}\n{ON_RECORD[had]}\n").content_hash() == had


class Part(Section):
    late: WhenSet[int] = 3
    listed: WhenSet[dict[str, int]] = Field(default_factory=dict)
    renamed: Annotated[str | None, CountsUnless("usual")] = None
    pace: NeverCounts[float] = 1.0
    old: int = 1


class Whole(Section):
    part: Part = Part()
    inner: NeverCounts[int] = 2


def test_a_field_says_itself_whether_it_counts() -> None:
    assert Part().counted() == {"renamed": None, "old": 1}
    assert Part(renamed="usual", pace=9.0).counted() == {"old": 1}
    explicit = Part(late=4, listed={"a": 1}, renamed="other", old=2)
    assert explicit.counted() == {"late": 4, "listed": {"a": 1}, "renamed": "other", "old": 2}


def test_a_section_within_a_section_counts_at_its_defaults_too() -> None:
    assert Whole().counted() == {"part": {"late": 3, "listed": {}, "renamed": None, "old": 1}}


@pytest.mark.parametrize("wrong", ["construction: best", "covariance_sessions: 59", "covariance_sessions: 251"])
def test_a_construction_that_there_is_not_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(SettingsError, match=wrong.split(":", maxsplit=1)[0]):
        parse_strategy(MINIMAL + f"portfolio: {{{wrong}}}\n")


def test_a_text_read_before_is_not_read_again_and_a_changed_file_is(tmp_path, monkeypatch) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text(MINIMAL, encoding="utf-8")
    first = load_strategy(file)
    with monkeypatch.context() as patch:
        patch.setattr(yaml.SafeLoader, "get_single_node", lambda _: pytest.fail("read again"))
        assert load_strategy(file) == first
    file.write_text(MINIMAL + "learning: {hidden: 8}\n", encoding="utf-8")
    assert load_strategy(file).learning.hidden == 8
    file.write_text(MINIMAL, encoding="utf-8")
    assert load_strategy(file) == first


def test_settings_cannot_be_changed_after_reading() -> None:
    strategy = parse_strategy(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        strategy.name = "other"  # type: ignore[misc]


@pytest.mark.full
def test_a_named_error_survives_the_way_back_from_a_worker_process() -> None:
    halted = GateHalted(
        expected="clean bars", found="1 fault", remedy="look", violations=["A 2000-01-03 rule 1"], symbol="A"
    )
    returned = pickle.loads(pickle.dumps(halted))
    assert str(returned) == str(halted)
    assert returned.violations == halted.violations
    failed = RunFailed(expected="x", found="y", remedy="z", named="SourceError", text="whole", run="r1")
    returned_failure = pickle.loads(pickle.dumps(failed))
    assert (str(returned_failure), returned_failure.kind, returned_failure.where) == (
        "whole",
        "SourceError",
        {"run": "r1"},
    )


@pytest.mark.parametrize("baselines", ["[]", "[linear]", "[linear, momentum]", "[boosting]"])
def test_a_file_that_leaves_out_a_simple_estimator_is_taken_as_it_always_was(baselines: str) -> None:
    text = "name: tiny\nmarket:\n  history_starts: 2014-01-02\nlearning: {baselines: %s}\n"
    assert list(parse_strategy(text % baselines).learning.baselines) == baselines.strip("[]").replace(",", "").split()
    whole = parse_strategy(text % "[momentum, boosting, linear]")
    assert whole.learning.baselines == ("momentum", "boosting", "linear")
