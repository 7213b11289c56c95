"""Limits on a book that a plug-in brought: kept by both constructions, and held to their contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nn_assets.errors import PluginError, SettingsError
from nn_assets.operations.derived import member_roots
from nn_assets.operations.plugins import prepare
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.limits import book_limits, shared_out
from nn_assets.portfolio.own_limits import BookFacts, own_limits
from nn_assets.settings import Strategy
from nn_assets.versions import version_of
from tests.plugins.texts import CONSTRAINT, constraint_file, naming, written
from tests.portfolio.facts import COSTS
from tests.portfolio.test_by_programme import inputs_of

SYMBOLS = ("AAA", "BBB", "CCC")
PAIR = "portfolio: {constraints: {together: {symbols: [AAA, BBB], limit: 0.08}}}"


def strategy_of(folder: Path, text: str = CONSTRAINT, portfolio: str = PAIR) -> Strategy:
    file = written(folder, mine=text)
    return naming(file, portfolio=portfolio.removeprefix("portfolio: "))


def test_what_names_share_is_shared_out_within_the_limit(tmp_path: Path) -> None:
    strategy = strategy_of(tmp_path)
    prepare(strategy)
    free = np.full(3, np.inf)
    limits = book_limits(
        SYMBOLS,
        strategy.portfolio,
        lower=-free,
        upper=free,
        reach=free,
        distance=np.full(3, 0.01),
        market_beta=np.full(3, np.nan),
        equity_usd=1e6,
    )
    assert [limit.name for limit in limits.sizes] == ["gross", "risk", "together"]
    wanted = np.array([0.06, -0.06, 0.06])
    shared = shared_out(wanted, np.full(3, 0.1), np.zeros(3), limits).weights
    assert np.abs(shared[:2]).sum() == pytest.approx(0.08, abs=1e-6)
    assert shared[2] == pytest.approx(0.06, abs=1e-6)
    plain = book_limits(
        SYMBOLS,
        strategy.portfolio.model_copy(update={"constraints": {}}),
        lower=-free,
        upper=free,
        reach=free,
        distance=np.full(3, 0.01),
        market_beta=np.full(3, np.nan),
        equity_usd=1e6,
    )
    assert np.array_equal(shared_out(wanted, np.full(3, 0.1), np.zeros(3), plain).weights, wanted)


@pytest.mark.parametrize("construction", ["programme", "per_name"])
@pytest.mark.parametrize("seed", range(3))
def test_both_constructions_bring_what_is_held_within_it(tmp_path: Path, construction: str, seed: int) -> None:
    limit = "{together: {symbols: [S00, S01, S02], limit: 0.06}}"
    portfolio = f"{{construction: {construction}, constraints: {limit}}}"
    strategy = strategy_of(tmp_path, portfolio=portfolio)
    prepare(strategy)
    of = inputs_of(seed, known={"relative": False}, calibrated_probability=np.full(12, 0.56))
    settings = strategy.portfolio
    before = decide(of, settings.model_copy(update={"constraints": {}}), COSTS)

    def together(quantity: np.ndarray) -> float:
        return float(np.abs(quantity * of.reference_price)[:3].sum()) / of.equity_usd

    held = before.unscaled_quantity
    assert together(held) > 0.12
    after = decide(replace(of, current_quantity=held, unscaled_quantity=held), settings, COSTS)
    lots = float(of.reference_price[:3].sum()) / of.equity_usd
    assert together(after.unscaled_quantity) <= 0.06 + lots
    assert together(after.target_quantity) <= 0.06 + lots
    assert np.abs(after.target_quantity[3:]).sum() > 0.0


def test_its_code_and_its_settings_are_part_of_what_decides(tmp_path: Path) -> None:
    strategy = strategy_of(tmp_path)
    before = version_of(*member_roots(strategy))
    looser = strategy_of(tmp_path, portfolio=PAIR.replace("0.08", "0.09"))
    assert looser.content_hash("portfolio") != strategy.content_hash("portfolio")
    (tmp_path / "mine.py").write_text(CONSTRAINT.replace("def together", "# of mine\ndef together"))
    assert version_of(*member_roots(strategy)) == before
    (tmp_path / "mine.py").write_text(CONSTRAINT.replace("float(each in", "2.0 * float(each in"))
    assert version_of(*member_roots(strategy)) != before
    registered = next(line for line in CONSTRAINT.splitlines() if line.startswith("@register_constraint"))
    (tmp_path / "mine.py").write_text(CONSTRAINT.replace(registered, registered.replace(")", ", net=True)")))
    assert version_of(*member_roots(strategy)) != before


FAULTS = {
    "a negative size": ("return -np.ones(len(facts.symbols)), 0.1", "not negative"),
    "no number": ("return np.full(len(facts.symbols), np.nan), 0.1", "finite"),
    "another shape": ("return np.ones(1), 0.1", "of each of 4 names"),
    "a limit below nothing": ("return np.ones(len(facts.symbols)), -0.1", "a limit of 0 or more"),
    "by place": ("return np.arange(len(facts.symbols)) * 1.0, 0.1", "in whatever order"),
    "drawn": ("return np.random.default_rng().uniform(0, 1, len(facts.symbols)), 0.1", "the same of the same book"),
    "an error": ("return facts.sector, 0.1", "AttributeError"),
    "one number alone": ("return 0.05", r"0\.05, which is no pair of them. Remedy: let its function return"),
    "an end of the process": ("raise SystemExit(0)", "SystemExit: 0"),
    "a text for a limit": ("return np.ones(len(facts.symbols)), 'much'", "much"),
    "no sum": ("return {}", "an empty mapping, which bounds nothing"),
    "a name of the package": ("return {'gross': (np.ones(len(facts.symbols)), 9.0)}", "'gross', which is a name"),
    "one that the package may use": ("return {'sector x': (np.ones(len(facts.symbols)), 9.0)}", "the package's own"),
    "without equity": ("return facts.market_beta**2, 1.0 if facts.equity_usd else np.inf", "limit inf"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
def test_a_constraint_that_breaks_its_contract_is_refused(tmp_path: Path, case: tuple[str, str]) -> None:
    body, message = case
    with pytest.raises(PluginError, match=message) as refused:
        prepare(strategy_of(tmp_path, constraint_file(body), "{constraints: {mine: {}}}"))
    assert refused.value.where["constraint"] == "mine"
    assert refused.value.where["file"] == str(tmp_path / "mine.py")
    assert refused.value.where["line"] in {5, 7}  # its function, or the line that raised


def test_two_constraints_that_name_a_sum_alike_are_refused(tmp_path: Path) -> None:
    text = constraint_file("return {'all': (np.ones(len(facts.symbols)), 9.0)}")
    other = text[text.index("@register") :].replace("mine", "other")
    with pytest.raises(PluginError, match="'all', which is a name of the constraint mine"):
        prepare(strategy_of(tmp_path, f"{text}\n\n{other}", "{constraints: {mine: {}, other: {}}}"))


@pytest.mark.parametrize(
    ("portfolio", "message"),
    [
        ("{constraints: {togethr: {}}}", "did you mean together"),
        (
            "{constraints: {together: {limits: 0.1}}}",
            "states its settings: symbols, limit; found limits = 0.1: no such key. Remedy: did you mean limit[?]",
        ),
        ("{constraints: {together: {limit: much}}}", "found limit = 'much': a number was expected. Remedy: correct"),
        ("{constraints: {together: {symbols: AAA}}}", "found symbols = 'AAA': a list was expected. Remedy: correct"),
    ],
)
def test_a_constraint_that_nobody_registers_or_settings_that_it_does_not_have_are_refused(
    tmp_path: Path, portfolio: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        prepare(strategy_of(tmp_path, portfolio=portfolio))
    assert refused.value.where["key"] == "portfolio.constraints"


def test_a_net_sum_may_have_coefficients_of_both_signs(tmp_path: Path) -> None:
    text = constraint_file("return facts.market_beta - 1.0, 0.2", "'mine', net=True")
    strategy = strategy_of(tmp_path, text, "{constraints: {mine: {}}}")
    prepare(strategy)
    assert strategy.content_hash() != Strategy.model_validate(strategy.model_dump(exclude={"portfolio"})).content_hash()


def test_a_mapping_of_names_to_pairs_bounds_several_sums(tmp_path: Path) -> None:
    text = constraint_file(
        "return {f'own {name}': (row, 0.1) for name, row in zip(facts.symbols, np.eye(len(facts.symbols)))}"
    )
    strategy = strategy_of(tmp_path, text, "{constraints: {mine: {}}}")
    prepare(strategy)
    sizes, nets = own_limits(BookFacts(SYMBOLS, np.zeros(3), np.ones(3), 1e6), strategy.portfolio)
    assert nets == ()
    assert [limit.name for limit in sizes] == ["own AAA", "own BBB", "own CCC"]
    assert sizes[1].coefficient.tolist() == [0.0, 1.0, 0.0]
