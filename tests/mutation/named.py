"""Faults put in by hand: each one lived once, when the rest of the tests passed, and must never live again."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from functools import cached_property

from tests.mutation.draw import CHECKOUT

__all__ = ["BUDGET", "FILE", "NAMED", "NAMED_FILES", "TEST_FILES", "Named"]

FILE = "named.jsonl"
"""Where their results are kept."""

BUDGET = 60.0
"""Processor seconds of tests that are run against one of them: some train networks."""

TEST_FILES = (
    "tests/learning/test_calibration.py",
    "tests/learning/test_ensemble.py",
    "tests/learning/test_evidence.py",
    "tests/learning/test_model.py",
    "tests/learning/test_refresh.py",
)
"""Test files beside those of the four rooms, for the faults that lie elsewhere."""


@dataclass(frozen=True)
class Named:
    """One fault: ``before``, which stands once in the file, becomes ``after``."""

    operator: str  # what is wrong then
    file: str
    before: str
    after: str
    test: str  # that it dies by, every case of it: run before any other

    @cached_property
    def source(self) -> str:
        text = (CHECKOUT / self.file).read_text()
        if text.count(self.before) != 1:
            message = f"{self.file} holds {text.count(self.before)} times what the fault {self.operator!r} changes"
            raise ValueError(message)
        return text

    @property
    def place(self) -> str:
        return f"{self.file}::{self.operator}"

    @property
    def address(self) -> str:
        """Of the file's content and the change, 16 hex digits."""
        return hashlib.sha256(f"{self.source}|{self.operator}|{self.before}|{self.after}".encode()).hexdigest()[:16]

    argument = address

    @property
    def line(self) -> int:
        return self.source[: self.source.index(self.before)].count("\n") + 1

    @property
    def at_import(self) -> bool:
        return not any(node.lineno <= self.line <= (node.end_lineno or 0) for node in self._functions)

    @property
    def lines(self) -> frozenset[int]:
        return frozenset(range(self.line, self.line + self.before.count("\n") + 1))

    @property
    def _functions(self) -> list[ast.FunctionDef]:
        return [node for node in ast.walk(ast.parse(self.source)) if isinstance(node, ast.FunctionDef)]

    def tree(self) -> ast.Module:
        """The module's tree with the fault in it."""
        return ast.parse(self.source.replace(self.before, self.after))

    def __str__(self) -> str:
        return f"{self.file}:{self.line} [{self.operator}] {self.before}  ->  {self.after}"


NAMED = (
    Named(
        "every member of an ensemble has the same seed",
        "nn_assets/learning/ensemble.py",
        "(settings.seed + index, start) for index, start in enumerate(starts",
        "(settings.seed, start) for index, start in enumerate(starts",
        "tests/learning/test_ensemble.py::test_members_are_those_that_the_strategys_seed_and_the_next_ones_train_alone",
    ),
    Named(
        "the strategy's own seed is ignored",
        "nn_assets/learning/ensemble.py",
        "(settings.seed + index, start) for index, start in enumerate(starts",
        "(7 + index, start) for index, start in enumerate(starts",
        "tests/learning/test_ensemble.py::test_members_are_those_that_the_strategys_seed_and_the_next_ones_train_alone",
    ),
    Named(
        "a member is trained by the strategy's seed, whatever its own",
        "nn_assets/learning/ensemble.py",
        "(windows, training, validation, settings, *one, head",
        "(windows, training, validation, settings, settings.seed, one[1], head",
        "tests/learning/test_ensemble.py::test_members_are_those_that_the_strategys_seed_and_the_next_ones_train_alone",
    ),
    Named(
        "the simple estimators' members are all drawn by one seed",
        "nn_assets/learning/baselines.py",
        "drawn_sessions(inputs.training, seed), seed)",
        "drawn_sessions(inputs.training, inputs.seeds[0]), seed)",
        "tests/learning/test_model.py::test_forecasts_hold_every_estimator_with_its_spread",
    ),
    Named(
        "an edge is found at a deflated Sharpe ratio of 0.5",
        "nn_assets/evaluation/verdict.py",
        "DEFLATED_SHARPE_NEEDED = 0.95",
        "DEFLATED_SHARPE_NEEDED = 0.5",
        "tests/evaluation/test_verdict.py::test_an_edge_needs_a_deflated_sharpe_above_095",
    ),
    Named(
        "trading goes on at a deflated Sharpe ratio of 0.5",
        "nn_assets/evaluation/verdict.py",
        "DEFLATED_SHARPE_KEPT = 0.80",
        "DEFLATED_SHARPE_KEPT = 0.50",
        "tests/evaluation/test_verdict.py::test_trading_begins_with_an_edge_and_goes_on_while_it_pays",
    ),
    Named(
        "labels that overlap count as independent in calibration",
        "nn_assets/learning/calibration.py",
        "names[there], horizon, by_bar[there])",
        "names[there], 1, by_bar[there])",
        "tests/learning/test_calibration.py::"
        "test_it_is_a_weighted_logistic_regression_with_the_prior_as_further_outcomes",
    ),
    Named(
        "the variance of a hit rate knows no lags",
        "nn_assets/learning/evidence.py",
        "variance = _variance_of_mean(share, weight, rate, _LAGS_PER_HORIZON * horizon_sessions)",
        "variance = _variance_of_mean(share, weight, rate, 0)",
        "tests/learning/test_evidence.py::"
        "test_from_sixty_sessions_on_the_count_is_the_variance_of_the_session_mean_by_statsmodels",
    ),
    Named(
        "a refresh is judged on rows that the incumbent was trained on",
        "nn_assets/learning/refresh.py",
        "rows = slice(max(rows.start, incumbent.fold.used_from), rows.stop)",
        "rows = slice(rows.start, rows.stop)",
        "tests/learning/test_refresh.py::test_nothing_is_judged_on_rows_from_before_the_incumbents_use",
    ),
    Named(
        "a refresh is judged on the incumbent's own training rows",
        "nn_assets/learning/refresh.py",
        "rows = slice(max(rows.start, incumbent.fold.used_from), rows.stop)",
        "rows = incumbent.fold.training",
        "tests/learning/test_refresh.py::test_the_losses_are_those_of_one_calibration_for_both_on_the_newest_slice",
    ),
    Named(
        "step 5 takes correlation with the wrong sign",
        "nn_assets/portfolio/steps.py",
        "(1.0 - np.maximum(overlap, 0.0))",
        "(1.0 + np.maximum(overlap, 0.0))",
        "tests/portfolio/test_bad_inputs.py::test_returns_that_never_change_open_nothing_or_count_as_moving_with_the_book",
    ),
    Named(
        "what cannot be traded is left out of gross",
        "nn_assets/portfolio/per_name.py",
        "proposal.start + inputs.stuck_weight",
        "proposal.start",
        "tests/portfolio/test_bad_inputs.py::"
        "test_what_cannot_be_traded_is_part_of_gross_and_leaves_the_others_the_rest",
    ),
    Named(
        "the programme leaves what cannot be traded out of sums of sizes",
        "nn_assets/portfolio/construction.py",
        "_finite(stuck * inputs.last_mark))",
        "0.0)",
        "tests/portfolio/test_construction.py::"
        "test_a_name_without_a_price_takes_its_place_in_every_sum_with_what_is_held",
    ),
    Named(
        "costs that fell by any amount need no approval",
        "nn_assets/costs/estimation.py",
        "if abs(change) > settings.maximum_unapproved_change",
        "if change > settings.maximum_unapproved_change",
        "tests/costs/test_estimation.py::test_a_fall_above_thirty_percent_waits_for_approval_like_a_rise",
    ),
    Named(
        "a breaker or a halving at exactly its level hangs on the last bit",
        "nn_assets/portfolio/breakers.py",
        "return not value <= level * (1.0 + _TOLERANCE)",
        "return not value <= level",
        "tests/portfolio/test_breakers.py::test_a_loss_of_exactly_its_limit_is_not_over_it_whatever_its_last_bit",
    ),
    Named(
        "a breaker and a halving act at their level already",
        "nn_assets/portfolio/breakers.py",
        "return not value <= level * (1.0 + _TOLERANCE)",
        "return not value < level * (1.0 - _TOLERANCE)",
        "tests/portfolio/test_breakers.py::test_a_loss_of_exactly_its_limit_is_not_over_it_whatever_its_last_bit",
    ),
    Named(
        "every reset starts a new high-water mark",
        "nn_assets/portfolio/book.py",
        "kept.with_new_peaks() if LOSSES & set(kinds) else kept",
        "kept.with_new_peaks()",
        "tests/evaluation/test_replay.py::"
        "test_stale_data_in_a_drawdown_latch_both_and_the_reset_of_one_forgets_no_loss",
    ),
    Named(
        "stops fill while a breaker halts",
        "nn_assets/session/filling.py",
        'if execution == "next_open" and control is not Control.HALTED:',
        'if execution == "next_open":',
        "tests/evaluation/test_replay.py::test_halted_fills_nothing_neither_an_order_nor_a_stop",
    ),
    Named(
        "stale data halt at the level",
        "nn_assets/portfolio/breakers.py",
        "if not stale_share <= settings",
        "if not stale_share < settings",
        "tests/portfolio/test_breakers.py::test_every_breaker_fires_just_over_its_limit_strictest_first",
    ),
    Named(
        "a long stop at exactly the low is not hit",
        "nn_assets/execution/paper.py",
        "bar.low <= book",
        "bar.low < book",
        "tests/execution/test_paper.py::test_a_stop_fills_at_the_worse_of_open_and_stop",
    ),
    Named(
        "a short stop at exactly the high is not hit",
        "nn_assets/execution/paper.py",
        "bar.high >= book",
        "bar.high > book",
        "tests/execution/test_paper.py::test_a_stop_fills_at_the_worse_of_open_and_stop",
    ),
    Named(
        "a stop at exactly the close is not hit",
        "nn_assets/portfolio/book.py",
        "(price - self.stop_price) <= 0.0",
        "(price - self.stop_price) < 0.0",
        "tests/portfolio/test_book.py::test_a_close_at_or_beyond_the_stop_blocks_the_side_where_only_closes_trade",
    ),
    Named(
        "a verdict that does not allow trading is passed over",
        "nn_assets/session/daily_round.py",
        "verdict_allows=facts.controls.allow(without_verdict=strategy.trade_without_verdict)",
        "verdict_allows=True",
        "tests/session/test_controls_act.py::test_a_verdict_that_does_not_allow_trading_opens_nothing_unless_the_strategy_trades_without",
    ),
    Named(
        "a refresh that is awaited leaves the size as it is",
        "nn_assets/session/daily_round.py",
        "trading_state=stricter_state(session_state.trading.state, refresh)",
        "trading_state=session_state.trading.state",
        "tests/session/test_controls_act.py::test_a_refresh_asked_for_halves_the_size_until_another_model_decides",
    ),
    Named(
        "data are stale only where every close is missing",
        "nn_assets/session/market_view.py",
        "return float(stale[seen].mean())",
        "return float(missing[seen].all())",
        "tests/session/test_controls_act.py::test_more_than_half_of_a_panel_without_a_fresh_price_halts",
    ),
    Named(
        "a bar that repeats the one before is fresh",
        "nn_assets/session/market_view.py",
        "missing | self.repeated",
        "missing",
        "tests/session/test_controls_act.py::test_more_than_half_of_a_panel_without_a_fresh_price_halts",
    ),
    Named(
        "the covariance is that of one session",
        "nn_assets/portfolio/by_programme.py",
        "factor_covariance(returns, inputs.horizon_sessions, ",
        "factor_covariance(returns, 1, ",
        "tests/portfolio/test_by_programme.py::test_the_covariance_is_that_of_a_session_times_the_horizon",
    ),
    Named(
        "shorts cost no fee in the programme",
        "nn_assets/portfolio/by_programme.py",
        "short_fee=facts.short_fee",
        "short_fee=0.0",
        "tests/portfolio/test_by_programme.py::test_a_short_earns_its_return_less_its_fee",
    ),
    Named(
        "what is borrowed costs no fee in the programme",
        "nn_assets/portfolio/by_programme.py",
        "margin_fee=facts.margin_fee",
        "margin_fee=0.0",
        "tests/portfolio/test_by_programme.py::test_nothing_is_borrowed_at_a_fee_above_what_it_earns",
    ),
    Named(
        "the signal on record is the one before the programme read it",
        "nn_assets/session/daily_round.py",
        "direction=self.decision.direction, expected_return=mean",
        "direction=self.signals.direction",
        "tests/session/test_programme_facts.py::test_a_signal_on_record_has_the_side_and_the_return_that_its_position_was_decided_by",
    ),
)

NAMED_FILES = tuple(sorted({fault.file for fault in NAMED}))
