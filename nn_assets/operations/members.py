"""The package's features, labels and networks as a page in Markdown, ``docs/members.md``. ``make docs`` writes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import groupby

from nn_assets.features.catalogue import CATALOGUE, PATTERNS, STANDARD, Feature
from nn_assets.features.labels import LABELS
from nn_assets.learning.heads import HEADS
from nn_assets.learning.networks import NETWORKS, build_network
from nn_assets.learning.networks.candlestick import CANDLE_FEATURES
from nn_assets.settings import LearningSettings
from nn_assets.settings.section import Section

_FEATURES = 20  # a network's weights are counted for that many
_OPENING = """# Features, labels and networks

Written by `make docs` from what the package declares; nobody edits it. Each is chosen by name in the strategy's file;
[extending.md](extending.md) says how to add one.
"""
_OF_FEATURES = """## Features

`features.names` lists those that a strategy uses; left out, it has every *standard* one whose inputs are there, and
more by name only, so that an upgrade changes no strategy's inputs. *Reach* is how many sessions a value looks back
beyond its own. A feature whose name ends with NAME reads the series that the strategy names under
`features.series.NAME`, whatever the name; one that reads *the factors* reads those listed in `features.factors`.
"""
_OF_LABELS = """## Labels

`label.kind`; its own settings go under `label.settings`. A *relative* one compares a name with the others of its
session: its books are dollar-neutral. *Learned* is a sign by cross-entropy on logits, a value by squared error in units
of its own recent deviation, or a volatility by QLIKE on the log of its variance. One that is not *traded* says how much
a name moves and not in which direction: a strategy that names it is studied, and takes no position.
"""
_OF_NETWORKS = f"""## Networks

`learning.network`; its own settings go under `learning.network_settings`. *Weights* are those with all defaults, of
{_FEATURES} features (candles: {len(CANDLE_FEATURES)}) in windows of {LearningSettings().lookback} sessions.
"""


def members_page() -> str:
    """The page: features by group, labels, networks."""
    features = sorted([*CATALOGUE.own.values(), *PATTERNS.values()], key=lambda entry: entry.group)
    groups = [_group(name, list(entries)) for name, entries in groupby(features, key=lambda entry: entry.group)]
    parts = [_OPENING, _OF_FEATURES, *groups, _OF_LABELS, "".join(_labels()), _OF_NETWORKS, "".join(_networks())]
    return "\n".join(parts)


def _group(name: str, entries: list[Feature]) -> str:
    lines = [f"### {name.replace('_', ' ')}\n\n| feature | reads | reach | standard | formula | source |\n"]
    lines.append("|---|---|---|---|---|---|\n")
    for entry in entries:
        reads = [", ".join(entry.fields), *["the market"] * entry.needs_market]
        reads += [f"the series `{entry.role}`"] * bool(entry.role)
        reads += ["the factors"] * entry.factors
        reads += ["the session's members"] * entry.ranked
        cells = (entry.name, "; ".join(reads), str(entry.reach_sessions), "yes" if entry.name in STANDARD else "")
        formula = entry.formula.replace("|", "\\|")
        lines.append(f"| {' | '.join(cells)} | {formula} | {entry.source} |\n")
    return "".join(lines)


def _labels() -> Iterator[str]:
    yield "| label | relative | learned | loss | traded | own settings | own return |\n|---|---|---|---|---|---|---|\n"
    for name, kind in LABELS.own.items():
        relative, traded = "yes" if kind.relative else "", "yes" if kind.traded else "no"
        cells = (name, relative, kind.learns, HEADS[kind.learns].loss, traded, _own_settings(kind.settings))
        yield f"| {' | '.join(cells)} | {_first_sentence(kind.own_return)} |\n"


def _networks() -> Iterator[str]:
    yield "| network | weights | own settings | |\n|---|---|---|---|\n"
    for name, entry in NETWORKS.own.items():
        features = len(CANDLE_FEATURES) if name == "candlestick" else _FEATURES
        network = build_network(LearningSettings(network=name), features)
        weights = sum(weight.numel() for weight in network.parameters())
        what = _first_sentence(entry.build).removeprefix("Build ")
        yield f"| {name} | {weights:,} | {_own_settings(entry.settings)} | {what} |\n"


def _own_settings(settings: type[Section] | None) -> str:
    fields = {} if settings is None else settings.model_fields
    return ", ".join(f"`{name}: {field.default}`" for name, field in fields.items())


def _first_sentence(described: object) -> str:
    return (inspect.getdoc(described) or "").partition("\n")[0]


if __name__ == "__main__":
    print(members_page(), end="")  # noqa: T201
