"""The registry of labels: the package's own kinds, and what takes in those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nn_assets.features.labels.definition import LabelKind, Learns, OwnReturn
from nn_assets.features.labels.direction import DIRECTION
from nn_assets.features.labels.relative import DIRECTION_RELATIVE
from nn_assets.features.labels.settlement import SETTLEMENT
from nn_assets.features.labels.threshold import THRESHOLD_MOVE
from nn_assets.features.labels.volatility import LOG_REALISED_VOLATILITY, VOLATILITY_MOVE
from nn_assets.features.labels.zscored import RETURN_ZSCORED, RETURN_ZSCORED_RELATIVE
from nn_assets.plugins import Registry
from nn_assets.settings import LabelSettings
from nn_assets.settings.own import section_of
from nn_assets.settings.section import Section

_OwnReturn = TypeVar("_OwnReturn", bound=OwnReturn)

LABELS: Registry[LabelKind] = Registry(
    "label",
    {
        "direction": DIRECTION,
        "direction_relative": DIRECTION_RELATIVE,
        "return_zscored": RETURN_ZSCORED,
        "return_zscored_relative": RETURN_ZSCORED_RELATIVE,
        "settlement": SETTLEMENT,
        "threshold_move": THRESHOLD_MOVE,
        "volatility_move": VOLATILITY_MOVE,
        "log_realised_volatility": LOG_REALISED_VOLATILITY,
    },
)
"""Every kind of label, by the name that ``label.kind`` gives it."""


def register_label(
    name: str,
    *,
    relative: bool,
    settings: type[Section] | None = None,
    learns: Learns = "sign",
    scale: OwnReturn | None = None,
    ranked_against: OwnReturn | None = None,
    traded: bool = True,
    centre: OwnReturn | None = None,
) -> Callable[[_OwnReturn], _OwnReturn]:
    """Register a function as a kind of label, by a name that no other has; see :class:`LabelKind`.

    Parameters
    ----------
    name, relative, learns, traded
        As plain text, so that they can be read without running the file.
    settings : type of Section, optional
        Its own settings, with their defaults.
    scale, ranked_against, centre : callable, optional
        See :class:`LabelKind`.

    Raises
    ------
    PluginError
        The name is taken, or is not a name; or what is learned does not fit the rest.
    """
    return LABELS.adding(
        name,
        lambda own_return: LabelKind(own_return, relative, settings, learns, scale, ranked_against, traded, centre),
    )


def label_kind(label: LabelSettings) -> LabelKind:
    """The kind of label that some settings name.

    Raises
    ------
    SettingsError
        There is none.
    """
    return LABELS.require(label.kind, "label.kind")


def settings_of_its_own(label: LabelSettings) -> Section | None:
    """What ``label.settings`` says, as the kind's own settings; None for a kind that has none.

    Raises
    ------
    SettingsError
        There is no such kind, a key or value is not as its settings say, or it has none and some are stated.
    """
    return section_of(
        label_kind(label).settings, label.settings, member=f"the label {label.kind}", key="label.settings"
    )
