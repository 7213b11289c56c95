"""Great Expectations over the data set: what breaks which suite, and a page that needs nobody else."""

from __future__ import annotations

import html
import re
import socket
import tempfile

import jinja2
import pandas as pd
import pytest

from nn_assets.errors import GateHalted
from nn_assets.market.quality.cleaning import clean
from nn_assets.market.quality.overview import Overview, overview
from nn_assets.reports import expectations
from nn_assets.reports.expectations import SUITES, TITLES, SuiteResult, data_docs_page, validate_overview
from nn_assets.settings import CleaningSettings, GateSettings
from tests.market.builders import CALENDAR, sound_bars

SYMBOLS = tuple(f"S{number:02d}" for number in range(12))
BARS = sound_bars(SYMBOLS, count=320)
SESSIONS = pd.DatetimeIndex(BARS["session"].unique())


def seen(bars: pd.DataFrame, symbols: tuple[str, ...] = SYMBOLS) -> Overview:
    return overview(clean(bars, CALENDAR, CleaningSettings()), symbols, SESSIONS)


def broken(results: tuple[SuiteResult, ...]) -> dict[str, tuple[str, ...]]:
    return {result.name: result.violations for result in results if not result.passed}


def without_last(symbols: tuple[str, ...], sessions: int) -> pd.DataFrame:
    return BARS[~(BARS["symbol"].isin(symbols) & BARS["session"].isin(SESSIONS[-sessions:]))]


def test_a_sound_data_set_meets_every_suite() -> None:
    results = validate_overview(seen(BARS), GateSettings())
    assert tuple(result.name for result in results) == tuple(SUITES)
    assert broken(results) == {}
    assert [result.detail for result in results] == [
        *["1 of 1 expectations met"] * 3,
        "3 of 3 expectations met",
    ]


@pytest.mark.full
def test_the_librarys_templates_are_compiled_once_and_a_second_review_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = validate_overview(seen(BARS), GateSettings())
    monkeypatch.setattr(jinja2.Environment, "compile", lambda *_, **__: pytest.fail("compiled again"))
    assert validate_overview(seen(BARS), GateSettings()) == first


@pytest.mark.full
def test_a_history_too_short_to_compare_is_no_pass() -> None:
    short = BARS[BARS["session"] >= SESSIONS[-15]]
    results = {
        result.name: result
        for result in validate_overview(
            overview(clean(short, CALENDAR, CleaningSettings()), SYMBOLS, SESSIONS[-15:]), GateSettings()
        )
    }
    assert not results["usual_distribution"].passed
    assert results["usual_distribution"].detail.startswith("nothing to compare")
    assert results["fresh_symbols"].passed


@pytest.mark.full
def test_an_old_symbol_is_named_with_its_age() -> None:
    failures = broken(validate_overview(seen(without_last(("S03",), 2)), GateSettings()))
    assert failures == {"fresh_symbols": ("S03: fresh_symbols, sessions_behind 2",)}
    assert not broken(validate_overview(seen(without_last(("S03",), 2)), GateSettings(max_stale_sessions=2)))


@pytest.mark.full
def test_an_incomplete_symbol_is_named_with_its_share() -> None:
    gaps = BARS.drop(index=range(320 + 100, 320 + 132))
    failures = broken(validate_overview(seen(gaps), GateSettings()))
    assert failures == {"complete_symbols": ("S01: complete_symbols, completeness 0.9",)}
    assert not broken(validate_overview(seen(gaps), GateSettings(max_missing_sessions_fraction=0.1)))


def test_a_few_missing_bars_are_told_where_the_suite_holds() -> None:
    """ "Every symbol has its bars from its first one on: yes" stood beside six that were missing."""
    gaps = BARS.drop(index=[*range(320 + 100, 320 + 104), 640 + 50, 640 + 51])
    (complete,) = [
        result for result in validate_overview(seen(gaps), GateSettings()) if result.name == "complete_symbols"
    ]
    assert complete.passed
    assert complete.detail == "1 of 1 expectations met; 6 of 3,840 bars are not there: S01 4, S02 2"
    assert "gate.max_missing_sessions_fraction" in SUITES["complete_symbols"]
    assert "gate.max_stale_sessions" in SUITES["fresh_symbols"]


def test_a_session_with_fewer_bars_than_usual_is_named_with_both_counts() -> None:
    """It was "usual_volume, share 0.833333", which reads as of shares traded; the detail named no session."""
    results = validate_overview(seen(without_last(("S03", "S04"), 1)), GateSettings(max_stale_sessions=1))
    day = f"{SESSIONS[-1]:%F}"
    assert broken(results) == {"usual_volume": (f"{day}: usual number of bars, 10 of 12 bars",)}
    (result,) = [result for result in results if not result.passed]
    assert result.detail == f"0 of 1 expectations met; values beyond their limits: 1: {day} 10 of 12 bars"


@pytest.mark.full
def test_volumes_unlike_the_year_before_are_named_when_there_are_too_many() -> None:
    bars = BARS.copy()
    bars.loc[bars["symbol"].isin(("S00", "S07")) & bars["session"].isin(SESSIONS[-20:]), "volume"] *= 9.0
    (name, lines), *others = broken(validate_overview(seen(bars), GateSettings())).items()
    assert (name, others) == ("usual_distribution", [])
    assert [line.rsplit(" ", 1)[0] for line in lines] == [
        f"{s}: usual_distribution, volume_ratio" for s in ("S00", "S07")
    ]
    assert not broken(validate_overview(seen(bars), GateSettings(usual_symbols_fraction=0.8)))
    assert not broken(validate_overview(seen(bars), GateSettings(usual_ratio_limit=12.0)))


@pytest.mark.full
def test_returns_unlike_the_year_before_are_told_for_all_symbols_together() -> None:
    bars = BARS.copy()
    swings = bars["session"].isin(SESSIONS[-20::2])
    bars.loc[swings, ["open", "high", "low", "close"]] *= 1.03
    failures = broken(validate_overview(seen(bars), GateSettings(usual_ratio_limit=50.0)))
    assert [line.rsplit(" ", 1)[0] for line in failures["usual_distribution"]] == [
        "all: usual_distribution, return_shift"
    ]
    assert not broken(validate_overview(seen(bars), GateSettings(usual_ratio_limit=50.0, usual_shift_limit=9.0)))


@pytest.mark.full
def test_what_is_too_short_to_compare_breaks_nothing() -> None:
    short = overview(clean(BARS[BARS["session"] <= SESSIONS[30]], CALENDAR, CleaningSettings()), (), SESSIONS[:31])
    assert all(lines == () for lines in broken(validate_overview(short, GateSettings())).values())


@pytest.mark.full
@pytest.mark.parametrize("symbols", [(), SYMBOLS])
def test_where_nothing_is_left_every_symbol_expected_is_named(symbols) -> None:
    results = validate_overview(seen(BARS.iloc[:0], symbols), GateSettings())
    failures = {name: lines for name, lines in broken(results).items() if lines}
    assert set(failures) == ({"complete_symbols", "fresh_symbols"} if symbols else set())
    assert all(len(lines) == len(symbols) for lines in failures.values())
    silent = {result.name for result in results if result.detail.startswith("nothing to compare")}
    assert silent == (
        {"usual_distribution"} if symbols else {"complete_symbols", "fresh_symbols", "usual_distribution"}
    )


def test_when_the_library_fails_the_audit_is_not_complete() -> None:
    summary = seen(BARS)
    torn = Overview(
        summary.symbols.drop(columns="completeness"), summary.sessions, summary.returns, summary.shift_noise
    )
    with pytest.raises(GateHalted, match=r"complete_symbols.*completeness"):
        validate_overview(torn, GateSettings())


@pytest.mark.full
def test_nothing_is_sent_nobody_is_asked_and_no_folder_is_left(monkeypatch, tmp_path) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    contexts = []
    library = expectations._library()
    original = library.get_context
    monkeypatch.setattr(library, "get_context", lambda **options: contexts.append(original(**options)) or contexts[-1])
    page(seen(BARS))
    assert [context.variables.analytics_enabled for context in contexts] == [False]
    assert list(tmp_path.iterdir()) == []


def page(summary: Overview) -> str:
    results = validate_overview(summary, GateSettings())
    return data_docs_page("Mine", [("Bars", "1")], results, summary, ["schema: bars keep their contract"])


@pytest.mark.full
def test_the_page_needs_no_other_file_and_no_network_and_repeats_to_the_byte() -> None:
    summary = seen(without_last(("S03",), 2))
    text = page(summary)
    assert re.findall(r"https?://|<script|<link rel=\"style|src=", text) == []
    assert text == page(summary)
    for expected in (
        "Mine",
        *(TITLES.get(name, name) for name in SUITES),
        "S03",
        "schema: bars keep their contract",
        "sessions_behind",
    ):
        assert expected in text
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert links >= {name.replace("_", "-") for name in SUITES}
    assert links <= set(re.findall(r'id="([^"]+)"', text)) | {link for link in links if "collapse" in link}


@pytest.mark.full
def test_a_symbol_cannot_write_into_the_page() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    bars = without_last(("S03",), 2)
    bars["symbol"] = bars["symbol"].replace("S03", hostile)
    summary = seen(bars, tuple(hostile if symbol == "S03" else symbol for symbol in SYMBOLS))
    text = page(summary)
    assert "<img" not in text
    assert text.count(html.escape(hostile)) >= 2
    assert broken(validate_overview(summary, GateSettings()))["fresh_symbols"] == (
        f"{hostile}: fresh_symbols, sessions_behind 2",
    )


@pytest.mark.full
def test_only_small_tables_reach_the_library_however_many_bars_there_are(monkeypatch) -> None:
    rows = []
    suites = expectations._suites
    monkeypatch.setattr(
        expectations,
        "_suites",
        lambda *arguments: {
            name: (rows.append(len(suite[0])), suite)[1]
            for name, suite in suites(*arguments).items()  # type: ignore[func-returns-value]
        },
    )
    validate_overview(seen(BARS), GateSettings())
    assert rows == [20, len(SYMBOLS), len(SYMBOLS), len(SYMBOLS) + 1]
