"""A leak alarm that looks on record left standing, for whoever looks at the same data next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class StandingAlarm:
    """A figure that was too good to be true at a look, and that nobody released since.

    It stands for the strategy and its data, whatever the settings: a leak is in the data or in the code.

    Parameters
    ----------
    name : str
        Estimator and figure, 'network rank IC': what a person releases.
    finding : str
        What was found, in words.
    month : str
        'YYYY-MM', at whose end the look was taken.
    trial_id : str
        The configuration whose figure it is; empty: the one that is judged.
    figure : float or None
        By how much it was above chance, as :func:`~nn_assets.evaluation.verdict.size_of` takes it; None where that is
        not on record.
    of_other_settings : bool
        Whether the configuration is another one than that judged.
    """

    name: str
    finding: str
    month: str
    trial_id: str = ""
    figure: float | None = None
    of_other_settings: bool = False

    @property
    def sentence(self) -> str:
        """What was found, and since when it stands."""
        others = ", of other settings" if self.of_other_settings else ""
        return f"{self.finding} (since the look of {self.month}{others})"


def first_of_each_name(alarms: Iterable[StandingAlarm]) -> dict[str, StandingAlarm]:
    """By name the first of some alarms."""
    first: dict[str, StandingAlarm] = {}
    for alarm in alarms:
        first.setdefault(alarm.name, alarm)
    return first
