"""How far the replays of a study or a comparison are, told now and then with what is left."""

from __future__ import annotations

import time
from collections.abc import Callable

from nn_assets.operations.models.training import time_left


class ReplayPace:
    """Tells, at most once in ``every`` seconds, which share of all replays is played and how long the rest takes.

    Parameters
    ----------
    tell : callable
        Hears each line.
    studies : int
        How many studies are replayed one after another, each as long as the first.
    clock : callable
        Seconds, never going back.
    every : float
        Seconds between two lines.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        studies: int = 1,
        *,
        clock: Callable[[], float] = time.monotonic,
        every: float = 30.0,
    ) -> None:
        self._tell, self._studies, self._clock, self._every = tell, studies, clock, every
        self._began = self._last_line_at = clock()
        self._ended = 0  # studies

    def __call__(self, played: int, of: int) -> None:
        """So many rounds of a study's are played."""
        now, share = self._clock(), (self._ended + played / of) / self._studies
        self._ended += played == of
        if now - self._last_line_at < self._every or share >= 1.0:
            return
        self._last_line_at = now
        self._tell(f"replayed {share:.0%}{time_left((now - self._began) * (1.0 - share) / share)}")
