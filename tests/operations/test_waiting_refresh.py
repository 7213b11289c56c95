"""A refresh that drift asked for and nothing serves is named where an operator looks, with what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.operations.asof.refreshes import DRIFT_ASKS, REFRESH_REFUSED, REFRESH_TAKEN
from nn_assets.operations.clock import now_utc
from nn_assets.operations.names import DRIFT_REFRESH
from nn_assets.operations.outcomes import SKIPPED, record_heartbeat, record_tick
from nn_assets.operations.waiting_refresh import waits_now, waits_on_page
from nn_assets.oversight.headline import Situation, headline
from nn_assets.settings import PortfolioSettings, Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.first_lines import in_one_sentence
from tests.orchestration.conftest import living_in

ASKED, LATER, LAST = (pd.Timestamp(day) for day in ("2026-11-02", "2026-11-20", "2026-12-31"))
DETAILS = {"refresh": {"asked": str(ASKED.date()), "model_id": "m", "quiet": 0, "cooldown_left": 3}}
STRATEGY = Strategy.model_validate(
    {"name": "mine", "market": {"history_starts": "2014-01-02", "history_ends": str(LAST.date())}}
)


@pytest.fixture(scope="module")
def asked_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which drift asked for a refresh. Read it; never write to it."""
    home = tmp_path_factory.mktemp("asked") / "home"
    with living_in(home), Ledger() as opened:
        asks = {"event_id": "a", "session": ASKED, "cause": DRIFT_ASKS, "details": {"reasons": []}}
        opened.append("refresh_requests", [asks], run_id="test", strategy="mine")
    return home


@pytest.fixture
def ledger(asked_home: Path, tmp_path: Path) -> Iterator[Ledger]:
    with living_in(Path(shutil.copytree(asked_home, tmp_path / "home"))), Ledger() as opened:
        yield opened


def said_now(ledger: Ledger, session: pd.Timestamp = LATER) -> str:
    waits = waits_now(ledger, STRATEGY, session, DETAILS)
    faults = () if waits is None else (waits[1],)
    situation = Situation("mine", PortfolioSettings(), "2026-11-20", verdict_allows=True, to_hold=1, symbols=4)
    said = headline(Situation(**{**vars(situation), "faults": faults}))
    return in_one_sentence(said).split("2026-11-20; ")[-1]


def test_without_a_daemon_the_headline_names_the_request_and_the_command(ledger: Ledger) -> None:
    assert said_now(ledger) == (
        "nothing has carried out the refresh asked for on 2026-11-02: the daemon was never heard from. A person is "
        "needed: nn-assets ui, then switch mine__drift_refresh on in it, under Automation."
    )
    assert "No action needed" in said_now(ledger, LAST)  # no session follows that another model could decide


def test_with_a_daemon_the_sensor_is_named_and_nothing_once_it_is_on(ledger: Ledger) -> None:
    record_heartbeat(ledger)
    assert said_now(ledger) == (
        "nothing has carried out the refresh asked for on 2026-11-02: drift_refresh is off, never heard from. A person "
        "is needed: switch mine__drift_refresh on in the UI, under Automation."
    )
    record_tick(ledger, "mine", DRIFT_REFRESH, SKIPPED, "no drift event")
    assert "No action needed" in said_now(ledger)


def test_a_request_that_was_answered_asks_nobody_for_anything(ledger: Ledger) -> None:
    before = now_utc()
    assert waits_on_page(ledger, STRATEGY, ASKED, DETAILS, before) == ()  # a refresh takes force on the next session
    assert waits_on_page(ledger, STRATEGY, LATER, {}, before) == ()
    assert len(waits_on_page(ledger, STRATEGY, LATER, DETAILS, before)) == 1
    for cause in (REFRESH_REFUSED, REFRESH_TAKEN):
        answer = {"event_id": cause, "session": ASKED, "cause": cause, "details": {}}
        ledger.append("refresh_requests", [answer], run_id="test", strategy="mine")
        assert waits_now(ledger, STRATEGY, LATER, DETAILS) is None
    assert waits_on_page(ledger, STRATEGY, LATER, DETAILS, now_utc()) == ()
    assert len(waits_on_page(ledger, STRATEGY, LATER, DETAILS, before)) == 1  # as that session knew it
