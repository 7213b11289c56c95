"""Labels that a plug-in brought: held to their contract, and part of the address of what is made with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nn_assets.errors import PluginError, SettingsError
from nn_assets.evaluation.trials import trial_configuration, trial_hash
from nn_assets.features.labels import LABELS, LabelKind
from nn_assets.learning.address import fit_code, model_address
from nn_assets.operations.derived import feature_codes, member_roots
from nn_assets.operations.plugins import prepare
from nn_assets.operations.strategy_files import with_checked_source
from nn_assets.plugins import load
from nn_assets.settings import LabelSettings, Strategy
from nn_assets.versions import version_of
from tests.contracts.labels import LabelContract
from tests.evaluation.test_replay_programme import FIRST, assert_same, played, strategy_of
from tests.learning.tiny import tiny_fold, tiny_market, tiny_strategy
from tests.plugins.texts import LABEL, label_file, naming, written
from tests.session.worlds import world

MINE = "{kind: mine, horizon_sessions: 3}"
RELATIVE = "'mine', relative=True"
NEUTRAL = "{net_limit: 0.0}"
OF_OTHERS = "forward = forward_returns(panel, label)\n    return forward - np.nanmedian(forward, axis=1, keepdims=True)"
OF_THE_MEAN = """everyone = np.ones(panel.close.shape, dtype=bool)
    who = everyone if facts.candidates is None else facts.candidates
    forward = np.where(who, forward_returns(panel, label), np.nan)
    there = np.isfinite(forward)
    mean = np.where(there, forward, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return forward - mean[:, None]"""


class TestLabelOfAFile(LabelContract):
    @pytest.fixture
    def label(self, execution: str, tmp_path: Path) -> LabelSettings:
        (tmp_path / "mine.py").write_text(LABEL)
        load([str(tmp_path / "mine.py")])
        settings = {"hurdle_fraction": 0.002}
        return LabelSettings(kind="over_costs", horizon_sessions=4, execution=execution, settings=settings)

    def own_return(self, forward, row, column, cash, label):
        return forward[row][column] - 0.002


class TestRelativeLabelOfAFile(LabelContract):
    @pytest.fixture
    def label(self, execution: str, tmp_path: Path) -> LabelSettings:
        (tmp_path / "mine.py").write_text(label_file(OF_THE_MEAN, RELATIVE))
        load([str(tmp_path / "mine.py")])
        return LabelSettings(kind="mine", horizon_sessions=2, execution=execution)

    def own_return(self, forward, row, column, cash, label):
        known = [each for each in forward[row] if each is not None]
        return forward[row][column] - sum(known) / len(known)


BAR = ("symbol", "session")
FAULTS = {
    "a return of the past": (
        "return np.vstack([panel.close[:5] * np.nan, panel.close[5:] / panel.close[:-5] - 1.0])",
        "nothing after its session changes it, so that it is a feature",
        BAR,
    ),
    "an end of the process": ("raise SystemExit(0)", "SystemExit: 0", ()),
    "one session past the horizon": (
        ("later = label.model_copy(update={'horizon_sessions': label.horizon_sessions + 1})\n"
        "    return forward_returns(panel, later)"),
        "what comes after its horizon changes it",
        BAR,
    ),
    "a score by the whole sample": (
        "forward = forward_returns(panel, label)\n    return forward - np.nanmean(forward, axis=0)",
        "what comes after its horizon changes it",
        BAR,
    ),
    "the last bar where there are years of them": (
        ("forward = forward_returns(panel, label)\n"
        "    return forward + (np.nan_to_num(panel.close[-1]) * 1e-9 if len(forward) > 1000 else 0.0)"),
        "what comes after its horizon changes it",
        BAR,
    ),
    "an unknown future taken for a fall": (
        ("forward = forward_returns(panel, label)\n"
        "    return np.where(np.isnan(forward) & np.isfinite(panel.close), -0.01, forward)"),
        "a value, made up: -0.01",
        BAR,
    ),
    "a missing bar filled": (
        ("price = pd.DataFrame(panel.close).ffill()\n"
        "    return (price.shift(-1 - label.horizon_sessions) / price.shift(-1) - 1.0).to_numpy()"),
        "a value, made up",
        BAR,
    ),
    "the decision's own close for the fill": (
        ("later = pd.DataFrame(panel.close).shift(-1 - label.horizon_sessions)\n"
        "    return (later / panel.close - 1.0).to_numpy()"),
        "a value, made up",
        BAR,
    ),
    "a feature": (
        ("past = pd.DataFrame(panel.close).pct_change(3, fill_method=None).to_numpy()\n"
        "    return np.where(np.isfinite(forward_returns(panel, label)), past, np.nan)"),
        "nothing after its session changes it, so that it is a feature: ",
        BAR,
    ),
    "an infinity": (
        "forward = forward_returns(panel, label)\n    return np.where(forward > 0.03, np.inf, forward)",
        "an infinity: inf",
        BAR,
    ),
    "nothing at all": ("return np.full(panel.close.shape, np.nan)", "none on any bar", ()),
    "a row for all": ("return forward_returns(panel, label).mean(axis=1)", "an array of shape", ()),
    "truths": ("return forward_returns(panel, label) > 0.0", "one of bool", ()),
    "its input written over": (
        "panel.close[9] = 1.0\n    return forward_returns(panel, label)",
        "it writes close over",
        BAR,
    ),
    "cash written over": (
        "facts.cash_rate_per_session[:] = 0.0\n    return forward_returns(panel, label)",
        "ValueError: .*read-only",
        (),
    ),
    "drawn": (
        "return forward_returns(panel, label) * np.random.default_rng().uniform()",
        "two computations of the same bars differ",
        BAR,
    ),
    "what it was asked before": (
        "globals().setdefault('KEPT', []).append(1)\n    return forward_returns(panel, label)",
        "KEPT changes from one call to the next",
        (),
    ),
    "an error": ("return panel.closes", "AttributeError", ()),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_label_that_breaks_its_contract_is_refused(tmp_path: Path, fault: tuple[str, str, tuple[str, ...]]) -> None:
    body, message, where = fault
    with pytest.raises(PluginError, match=message) as refused:
        prepare(naming(written(tmp_path, mine=label_file(body)), label=MINE))
    assert refused.value.where["label"] == "mine"
    assert refused.value.where["file"] == str(tmp_path / "mine.py")
    assert refused.value.where["line"] in {6, 8}  # its function, or the line that raised
    assert all(key in refused.value.where for key in where)


def test_a_label_that_follows_the_market_is_not_relative(tmp_path: Path) -> None:
    text = label_file("return forward_returns(panel, label)", RELATIVE)
    with pytest.raises(PluginError, match=r"session .*all prices times 0.8 .*: 0\.\d+ and -0\.\d+"):
        prepare(naming(written(tmp_path, mine=text), label=MINE, portfolio=NEUTRAL))


@pytest.mark.parametrize(
    "body",
    [
        # scaled by what was known before; a sign alone; log returns
        (
            "sigma = pd.DataFrame(panel.close).pct_change(fill_method=None).rolling(60).std().to_numpy()\n"
            "    return forward_returns(panel, label) / sigma"
        ),
        "return np.sign(forward_returns(panel, label))",
        "return np.log1p(forward_returns(panel, label)) - facts.cash_rate_per_session[:, None]",
    ],
)
def test_labels_as_a_person_writes_them_are_taken(tmp_path: Path, body: str) -> None:
    strategy = naming(written(tmp_path, mine=label_file(body)), label=MINE)
    prepare(strategy)
    assert strategy.portfolio.construction == "per_name"


def test_what_a_label_says_of_the_market_decides_the_book_without_running_its_file(tmp_path: Path) -> None:
    text = label_file(OF_OTHERS, RELATIVE) + "\nraise SystemExit(3)\n"
    assert naming(written(tmp_path, mine=text), label=MINE, portfolio=NEUTRAL).portfolio.construction == "programme"
    with pytest.raises(
        SettingsError, match=r"label.kind mine says nothing of the market.*portfolio.net_limit 0, not 1"
    ):
        naming(written(tmp_path, mine=text), label=MINE)
    computed = text.replace("relative=True", "relative=bool(1)")
    with pytest.raises(SettingsError, match=r"label.kind mine must say .* as plain text"):
        naming(written(tmp_path, mine=computed), label=MINE, portfolio=NEUTRAL)


@pytest.mark.parametrize(
    ("label", "message", "key"),
    [
        ("{kind: over_cost}", "label.kind over_cost is no label: did you mean over_costs", "label.kind"),
        ("{kind: over_costs, settings: {hurdle: 0.1}}", "hurdle", "label.settings"),
        ("{kind: over_costs, settings: {hurdle_fraction: much}}", "hurdle_fraction", "label.settings"),
        (
            "{settings: {hurdle_fraction: 0.1}}",
            "label.kind is left out: state label.kind, one of direction, .*, log_realised_volatility, over_costs",
            "label.settings",
        ),
        (
            "{kind: }",
            "label.kind = None: one of direction, .*, log_realised_volatility, or a label that a file",
            "label.kind",
        ),
        ("{kind: direction, settings: {hurdle_fraction: 0.1}}", "it has none", "label.settings"),
    ],
)
def test_a_label_that_nobody_registers_or_settings_that_it_does_not_have_are_refused(
    tmp_path: Path, label: str, message: str, key: str
) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        prepare(naming(written(tmp_path, mine=LABEL), label=label))
    assert refused.value.where["key"] == key


TWINS = """
from nn_assets.features.labels import register_label
from nn_assets.features.labels.direction import DIRECTION
from nn_assets.features.labels.relative import DIRECTION_RELATIVE

register_label("twin", relative=False)(DIRECTION.own_return)
register_label("twin_relative", relative=True)(DIRECTION_RELATIVE.own_return)
"""


@pytest.mark.parametrize(("kind", "twin"), [("alone", "twin"), ("relative", "twin_relative")])
def test_a_book_of_a_plugins_label_is_that_of_the_packages_own_where_both_say_the_same(
    tmp_path: Path, kind: str, twin: str
) -> None:
    (tmp_path / "twins.py").write_text(TWINS)
    own = strategy_of(kind)
    label = {**own.label.model_dump(), "kind": twin}
    fields = {**own.model_dump(exclude={"label", "plugins"}), "plugins": [str(tmp_path / "twins.py")], "label": label}
    mine = Strategy.model_validate(fields)
    prepare(mine)
    rounds = [played(world(each), FIRST + 15).rounds for each in (own, mine)]
    assert any(np.abs(done.decision.target_quantity).sum() > 0.0 for done in rounds[0])
    for one, other in zip(*rounds, strict=True):
        assert_same(one, other)


def test_an_edited_label_is_another_model_trial_and_decision_and_leaves_features_alone(
    tmp_path: Path,
) -> None:
    cube, labels = tiny_market()
    small = tiny_strategy(network="mlp")
    (tmp_path / "mine.py").write_text(LABEL)
    mine = {"kind": "over_costs", "horizon_sessions": 3}
    fields = {**small.model_dump(exclude={"label", "plugins"}), "plugins": [str(tmp_path / "mine.py")], "label": mine}
    strategy = with_checked_source(Strategy.model_validate(fields))
    fold, own = tiny_fold(cube, strategy), fit_code(small)

    def addresses() -> list[str]:
        prepare(strategy)
        fault = [model_address(cube, labels, fold, strategy), version_of(*member_roots(strategy))]
        return [*fault, *(trial_hash(strategy, estimator) for estimator in ("network", "linear"))]

    before, features = addresses(), feature_codes(("log_return_1",))
    assert "label over_costs" in trial_configuration(strategy)["plugins"]
    for text, changes in (
        (LABEL.replace("class Settings", "# of mine\nclass Settings"), False),
        (LABEL + "\n\ndef unused():\n    return 1\n", False),
        (LABEL.replace("= 0.001", "= 0.002"), True),
        (LABEL.replace("- settings", "+ settings"), True),
    ):
        (tmp_path / "mine.py").write_text(text)
        assert [now != then for now, then in zip(addresses(), before, strict=True)] == [changes] * 4, text
        assert feature_codes(("log_return_1",)) == features
        assert fit_code(small) == own
    apart = {version_of(*LabelKind(LABELS["over_costs"].own_return, each).roots) for each in (True, False)}
    assert len(apart) == 2


VALUE = """
import numpy as np

from nn_assets.features.labels import forward_returns, register_label


def unit(panel, label, facts):
    return {unit}


@register_label("mine", relative=False, learns={learns}, scale=unit{more})
def mine(panel, label, facts):
    return forward_returns(panel, label)
"""
SIGMA = "facts.recent_volatility * label.horizon_sessions ** 0.5"


def value_file(learns: str = '"value"', unit: str = SIGMA, more: str = "") -> str:
    return VALUE.format(learns=learns, unit=unit, more=more)


def test_a_value_of_a_file_is_learned_in_its_own_unit_and_sized_by_the_programme(tmp_path: Path) -> None:
    strategy = naming(written(tmp_path, mine=value_file()), label=MINE)
    prepare(strategy)
    assert LABELS["mine"].learns == "value"
    assert strategy.portfolio.construction == "programme"
    apart = {
        version_of(*LabelKind(LABELS["mine"].own_return, relative=False, learns=learns, **more).roots)
        for learns, more in (("value", {"scale": LABELS["mine"].scale}), ("sign", {}))
    }
    assert len(apart) == 2


@pytest.mark.parametrize(
    ("text", "fault", "message"),
    [
        (value_file(unit="np.abs(forward_returns(panel, label))"), PluginError, "scale that nothing after its session"),
        (value_file(unit="-facts.recent_volatility"), PluginError, "a scale above 0"),
        (value_file(more=", traded=True").replace(", scale=unit", ""), PluginError, "learns value, no scale"),
        (value_file(learns='"volatility"', more=", traded=False"), SettingsError, "so that no position can be taken"),
    ],
)
def test_a_value_of_a_file_whose_unit_is_none_or_that_nobody_can_trade_is_refused(
    tmp_path: Path, text: str, fault: type[Exception], message: str
) -> None:
    with pytest.raises(fault, match=message):
        prepare(naming(written(tmp_path, mine=text), label=MINE))


RANKED = """
import numpy as np

from nn_assets.features.labels import forward_returns, register_label


def ranked(panel, label, facts):
    {ranked}


@register_label("mine", relative=False, ranked_against=ranked)
def mine(panel, label, facts):
    return forward_returns(panel, label) - 0.01
"""
PAST = "return np.vstack([panel.close[:3] * np.nan, panel.close[3:] / panel.close[:-3] - 1.0])"
LATER = "return forward_returns(panel, label.model_copy(update={'horizon_sessions': label.horizon_sessions + 1}))"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RANKED.format(ranked=PAST), "nothing after its session changes it, so that it is a feature"),
        (RANKED.format(ranked=LATER), "what comes after its horizon changes it"),
        (value_file(unit="0.01 * facts.recent_volatility"), r"a scale that is the spread of the returns.*9\d% do"),
    ],
    ids=["ranked against the past", "ranked against what is not realised", "a scale of another unit"],
)
def test_what_forecasts_are_judged_by_and_learned_in_is_held_to_the_contract(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(PluginError, match=message):
        prepare(naming(written(tmp_path, mine=text), label=MINE))


def test_a_return_that_forecasts_are_ranked_against_is_taken(tmp_path: Path) -> None:
    prepare(naming(written(tmp_path, mine=RANKED.format(ranked="return forward_returns(panel, label)")), label=MINE))
    assert LABELS["mine"].ranked_against is not None


def test_a_label_less_a_threshold_is_sized_by_the_programme_as_the_packages_own_is(tmp_path: Path) -> None:
    text = RANKED.format(ranked="return forward_returns(panel, label)")
    assert naming(written(tmp_path / "a", mine=text), label=MINE).portfolio.construction == "programme"
    plain = text.replace(", ranked_against=ranked", "")
    assert naming(written(tmp_path / "b", mine=plain), label=MINE).portfolio.construction == "per_name"
    with pytest.raises(
        SettingsError, match=r"per_name sizes by the probability of a gain, which that of .* mine is not"
    ):
        naming(written(tmp_path / "c", mine=text), label=MINE, portfolio="{construction: per_name}")


@pytest.mark.parametrize(("key", "value"), [("learns", '"volatility"'), ("traded", "False")])
def test_what_a_label_learns_is_read_off_its_text_and_nothing_else_is_guessed(
    tmp_path: Path, key: str, value: str
) -> None:
    text = f"SAID = {value}\n" + label_file(
        "return forward_returns(panel, label)", f"'mine', relative=False, {key}=SAID"
    )
    with pytest.raises(SettingsError, match=f"label.kind mine must say {key} in its file as plain text"):
        naming(written(tmp_path, mine=text), label=MINE)
