"""A Great Expectations suite over the data set as a whole, and its Data Docs as one page.

The library is handed small tables (:class:`~nn_assets.market.quality.overview.Overview`), never the bars;
its context lives in memory, and it sends no telemetry. What it finds stops nothing by itself.
"""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import ModuleType
from typing import Any

import pandas as pd

from nn_assets.errors import GateHalted, first_of
from nn_assets.market.quality.overview import Overview
from nn_assets.reports.page import render
from nn_assets.settings import GateSettings

SUITES = {
    "usual_volume": "Every recent session has about as many bars as the year before.",
    "complete_symbols": "No symbol lacks more of its bars, from its first one on, than "
    "gate.max_missing_sessions_fraction allows.",
    "fresh_symbols": "No symbol's newest bar is older than gate.max_stale_sessions allows.",
    "usual_distribution": "Of nearly all symbols, volumes and returns of the last month look like those of the year "
    "before.",
}
TITLES = {"usual_volume": "usual number of bars"}
"""What users read in place of a suite's name, which is stored, where that name misleads."""
_REMEDIES = {
    "usual_volume": "ask the source for the bars missing, or see which symbols came or went",
    "complete_symbols": "complete the symbols named at the source, or take them off market.symbols",
    "fresh_symbols": "ask the source for the symbols named; a delisted one leaves market.symbols",
    "usual_distribution": "compare the symbols named with another source: a unit, a split, a feed at a standstill",
}
_MOST_LINES = 50
_DIGITS = 6  # shown, and so judged
# The library numbers its HTML elements at random; a page of the same results is the same page.
_RANDOM_ID = re.compile(r"-?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class SuiteResult:
    """One suite's outcome: one property of the data set.

    Attributes
    ----------
    name : str
        A key of ``SUITES``.
    passed : bool
    detail : str
        How many expectations hold, in a sentence.
    violations : tuple of str
        One line each: symbol or session, rule, value; at most 50.
    remedy : str
        What a person can do where it does not hold.
    sections : tuple of str
        HTML of the library's own making, one per column.
    """

    name: str
    passed: bool
    detail: str
    violations: tuple[str, ...]
    remedy: str
    sections: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name, as users read it."""
        return TITLES.get(self.name, self.name)


def validate_overview(overview: Overview, settings: GateSettings) -> tuple[SuiteResult, ...]:
    """Hold the aggregates against the strategy's limits, suite by suite, in the order of ``SUITES``.

    Values that are NaN (too few to compare) break nothing; a suite with no other value is no pass.

    Raises
    ------
    GateHalted
        The library failed on a suite: nothing can be said of the data set.
    """
    library = _library()
    kinds = library.data_context.types.base
    in_memory = kinds.DataContextConfig(
        store_backend_defaults=kinds.InMemoryStoreBackendDefaults(),
        progress_bars={"globally": False},
        analytics_enabled=False,
    )
    context = library.get_context(mode="ephemeral", project_config=in_memory)
    source = context.data_sources.add_pandas("bars")
    results = []
    for name, (frame, key, expectations) in _suites(library.expectations, overview, settings).items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("newest")
        suite = library.ExpectationSuite(name=name, expectations=expectations)
        shown = {"result_format": "COMPLETE", "unexpected_index_column_names": [key]} if key else "SUMMARY"
        # Symbols are data: the library writes them into its pages as they are.
        table = frame.assign(**{key: [html.escape(str(value)) for value in frame[key]]}) if key else frame
        try:
            validated = batch.get_batch({"dataframe": table}).validate(suite, result_format=shown)
        except Exception as error:
            raise _failed(name, f"{type(error).__name__}: {error}") from error
        result = _result(name, validated, key, table)
        if name == "usual_volume" and result.violations:
            result = _counted(result, overview.sessions)
        if name == "complete_symbols":
            result = replace(result, detail=result.detail + _not_there(overview.symbols))
        results.append(result)
    return tuple(results)


def _counted(result: SuiteResult, sessions: pd.DataFrame) -> SuiteResult:
    """Sessions of too few or too many bars, each with how many it has of how many are usual."""
    counts = {row.session: f"{row.bars:,} of {row.usual_bars:,g} bars" for row in sessions.itertuples()}
    named = [day for line in result.violations if (day := line.partition(": ")[0]) in counts]
    lines = tuple(f"{day}: {result.title}, {counts[day]}" for day in named)
    detail = f"{result.detail}: {', '.join(first_of([f'{day} {counts[day]}' for day in named]))}"
    return replace(result, detail=detail, violations=lines)


def _not_there(symbols: pd.DataFrame) -> str:
    """How many bars are due and not clean, and of whom, most first; nothing of none."""
    absent = (symbols["due"] - symbols["clean"]).set_axis(symbols["symbol"])
    absent = absent[absent > 0].sort_values(ascending=False, kind="stable")
    if absent.empty:
        return ""
    named = ", ".join(first_of([f"{symbol} {bars:,}" for symbol, bars in absent.items()]))
    return f"; {int(absent.sum()):,} of {int(symbols['due'].sum()):,} bars are not there: {named}"


@lru_cache(maxsize=1)
def _library() -> ModuleType:
    """Great Expectations, which takes seconds to import: only who needs it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations
        import great_expectations.render.renderer.page_renderer
        import great_expectations.render.view
    return great_expectations


@lru_cache(maxsize=1)
def _section_view() -> Any:
    """The library's view of a section. Each one compiles its templates anew, so that one serves a whole process."""
    return _library().render.view.DefaultJinjaSectionView()


def _suites(
    expect: Any, overview: Overview, settings: GateSettings
) -> dict[str, tuple[pd.DataFrame, str, Sequence[object]]]:
    """Each suite's table, the column that names its rows, and its expectations."""
    symbols, sessions = overview.symbols.round(_DIGITS), overview.sessions.round(_DIGITS)
    ratio, mostly = settings.usual_ratio_limit, settings.usual_symbols_fraction
    between = expect.ExpectColumnValuesToBeBetween
    some = settings.max_missing_symbols_fraction
    limits = {"min_value": 1.0 / ratio, "max_value": ratio, "mostly": mostly}
    changed = [between(column=column, **limits) for column in ("volume_ratio", "volatility_ratio")]
    shift = float(overview.returns["shift"].sum()) if len(overview.returns) else float("nan")
    allowed = round(settings.usual_shift_limit + overview.shift_noise, _DIGITS)
    return {
        "usual_volume": (sessions, "session", [between(column="share", min_value=1.0 - some, max_value=1.0 + some)]),
        "complete_symbols": (
            symbols,
            "symbol",
            [between(column="completeness", min_value=1.0 - settings.max_missing_sessions_fraction)],
        ),
        "fresh_symbols": (
            symbols,
            "symbol",
            [between(column="sessions_behind", max_value=settings.max_stale_sessions)],
        ),
        "usual_distribution": (
            pd.concat([symbols, pd.DataFrame({"symbol": ["all"], "return_shift": [shift]})], ignore_index=True),
            "symbol",
            [*changed, between(column="return_shift", max_value=allowed)],
        ),
    }


def _result(name: str, validated: Any, key: str, table: pd.DataFrame) -> SuiteResult:
    lines: list[str] = []
    columns = [result.expectation_config.kwargs["column"] for result in validated.results]
    silent = [column for column in columns if column in table and not table[column].notna().any()]
    for result in validated.results:
        raised = [info for info in _exceptions(result.exception_info) if info.get("raised_exception")]
        if raised:
            raise _failed(name, str(raised[0].get("exception_message")))
        if not result.success:
            column = result.expectation_config.kwargs["column"]
            lines.extend(
                f"{html.unescape(str(row[key]))}: {name}, {column} {row[column]:.6g}"
                for row in result.result.get("unexpected_index_list") or ()
            )
    held, evaluated = (validated.statistics[which] for which in ("successful_expectations", "evaluated_expectations"))
    detail = f"{held} of {evaluated} expectations met" + (
        f"; values beyond their limits: {len(lines)}" if lines else ""
    )
    if silent:
        detail += f"; nothing to compare in {', '.join(silent)}"
    compared = len(silent) < len(columns)
    if not compared:
        detail = f"nothing to compare: too few bars for {', '.join(silent)}"
    passed, named = bool(validated.success) and compared, tuple(lines[:_MOST_LINES])
    return SuiteResult(name, passed, detail, named, _REMEDIES[name], _sections(validated))


def _exceptions(exception_info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What an expectation raised: the library gives one record, or one per metric."""
    return (
        [exception_info]
        if "raised_exception" in exception_info
        else [record for record in exception_info.values() if isinstance(record, Mapping)]
    )


def _sections(validated: Any) -> tuple[str, ...]:
    renderer = _library().render.renderer.page_renderer.ValidationResultsPageRenderer()
    page = renderer.render(validated).to_json_dict()
    view = _section_view()
    own = {result.expectation_config.kwargs["column"] for result in validated.results}
    return tuple(
        _RANDOM_ID.sub("", view.render({"section": section, "section_loop": {"index": number}}))
        for number, section in enumerate(page["sections"])
        if section["section_name"] in own
    )


def _failed(suite: str, found: str) -> GateHalted:
    return GateHalted(
        expected=f"Great Expectations to evaluate the suite {suite}",
        found=" ".join(found.split())[:500],
        remedy="see the bars and limits it was given; the last published data stay in force until it can",
        rule=suite,
    )


def data_docs_page(
    title: str,
    facts: Sequence[tuple[str, str]],
    results: Sequence[SuiteResult],
    overview: Overview,
    notes: Sequence[str],
) -> str:
    """Write the Data Docs as one HTML text that needs no other file and no network.

    Parameters
    ----------
    title : str
    facts : sequence of (what, value)
        Shown on top.
    results : sequence of SuiteResult
    overview : Overview
        Its tables follow the suites.
    notes : sequence of str
        What the gate says: one line per check.
    """
    return render(
        "data_docs.html",
        title=title,
        facts=facts,
        results=results,
        descriptions=SUITES,
        notes=notes,
        symbols=overview.symbols.sort_values(
            ["completeness", "sessions_behind", "symbol"], ascending=[True, False, True], kind="stable"
        ).to_dict("records"),
        sessions=overview.sessions.iloc[::-1].to_dict("records"),
        returns=overview.returns.to_dict("records"),
    )
