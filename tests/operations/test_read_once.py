"""Each stored thing is read once: by a session's view, and by the steps of one run."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import History, open_history
from nn_assets.orchestration.resources import StoresResource
from nn_assets.store.lake.lake import Lake
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.test_as_known import CUT, Lived, strategy
from tests.orchestration.conftest import living_in


@pytest.fixture
def home(ends_before: Lived, tmp_path: Path) -> Iterator[Path]:
    folder = Path(shutil.copytree(ends_before.home, tmp_path / "home"))
    with living_in(folder):
        yield folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, ...]]:
    """How often each table is read, with what is asked for, and how often a ledger is opened."""
    counted: Counter[tuple[str, ...]] = Counter()

    def counting(of: type, name: str, key: Callable[..., tuple[str, ...]]) -> None:
        plain = getattr(of, name)

        def call(self: object, *args: object, **named: object) -> object:
            counted[key(*args, **named)] += 1
            return plain(self, *args, **named)

        monkeypatch.setattr(of, name, call)

    def what_is_read(table: str, *_: object, where: dict[str, str] | None = None, **__: object) -> tuple[str, ...]:
        return (table, *(where.get("kind", name) for name in where or ()))  # type: ignore[union-attr]

    counting(Ledger, "read", what_is_read)
    counting(Ledger, "__init__", lambda *_, **__: ("a ledger opened",))
    counting(Lake, "read_segments", lambda strategy, table, **_: (table,))
    counting(Lake, "read_table", lambda strategy, table, *_: (table,))
    return counted


@pytest.mark.usefixtures("home")
def test_a_decision_reads_models_and_controls_once(reads: Counter[tuple[str, ...]]) -> None:
    with open_history(strategy()) as history:
        done = decide_session(history, pd.Timestamp(CUT), "again")
        assert done.already_decided
        assert (reads["models",], reads[RAW_BARS,]) == (1, 1)
        view = history.view(pd.Timestamp(CUT))
        reads.clear()
        assert view.model_id == view.models.on(view.session)
        assert view.controls.kill_switch == view.controls.kill_switch_before_fill == "ACTIVE"
        assert (reads["models",], reads["controls", "kill_switch"]) == (1, 1)


@pytest.mark.usefixtures("home")
def test_the_steps_of_a_run_share_one_ledger_and_what_does_not_change(reads: Counter[tuple[str, ...]]) -> None:
    def bars_of(history: History) -> int:
        assert history.action_versions is not None
        return len(history.raw_versions)

    @dg.op(out={"bars": dg.Out(int)})
    def one(stores: StoresResource) -> Iterator[dg.Output[int]]:
        with stores.history(strategy()) as history:
            yield dg.Output(bars_of(history), "bars")

    @dg.op
    def two(stores: StoresResource, bars: int) -> None:
        with stores.history(strategy()) as history:
            assert bars_of(history) == bars > 0
            last = history.raw_versions.tail(1).reset_index(drop=True)
            history.stores.lake.append_segment("known", RAW_BARS, last)
        with stores.history(strategy()) as history:  # what was added since is there
            assert bars_of(history) == bars + 1

    @dg.job(resource_defs={"stores": StoresResource()})
    def both() -> None:
        two(one())

    with dg.DagsterInstance.ephemeral() as instance:
        both.execute_in_process(instance=instance)
    assert (reads["a ledger opened",], reads[RAW_BARS,], reads["actions",]) == (1, 2, 1)
