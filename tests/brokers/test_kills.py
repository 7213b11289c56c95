"""Exactly once: a driver that is killed at random moments, at a venue that lies, against the venue's own journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers.alpaca_account import KEY, KEY_SECRET
from tests.brokers.kills import opened, play
from tests.sources.secrets import SECRET


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(KEY_SECRET, SECRET)


def test_a_day_of_kills_doubles_no_order_and_loses_and_invents_no_fill(tmp_path: Path) -> None:
    with opened(tmp_path, seed=3) as world:
        play(world, 5)
    assert world.outcomes["killed"]
    assert world.liar.counts


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_kills_of_each_seed_double_no_order_and_lose_and_invent_no_fill(tmp_path: Path, seed: int) -> None:
    with opened(tmp_path, seed) as world:
        print(play(world, 100))
