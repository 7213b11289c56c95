"""What every page of a strategy has: where its bars come from, caveats, own sections, and the file it is written to."""

from __future__ import annotations

from pathlib import Path

from nn_assets.estimators import BASELINES, ESTIMATORS
from nn_assets.features.labels import label_kind
from nn_assets.plugins import find
from nn_assets.reports.sections import SECTIONS
from nn_assets.settings import Strategy
from nn_assets.settings.sections import STUDIED_AND_REPLAYED_ONLY
from nn_assets.sources.registry import source_member
from nn_assets.store.home import reports_root
from nn_assets.store.lake.files import replace_file


def market_label(strategy: Strategy) -> str:
    """Where the bars come from; that they are real is known of the bundled sample alone."""
    return source_member("files" if strategy.intraday is not None else strategy.source.kind).label


LEAST_MEMBERS = 5
"""Members of an ensemble below which every report warns."""


def left_out_beside(strategy: Strategy) -> str | None:
    """Which simple estimators the settings leave out, and what then is not judged; None where they leave out none."""
    names = [ESTIMATORS[name].called for name in BASELINES if name not in strategy.learning.baselines]
    if not names:
        return None
    return (
        f"learning.baselines leaves out {' and '.join(names)}: a study does not judge the network beside "
        f"{'it' if len(names) == 1 else 'them'}, and cannot tell whether it is better. What is left out is no trial: "
        "unless it was tried before, the bar for an edge is lower by it."
    )


def caveats_of(strategy: Strategy) -> tuple[str, ...]:
    """What a reader must know before believing a strategy's figures, a sentence each."""
    caveats = []
    if source_member(strategy.source.kind).simulated:
        caveats.append(
            "The market is simulated and its edge was planted: the figures prove nothing about real markets."
        )
    if strategy.market.vault_starts is not None:
        caveats.append(
            f"History from {strategy.market.vault_starts} on is sealed in the vault; nothing here has seen it."
        )
    else:
        caveats.append("There is no vault: no stretch of history was kept back for a last test.")
    if strategy.trade_without_verdict:
        taken = "positions are taken although no edge may have been found"
        none = f"it changes nothing, since {STUDIED_AND_REPLAYED_ONLY}"
        caveats.append(f"The settings say trade_without_verdict: {taken if strategy.decisions is None else none}.")
    if strategy.learning.ensemble < LEAST_MEMBERS:
        caveats.append(
            f"An ensemble has {strategy.learning.ensemble} members, fewer than {LEAST_MEMBERS}: how far they disagree, "
            "which sizes follow, is known badly."
        )
    if (alone := left_out_beside(strategy)) is not None:
        caveats.append(alone)
    if strategy.search is not None and strategy.search.scope == "all_folds":
        caveats.append(
            "Hyper-parameters are one choice over all folds (search.scope all_folds): it has seen the "
            f"{strategy.rows_called} that it is judged by, and only what came after it counts."
        )
    if strategy.of_no_direction:
        return (*caveats, "The label is a volatility: nothing is traded or replayed.")
    resets = strategy.portfolio.replay_reset_sessions
    label = label_kind(strategy.label)
    if label.learns == "value":
        caveats.append("A probability is Phi of the return expected of a name in units of its own recent deviation.")
    elif label.ranked_against is not None:
        caveats.append(
            "A probability is that of a return above the label's threshold, not of a gain: positions follow from what "
            "it says beyond its base rate."
        )
    if label.relative:
        caveats.append(
            "'Up' means better than the other names of the day: the label is relative, and the book dollar-neutral."
        )
    units = "sessions" if strategy.decisions is None else "days"
    caveats.append(f"In the replay a latched breaker is reset after {resets} {units}; live, only a person resets it.")
    caveats.append("Returns are simulated fills at stated costs, not money made.")
    return tuple(caveats)


def own_sections(strategy: Strategy) -> tuple[str, ...]:
    """Names of the sections that the strategy's plug-ins registered, in their order."""
    return SECTIONS.brought_by(find(plugin).top for plugin in strategy.plugins)


def write_page(name: str, text: str) -> Path:
    """Write a page under a name in the folder of reports, whole or not at all; returns its file."""
    folder = reports_root()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    with replace_file(file) as staged:
        staged.write_text(text, encoding="utf-8")
    return file
