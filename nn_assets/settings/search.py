"""What a search may vary, within which ranges, how often, and at which budget stated beforehand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from nn_assets.errors import did_you_mean
from nn_assets.settings.section import Section, WhenSet
from nn_assets.settings.sections import Count, Days, FeatureSettings, LearningSettings, Months, WalkForwardSettings

OF_NETWORK = "learning.network_settings."
"""How the key of a setting of the network's own begins."""
_VARIED = {
    "learning": (
        *("network", "residual", "lookback", "hidden", "layers", "dropout", "learning_rate", "weight_decay"),
        *("gradient_norm", "batch_size", "maximum_epochs", "patience", "plateau_patience", "plateau_factor"),
    ),
    "features": ("names", "select", "maximum_selected", "scaling"),
}
KEYS = tuple(f"{section}.{name}" for section, names in _VARIED.items() for name in names)
"""The keys that a search may vary, beside those that begin with :data:`OF_NETWORK`."""
_KEYS_IN_WORDS = ", and ".join(
    f"of {section} {', '.join((*names, 'network_settings.*') if section == 'learning' else names)}"
    for section, names in _VARIED.items()
)


class ParameterValues(Section):
    """The values that a search may take for one key: from ``low`` to ``high``, both included, or one of ``choices``.

    Whole where both ends are; ``log`` draws the logarithm evenly, ``step`` keeps to multiples of it above ``low``.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: Annotated[int | float | None, Field(gt=0)] = None
    choices: tuple[JsonValue, ...] = ()

    @model_validator(mode="after")
    def _is_one_of_the_two(self) -> ParameterValues:
        if self.choices:
            if (self.low, self.high, self.log, self.step) != (None, None, False, None):
                raise ValueError("state choices, or low and high, not both")
            if len(self.choices) < 2 or any(self.choices.count(choice) > 1 for choice in self.choices):
                raise ValueError("choices must be two or more that differ")
            return self
        if self.low is None or self.high is None or not self.low < self.high:
            raise ValueError("low and high are needed, low below high; or choices")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and no step")
        return self

    @property
    def whole(self) -> bool:
        """Whether the values between its ends are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that tell whether all of them can be taken: the choices, or the first and the last in steps."""
        if self.choices or self.step is None or self.low is None or self.high is None:
            return self.choices or (self.low, self.high)
        return (self.low, self.low + math.floor((self.high - self.low) / self.step + 1e-9) * self.step)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of those that may be taken."""
        if self.choices:
            return json.dumps(value) in map(json.dumps, self.choices)  # to Python 1 and true are equal
        if isinstance(value, bool) or not isinstance(value, int | float) or self.low is None or self.high is None:
            return False
        if not self.low <= value <= self.high or (self.whole and not isinstance(value, int)):
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-9)


class SearchSettings(Section):
    """The search of hyper-parameters: what may vary, within what, and how many trials each search has.

    Every ``every_months`` months (``every_days`` days where ``walk_forward.refit_every_days`` is set, which then has to
    be stated), from the first refit that can have a model on, ``trials`` configurations, the
    strategy's own among them, are fitted and judged on rows before it alone; the best is in force until the
    next search. Each is judged on the calibration slices of the last ``folds`` folds (those that history allows), a
    calibration's length apart, by the annual net Sharpe ratio of a plain book of its forecasts at the stated spread and
    commission. ``ensemble`` networks are trained for each. ``at_once`` trials are drawn from what the batches before
    showed: their number decides what is drawn, how many processes train them does not. With ``pruning`` a trial below
    the median of those before it is given up. ``scope`` ``all_folds`` makes one choice by the whole history, which
    every report marks: the record is in-sample up to the last day that it has seen.
    """

    trials: Annotated[int, Field(ge=2, le=10_000)]
    space: Annotated[Mapping[str, ParameterValues], Field(min_length=1)]
    every_months: Months = 12
    every_days: WhenSet[Days | None] = None
    scope: Literal["nested", "all_folds"] = "nested"
    folds: Count = 4
    ensemble: Count = 1
    at_once: Annotated[int, Field(ge=1, le=64)] = 4
    pruning: bool = True
    seed: int = 7

    @model_validator(mode="after")
    def _keys_may_vary(self) -> SearchSettings:
        unknown = [key for key in self.space if key not in KEYS and not key.startswith(OF_NETWORK)]
        if unknown:
            raise ValueError("; ".join(map(_cannot_vary, unknown)))
        of_network = [key for key in self.space if key.startswith(OF_NETWORK)]
        if "learning.network" in self.space and of_network:
            keys = " and ".join(f"search.space.{key}" for key in ("learning.network", *of_network))
            raise ValueError(f"{keys}: one network's settings mean nothing to another: vary one of the two")
        return self


def _cannot_vary(key: str) -> str:
    """That a key of the space may not vary, and which was meant; of one far from all, what may."""
    section_named, _, last = key.rpartition(".")
    sections = {section_named: _VARIED[section_named]} if section_named in _VARIED else _VARIED
    full = {name: f"{section}.{name}" for section, names in sections.items() for name in names}
    near = get_close_matches(last, full, n=1, cutoff=0.7)
    what = f"did you mean {full[near[0]]}?" if near else f"what may vary is {_KEYS_IN_WORDS}"
    return f"search.space.{key}: not a key that may vary, {what}"


def own_value(key: str, learning: LearningSettings, features: FeatureSettings) -> Any:
    """What a strategy states for a key that may vary, as a JSON value; None of a network's own at its default."""
    if key.startswith(OF_NETWORK):
        return learning.network_settings.get(key.removeprefix(OF_NETWORK))
    section, name = key.split(".", maxsplit=1)
    return (learning if section == "learning" else features).model_dump(mode="json")[name]


def with_parameters(
    learning: LearningSettings, features: FeatureSettings, parameters: Mapping[str, Any]
) -> tuple[LearningSettings, FeatureSettings]:
    """The two sections with other values for some keys that may vary.

    Raises
    ------
    ValueError
        A section refuses a value.
    """
    own = {key.removeprefix(OF_NETWORK): value for key, value in parameters.items() if key.startswith(OF_NETWORK)}
    values = {"learning": learning.model_dump(), "features": features.model_dump()}
    for key, value in parameters.items():
        if not key.startswith(OF_NETWORK):
            section, name = key.split(".", maxsplit=1)
            values[section][name] = value
    if own:
        values["learning"]["network_settings"] = {**learning.network_settings, **own}
    return LearningSettings.model_validate(values["learning"]), FeatureSettings.model_validate(values["features"])


def search_faults(
    search: SearchSettings, learning: LearningSettings, features: FeatureSettings, steps: WalkForwardSettings
) -> Iterator[str]:
    """What a strategy's search asks for that its other sections do not allow, a sentence each."""
    for key, values in search.space.items():
        for value in values.ends:
            try:
                with_parameters(learning, features, {key: value})
            except ValidationError as error:
                yield f"search.space.{key} {value}: {error.errors(include_url=False)[0]['msg']}"
    if "learning.network" in search.space and learning.network_settings:
        yield (
            "search.space.learning.network and learning.network_settings: settings of one network are none of another: "
            "leave one of the two out"
        )
    if features.names and "features.names" in search.space:
        chosen = {str(name) for choice in search.space["features.names"].choices for name in _listed(choice)}
        for name in sorted(chosen - set(features.names)):
            near = did_you_mean(name, features.names)
            yield f"search.space.features.names {name}: {near}a choice is some of the names that features lists"
    yield from _pace_faults(search, steps)


def _pace_faults(search: SearchSettings, steps: WalkForwardSettings) -> Iterator[str]:
    """What is wrong with how often a search is made: as the walk, in months or in days, and with a refit each time."""
    in_days = steps.refit_every_days is not None
    own, other = ("every_days", "every_months") if in_days else ("every_months", "every_days")
    every, refit_key = getattr(search, own), f"walk_forward.refit_{own}"
    refit_every = getattr(steps, f"refit_{own}")
    stray = getattr(search, other) != SearchSettings.model_fields[other].default
    if stray:
        multiple = ", a multiple of it" if every is None else ""
        yield (
            f"search.{other} {getattr(search, other)} is not how {refit_key} {refit_every} counts: state "
            f"search.{own}{multiple}"
        )
    if every is None and stray:
        return
    if every is None:
        yield (
            f"{refit_key} {refit_every} beside search: state search.{own}, a multiple of it: how often a search is "
            "made is part of its budget"
        )
    elif every % refit_every:
        yield (f"search.{own} {every} must be a multiple of {refit_key} {refit_every}: a choice takes force with a fit")


def _listed(choice: JsonValue) -> list[JsonValue]:
    return list(choice) if isinstance(choice, list) else [choice]
