"""The page that lists all others: strategies, and the studies, comparisons, data docs and sessions of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nn_assets.errors import PublicationError
from nn_assets.operations.catalog import read_strategies
from nn_assets.oversight.headline import Headline
from nn_assets.reports.page import KILL_SWITCH_PATH, render
from nn_assets.store.home import page_address, reports_root
from nn_assets.store.lake.files import read_record
from nn_assets.store.ledger.ledger import Ledger

_NEWEST_SESSIONS = 3  # shown unfolded, so that every strategy's state stays in sight; earlier ones are folded
_PAGE = re.compile(r"(?P<strategy>[a-z][a-z0-9_]*)-(?P<kind>study|data-docs|networks|\d{4}-\d{2}-\d{2})\.html")
_DEMO, _DEMO_NETWORKS = "demo.html", "demo-networks.html"


@dataclass
class _Strategy:
    """Addresses of what was written of one strategy; empty where nothing was."""

    name: str
    description: str = ""
    headline: Headline | None = None
    newest_session: str = ""
    study: str = ""
    verdict: str = ""
    data_docs: str = ""
    networks: str = ""  # where they were compared
    sessions: list[tuple[str, str]] = field(default_factory=list)  # (session, address), the newest first
    summaries: Mapping[str, str] = field(default_factory=dict)  # how a session ended, where it is on record


def session_summaries(ledger: Ledger, strategy: str) -> dict[str, str]:
    """How each decided session ended, by its day as YYYY-MM-DD: equity, fills and what drift said."""
    equity, drift = (
        ledger.read(table, strategy, columns=("session", value)).set_index("session")[value]
        for table, value in (("portfolio_states", "equity_usd"), ("trading_states", "state"))
    )
    filled = ledger.read("fills", strategy, columns=("session",))["session"].value_counts()
    fills = {day: int(filled.get(day, 0)) for day in equity.index}
    return {
        str(day.date()): f"equity {usd:,.0f} USD, {fills[day]} fill{'s' * (fills[day] != 1)}, "
        f"drift says {drift.get(day, '-')}"
        for day, usd in zip(equity.index, equity, strict=True)
    }


def index_page(
    states: Mapping[str, Mapping[str, object]],
    fault: str = "",
    summaries: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """List the pages in the reports' folder by strategy, with those that can be read and have no page yet.

    Parameters
    ----------
    states : mapping of strategy to mapping
        The state of each: ``headline``, its first line, and, once a session was decided, ``decided_to``.
    fault : str
        Why ``states`` are not known, where they are not; shown above everything.
    summaries : mapping of strategy to mapping, optional
        How its sessions ended, as :func:`session_summaries` gives it.
    """
    readable, _ = read_strategies()
    strategies = {entry.strategy.name: _Strategy(entry.strategy.name, entry.strategy.description) for entry in readable}
    for file in sorted(reports_root().glob("*.html"), reverse=True):
        if file.name != _DEMO_NETWORKS and (named := _PAGE.fullmatch(file.name)):
            _add(strategies.setdefault(named["strategy"], _Strategy(named["strategy"])), named["kind"], file)
    for name, state in states.items():
        strategy = strategies.setdefault(name, _Strategy(name))
        strategy.headline = Headline.of(name, str(state["headline"]))
        strategy.newest_session = str(state.get("decided_to") or "")
    for name, lines in (summaries or {}).items():
        strategies.setdefault(name, _Strategy(name)).summaries = lines
    demo, demo_networks = page_file(_DEMO), page_file(_DEMO_NETWORKS)
    return render(
        "index.html",
        title="nn_assets reports",
        strategies=list(strategies.values()),
        demo=page_address(demo) if demo else "",
        demo_networks=page_address(demo_networks) if demo_networks else "",
        newest=_NEWEST_SESSIONS,
        fault=fault,
        kill_switch=KILL_SWITCH_PATH,
    )


def strategy_of(file: Path) -> str | None:
    """The strategy that a page is of, by its name; None of a page that is of none, or of several."""
    named = _PAGE.fullmatch(file.name)
    return None if named is None or file.name == _DEMO_NETWORKS else named["strategy"]


def page_file(name: str) -> Path | None:
    """File of a page by its name in the reports' folder; None where there is none."""
    file = reports_root() / name
    try:
        return file if file.parent == reports_root() and file.suffix == ".html" and file.is_file() else None
    except OSError:  # no file can have that name
        return None


def _add(strategy: _Strategy, kind: str, file: Path) -> None:
    if kind == "study":
        strategy.study, strategy.verdict = page_address(file), _verdict(file)
    elif kind == "data-docs":
        strategy.data_docs = page_address(file)
    elif kind == "networks":
        strategy.networks = page_address(file)
    else:
        strategy.sessions.append((kind, page_address(file)))


def _verdict(study: Path) -> str:
    """The verdict that was kept beside a study's page."""
    try:
        kept = read_record(study.with_suffix(".json")) or {}
    except PublicationError:
        kept = {}
    return str(kept.get("verdict", {}).get("kind", "")) or "no verdict kept"
