"""Plug-ins found, read and run: what a strategy names is there, by name, before anything is stored."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from nn_assets import plugins
from nn_assets.cli import app
from nn_assets.errors import PluginError, SettingsError
from nn_assets.features.catalogue import CATALOGUE
from nn_assets.learning.networks import NETWORKS
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.derived import feature_codes
from nn_assets.operations.plugins import fault_of_names, prepare
from nn_assets.orchestration.outcomes import failure_of
from nn_assets.settings import FeatureSettings, Strategy, load_strategy
from nn_assets.settings.sections import KEYS_OF_NETWORKS, NETWORKS_OF_ITS_OWN
from tests.plugins.texts import FEATURES, NETWORK, feature_file, naming, written


def test_a_file_beside_the_strategy_registers_features_that_the_strategy_may_name(tmp_path: Path) -> None:
    strategy = naming(written(tmp_path, my_features=FEATURES), features="{names: [over_mean_10, log_return_1]}")
    assert "over_mean_10" not in CATALOGUE  # reading a strategy runs nothing
    prepare(strategy)
    assert CATALOGUE["over_mean_10"].reach_sessions == 9
    assert CATALOGUE["overnight_gap"].formula == "O / C[t-1] - 1"


def test_a_strategy_that_names_plugins_has_the_hash_that_it_had(tmp_path: Path) -> None:
    file = written(tmp_path, my_features=FEATURES)
    with_them = load_strategy(file)
    file.write_text(file.read_text().replace("plugins: [my_features.py]\n", ""))
    without = load_strategy(file)
    assert with_them.content_hash() == without.content_hash()
    assert "network_settings" not in without.learning.model_dump()


FAULTS = {
    "no file": ("", "plugins: [there.py]", r"expected the file of a plug-in, .*there\.py; found no such file"),
    "no Python": (
        "def mine(:\n",
        "plugins: [my.py]",
        r"my\.py, line 1, .*expected Python in my\.py; found invalid syntax",
    ),
    "twice": (FEATURES, "plugins: [my.py, ./my.py]", "expected each plug-in once; found .*my.py twice"),
    "no entry point": (FEATURES, "plugins: [my_package]", "installed package's entry point.*found 'my_package'"),
    "no network": (FEATURES, "plugins: [my.py]\nlearning: {network: lstn}", "learning.network lstn is no network: did"),
}


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_by_the_text_alone_is_refused_when_the_strategy_is_read(
    tmp_path: Path, case: tuple[str, str, str]
) -> None:
    text, named, message = case
    (tmp_path / "my.py").write_text(text)
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\nmarket: {{history_starts: 2016-01-04}}\n{named}\n")
    with pytest.raises(SettingsError, match=message) as refused:
        load_strategy(file)
    of_its_text = text.startswith("def")  # in the line of the text, else in that of the strategy which names it
    assert refused.value.where["file"] == str(tmp_path / "my.py" if of_its_text else file)
    assert refused.value.where["line"] in ({1} if of_its_text else {3, 4})


ALIASES = {
    "an alias": ("from nn_assets.features.catalogue import register_feature as rf\n", "rf"),
    "an alias of the module": ("import nn_assets.features.catalogue as it\n", "it.register_feature"),
}


@pytest.mark.parametrize("case", ALIASES.values(), ids=ALIASES)
def test_a_name_that_is_registered_by_an_alias_is_read_off_the_text(tmp_path: Path, case: tuple[str, str]) -> None:
    line, called = case
    text = f"{line}@{called}('alias_gap', reach_sessions=0)\ndef alias_gap(panel, context):\n    return panel.close\n"
    strategy = naming(written(tmp_path, mine=text), features="{names: [alias_gap]}")
    assert fault_of_names(strategy) is None
    prepare(strategy)


LATER = {
    "an import that fails": (("import no_such_library\n",), r"one\.py, line 1, .*ModuleNotFoundError"),
    "an error as it runs": (("\nx = 1 / 0\n",), r"one\.py, line 2, .*ZeroDivisionError: division by zero"),
    "a name of the catalogue": (
        (FEATURES.replace('"overnight_gap"', '"log_return_1"'),),
        r"one\.py, line 14, .*'log_return_1' in one.py, a name that nn_assets itself has taken",
    ),
    "a name of another file": ((FEATURES, FEATURES), "'overnight_gap' in two.py, a name that one.py has taken"),
    "a name twice": ((FEATURES.replace("over_mean_10", "overnight_gap"),), "a name that one.py has taken"),
    "no name": ((FEATURES.replace('"overnight_gap"', '"Overnight gap"'),), "'Overnight gap' in one.py"),
    "no field": ((feature_file("return panel.close", fields=("closing",)),), "fields closing"),
    "a lambda": (
        (
            feature_file("return panel.close", reach_sessions=0)
            + "register_feature('other', reach_sessions=0)(lambda panel, context: panel.close)\n",
        ),
        r"one\.py, line 9, .*other.*found <lambda> of nn_plugin_one.*write it with def",
    ),
}


@pytest.mark.parametrize("case", LATER.values(), ids=LATER)
def test_what_is_wrong_as_it_runs_is_refused_before_it_is_used(
    tmp_path: Path, case: tuple[tuple[str, ...], str]
) -> None:
    texts, message = case
    strategy = load_strategy(written(tmp_path, **dict(zip(("one", "two"), texts, strict=False))))
    with pytest.raises(Exception, match=message) as refused:
        prepare(strategy)
    assert {"expected", "found", "remedy"} <= vars(refused.value).keys()
    assert not CATALOGUE.brought_by(["nn_plugin_two"])


def test_an_error_that_a_member_raises_within_a_step_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    prepare(load_strategy(file := written(tmp_path, mine=feature_file("return panel.close * 1.0", reach_sessions=0))))

    @dg.op
    def features() -> None:
        CATALOGUE["mine"].compute(None, None)

    @dg.job
    def daily() -> None:
        features()

    failure = failure_of(daily.execute_in_process(raise_on_error=False).all_events)
    assert failure is not None
    line = f"{file.parent / 'mine.py'}, line 8"
    assert failure.text == f"{line}: AttributeError: 'NoneType' object has no attribute 'close'"


def test_a_file_that_failed_leaves_nothing_registered_and_runs_once_it_is_mended(tmp_path: Path) -> None:
    strategy = load_strategy(file := written(tmp_path, one=FEATURES + "\nraise ValueError('not yet')\n"))
    with pytest.raises(PluginError, match="not yet"):
        prepare(strategy)
    assert set(CATALOGUE) == set(CATALOGUE.own)
    (file.parent / "one.py").write_text(FEATURES)
    prepare(strategy)
    assert "overnight_gap" in CATALOGUE


@pytest.mark.parametrize(
    ("section", "key"),
    [("{names: [rsi_15]}", "features.names"), ("{series: {implied_volatilty: fear}}", "features.series")],
)
def test_a_feature_or_a_role_that_nobody_registers_is_refused_with_its_key(
    tmp_path: Path, section: str, key: str
) -> None:
    file = written(tmp_path, my_features=FEATURES)
    series = "[{name: fear, path: fear.csv, lag_minutes: 15}]"
    with pytest.raises(SettingsError, match="did you mean") as refused:
        prepare(naming(file, features=section, series=series))
    assert refused.value.where["key"] == key


@pytest.mark.parametrize(
    ("kind", "name"),
    [("feature", "candle_open"), ("network", "gru"), ("label", "direction"), ("constraint", "gross_limit")],
)
def test_a_name_that_the_package_has_itself_is_refused_as_its_file_is_read_and_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.py").write_text(f"@register_{kind}({name!r})\ndef made():\n    pass\n")
    (tmp_path / "strategies" / "mine.yaml").write_text(
        "name: mine\nplugins: [mine.py]\nmarket: {history_starts: 2016-01-04}\n"
    )
    with pytest.raises(SettingsError, match=rf"found {name}.*Remedy: rename it in .*mine\.py") as refused:
        find_strategy("mine")
    assert (refused.value.where["key"], refused.value.where["line"]) == ("plugins", 2)
    answer = CliRunner().invoke(app, ["status"])
    assert answer.exit_code == 1
    assert "HALTED" in answer.output.splitlines()[0]
    assert name in answer.output


@pytest.mark.parametrize("plugins", ["", "plugins: [my_features.py]\n"])
@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{names: [rsi_15]}", "features.names rsi_15 is no feature: did you mean rsi_14"),
        ("{names: [overnight_gop]}", "features.names overnight_gop is no feature: "),
    ],
)
def test_a_feature_that_nobody_has_is_refused_by_name_and_line_as_its_file_is_read_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins: str, section: str, message: str
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "my_features.py").write_text(FEATURES + "\nraise SystemExit(3)\n")
    file = tmp_path / "strategies" / "mine.yaml"
    file.write_text(f"name: mine\n{plugins}market: {{history_starts: 2016-01-04}}\nfeatures:\n  {section[1:-1]}\n")
    near = "did you mean overnight_gap" if plugins and "gop" in section else ""
    with pytest.raises(SettingsError, match=message + near) as refused:
        find_strategy("mine")
    assert refused.value.where["line"] == 4 + bool(plugins)
    assert refused.value.where["key"] == "features.names"
    file.write_text(file.read_text().replace("rsi_15", "rsi_14").replace("overnight_gop", "log_return_1"))
    assert find_strategy("mine").strategy.features.names


def test_settings_know_the_networks_of_the_package_by_name() -> None:
    assert set(NETWORKS_OF_ITS_OWN) == set(NETWORKS.own)
    with_settings = {name: entry.settings for name, entry in NETWORKS.own.items() if entry.settings is not None}
    assert {name: tuple(model.model_fields) for name, model in with_settings.items()} == dict(KEYS_OF_NETWORKS)


@pytest.mark.parametrize(
    "sections",
    [
        {"learning": {"network": "mlp", "network_settings": {"kernel": 3}}},
        {"learning": {"network": "tcn", "network_settings": {"kernl": 3}}},
        {"label": {"kind": "return_zscored", "settings": {"window": 120}}},
        {"label": {"kind": "return_zscored", "settings": {"window_sessions": 5}}},
        {"label": {"kind": "direction", "settings": {"window": 120}}},
        {"execution": {"broker": "paper", "broker_settings": {"fee": 1}}},
    ],
)
def test_settings_that_a_member_of_the_package_does_not_have_are_refused_as_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sections: dict[str, Any]
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    (tmp_path / "strategies").mkdir()
    file = tmp_path / "strategies" / "mine.yaml"
    settings = {"name": "mine", "market": {"history_starts": date(2016, 1, 4)}, **sections}
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    with pytest.raises(SettingsError) as refused:  # which status tells
        find_strategy("mine")
    ((section, values),) = sections.items()
    key = next(name for name in values if name.endswith("settings"))
    assert refused.value.where["key"] == f"{section}.{key}"
    assert refused.value.where["line"] > 4
    with pytest.raises(SettingsError) as of_the_member:  # as check asks it
        prepare(Strategy.model_validate(settings))
    assert (refused.value.expected, refused.value.remedy) == (of_the_member.value.expected, of_the_member.value.remedy)
    assert of_the_member.value.found in refused.value.found


def test_a_network_is_found_by_its_name_without_running_its_file(tmp_path: Path) -> None:
    naming(written(tmp_path, my_networks=NETWORK), learning="{network: shallow}")
    program = (
        "import sys; from pathlib import Path; from nn_assets.settings import Strategy, load_strategy\n"
        f"assert load_strategy(Path({str(tmp_path / 'mine.yaml')!r})).learning.network == 'shallow'\n"
        "assert 'torch' not in sys.modules and not any('my_networks' in name for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("settings", ["{width: wide}", "{depth: 3}", "{width: 4, hidden: 3}"])
def test_settings_of_its_own_are_held_to_what_the_network_states(tmp_path: Path, settings: str) -> None:
    file = written(tmp_path, my_networks=NETWORK)
    strategy = naming(file, learning=f"{{network: shallow, network_settings: {settings}}}")
    with pytest.raises(SettingsError, match=r"as the network shallow states its settings: width") as refused:
        prepare(strategy)
    assert refused.value.where["key"] == "learning.network_settings"


def test_settings_of_its_own_of_a_network_that_has_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the network mlp states its settings: it has none; found width"):
        prepare(naming(written(tmp_path), learning="{network: mlp, network_settings: {width: 4}}"))


# --- versions ------------------------------------------------------------------------------------------

OTHER = "@register_feature('other', reach_sessions=0)\ndef other(panel, context):\n    return panel.close\n\n\n"
EDITS = {
    "a comment": ("def _mean(", "# of closes\ndef _mean(", set()),
    "a docstring": ('"""Features of my own."""', '"""Others."""', set()),
    "a formula": ("panel.open / lagged", "panel.open * 1.0 / lagged", {"overnight_gap"}),
    "what a formula calls": ("rolling_mean(panel", "1.0 * rolling_mean(panel", {"over_mean_10"}),
    "words": ('formula="O / C[t-1] - 1"', 'formula="open over the close before"', set()),
    "what it states": ("reach_sessions=9", 'reach_sessions=9, fields=("high", "close")', {"over_mean_10"}),
    "a feature beside them": (
        "@register_feature(\"over_mean_10\"",
        f"{OTHER}@register_feature(\"over_mean_10\"",
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EDITS.values(), ids=EDITS)
def test_an_edit_changes_the_versions_of_the_features_that_it_feeds_and_no_others(
    tmp_path: Path, case: tuple[str, str, set[str]]
) -> None:
    old, new, changed = case
    names = ("overnight_gap", "over_mean_10", "rsi_14")
    strategy = load_strategy(written(tmp_path, my_features=FEATURES))
    prepare(strategy)
    before = feature_codes(names)
    assert FEATURES.count(old) == 1
    (tmp_path / "my_features.py").write_text(FEATURES.replace(old, new))
    prepare(strategy)
    after = feature_codes(names)
    assert {name for name in names if before[name] != after[name]} == changed
    assert len(before) == len(names)


def test_a_table_beside_the_file_counts_for_the_feature_that_names_it(tmp_path: Path) -> None:
    text = feature_file("return panel.close * float((HERE / 'factor.txt').read_text())", reach_sessions=0)
    strategy = load_strategy(written(tmp_path, mine="from pathlib import Path\nHERE = Path(__file__).parent\n" + text))
    (tmp_path / "factor.txt").write_text("2.0")
    prepare(strategy)
    before = feature_codes(["mine"])
    plugins.forget()
    (tmp_path / "factor.txt").write_text("3.0")
    prepare(strategy)
    assert feature_codes(["mine"]) != before


def test_an_installed_package_registers_by_its_entry_point_and_all_of_it_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gaps_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "shared.py").write_text("def gap(panel):\n    return panel.open / panel.close\n")
    entry = "from gaps_of_mine.shared import gap\n" + feature_file(
        "return gap(panel)", fields=("open", "close"), reach_sessions=0
    )
    (package / "members.py").write_text(entry)
    metadata = tmp_path / "gaps_of_mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: gaps_of_mine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[nn_assets.plugins]\nmy_gaps = gaps_of_mine.members\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = written(tmp_path / "home")
    file.write_text(file.read_text().replace("[]", "[my_gaps]"))
    strategy = naming(file, features="{names: [mine]}")
    prepare(strategy)
    before = feature_codes(["mine"])
    (package / "shared.py").write_text("def gap(panel):\n    return panel.open / panel.close - 1.0\n")
    sys.modules.pop("gaps_of_mine.shared")
    prepare(strategy)
    assert feature_codes(["mine"]) != before
    assert CATALOGUE["mine"].compute.__module__ == "gaps_of_mine.members"


def test_a_feature_that_needs_the_market_is_refused_as_its_strategy_is_read_where_none_is_named(tmp_path: Path) -> None:
    text = feature_file("return np.log(panel.close / lagged(panel.close, 1)) - context.market", needs_market=True)
    for number, (market, message) in enumerate(
        (
            ("", r"key features.market_symbol\] expected a market symbol for the feature mine; found none"),
            (", market_symbol: SIM2", r"market_symbol among market.symbols; found SIM2.*did you mean SIM02"),
            (", market_symbol: SIM02", None),
        )
    ):
        file = written(tmp_path / str(number), mine=text)
        lines = file.read_text().replace("market:\n", "market:\n  symbols: [SIM01, SIM02]\n")
        file.write_text(lines)
        strategy = naming(file, features=f"{{names: [mine]{market}}}")
        if message is None:
            prepare(strategy)
            continue
        with pytest.raises(SettingsError, match=message):
            prepare(strategy)
    own = {"names": ("market_correlation_60",)}
    bundled = find_strategy("planted_edge").strategy
    fault = fault_of_names(bundled.model_copy(update={"features": FeatureSettings(**own)}))
    assert fault is not None
    assert "market symbol for the feature market_correlation_60" in str(fault)
