"""Replays say how far they are and how long the rest takes, across estimators and across studies."""

from __future__ import annotations

from nn_assets.operations.replay_pace import ReplayPace


def test_a_share_and_the_time_left_are_told_every_half_minute_over_all_studies() -> None:
    moment, heard = [0.0], []
    pace = ReplayPace(heard.append, 2, clock=lambda: moment[0])
    for _ in range(2):
        for played in range(1, 101):
            moment[0] += 3.0
            pace(played, 100)
    # 200 rounds of 3 seconds; a line each 30 seconds, none at the end
    assert len(heard) == 19
    assert heard[0] == "replayed 5%; about 10 minutes left"  # 570 s are 9.5
    assert heard[9] == "replayed 50%; about 5 minutes left"
    assert heard[-1].startswith("replayed 95%")


def test_what_takes_less_than_half_a_minute_says_nothing() -> None:
    heard: list[str] = []
    pace = ReplayPace(heard.append, clock=lambda: 0.0)
    for played in range(1, 101):
        pace(played, 100)
    assert not heard
