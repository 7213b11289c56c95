"""Sections of the study's and of the session's page: the package's own in their order, and those of plug-ins.

A section takes a page's data and gives what its fragment of a template shows, or None where it has nothing to show.
That of the package's own is a file of its name in ``templates/sections``. What data say is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pandas as pd

from nn_assets.contracts.frames import DriftRows, Quarantine
from nn_assets.errors import PluginError, first_of
from nn_assets.plugins import Registry
from nn_assets.reports.explanations import LEAST_MONTHS, feature_worths, move_lines, worst_missed
from nn_assets.reports.tables import (
    SizedPosition,
    figure_table,
    fold_table,
    loss_table,
    moment_shown,
    regime_table,
    sessions_of,
    shift_table,
    sized_positions,
)
from nn_assets.signals.regimes import RegimeParameters

if TYPE_CHECKING:
    from nn_assets.reports.page import DailyPage, StudyPage

Contents = Mapping[str, Any] | None
"""What a fragment shows, by name; None for nothing."""
PageKind = Literal["study", "session"]

_Show = TypeVar("_Show", bound=Callable[[Any], Contents])

# Positions with all their steps, orders and fills: a page of 500 symbols stays below 300 kB.
_EXPLAINED, _LISTED = 30, 100


@dataclass(frozen=True)
class Section:
    """One section of a page.

    Parameters
    ----------
    page : str
        ``study`` or ``session``.
    contents : callable
        From a :class:`~nn_assets.reports.page.StudyPage` or :class:`~nn_assets.reports.page.DailyPage` to what the
        fragment shows, by name, beside ``page`` itself; None where there is nothing to show.
    template : str
        The fragment in Jinja, which escapes what it shows; ``parts`` has the macros of ``templates/parts.html``.
        Empty for one of the package's own, whose fragment is a file.
    after : str
        The section that it follows; the last one when empty.
    """

    page: PageKind
    contents: Callable[[Any], Contents]
    template: str = ""
    after: str = ""


def _explained(positions: Sequence[SizedPosition]) -> list[SizedPosition]:
    """Positions, the first with every step, the others with what bound them alone."""
    return [*positions[:_EXPLAINED], *(replace(position, steps=(), why="") for position in positions[_EXPLAINED:])]


def _explained_elsewhere(positions: Sequence[SizedPosition], name: str, session: str) -> str:
    """Where the steps of the other positions are; empty where there are none."""
    rest = len(positions) - _EXPLAINED
    if rest <= 0:
        return ""
    command = f"nn-assets query why_this_size --strategy {name} --value session={session} --value symbol=SYMBOL"
    return f"The steps of the other {rest:,}: {command}"


def _largest(rows: pd.DataFrame, price: str) -> list[dict[Hashable, object]]:
    """Orders or fills as they come; of many the denied and the largest by value alone."""
    if len(rows) > _LISTED:
        value = (rows["quantity"] * rows[price]).abs()
        denied = (rows["status"] == "denied") if "status" in rows else value < 0.0
        first = pd.DataFrame({"denied": denied, "value": value}).sort_values(["denied", "value"], ascending=False)
        rows = rows.loc[first.index[:_LISTED]]
    return rows.to_dict("records")


def _drift_rows(drift: DriftRows) -> list[dict[str, object]]:
    ordered = drift.sort_values(["drifted", "layer", "name"], ascending=[False, False, True], kind="stable")
    return [{str(key): value for key, value in row.items()} for row in ordered.to_dict("records")]


def _by_rule(quarantine: Quarantine) -> list[tuple[str, int, str]]:
    """Rule, rows, and up to three examples of symbol, session and value; says how many more there are."""
    by_rule = []
    for rule, rows in quarantine.groupby("rule", sort=True):
        ordered = rows.sort_values(["session", "symbol"], kind="stable").to_dict("records")
        named = [f"{row['symbol']} {moment_shown(row['session'])} {row['field']} {row['value']}" for row in ordered]
        by_rule.append((str(rule), len(rows), "; ".join(first_of(named, 3))))
    return by_rule


def _where_there_are(what: str) -> Callable[[Any], Contents]:
    return lambda page: {} if getattr(page, what) else None


def _figures(page: StudyPage) -> Contents:
    return None if page.figures.volatility is not None else {"table": figure_table(page.figures, page.counted)}


def _losses(page: StudyPage) -> Contents:
    if page.figures.volatility is None:
        return None
    header, rows = loss_table(page.figures.volatility, page.counted)
    return {"header": header, "rows": rows, "losses": page.figures.volatility}


def _folds(page: StudyPage) -> Contents:
    header, folds = fold_table(page.figures, page.counted)
    return {"fold_header": header, "folds": folds} if folds else None


def _regimes(page: StudyPage) -> Contents:
    header, regimes = regime_table(page.figures, page.counted)
    unknown = sessions_of(page.figures.regimes.get("unknown", {}))
    sessions = RegimeParameters().tercile_sessions
    of_rules = "sessions" if page.counted == "sessions" else "days"
    values = {"unknown": unknown, "counted": page.counted.removesuffix("s"), "needed": f"{sessions} {of_rules}"}
    return {"regime_header": header, "regimes": regimes} | values if regimes else None


def _shift(page: StudyPage) -> Contents:
    if page.figures.shift is None and not page.left_out:
        return None
    header, kinds = shift_table(page.figures, page.counted)
    return {"shift_header": header, "kinds": kinds, "shift": page.figures.shift}


def _positions_of_a_study(page: StudyPage) -> Contents:
    if page.targets is None or page.steps is None:
        return None
    return _sized(sized_positions(page.targets, page.steps), page.name, page.decided_session)


def _positions(page: DailyPage) -> Contents:
    return _sized(sized_positions(page.targets, page.steps, page.bound_by), page.name, page.session)


def _sized(positions: Sequence[SizedPosition], name: str, session: str) -> Contents:
    return {
        "positions": _explained(positions),
        "explained_elsewhere": _explained_elsewhere(positions, name, session),
    }


def _importance(page: StudyPage) -> Contents:
    kept = page.importance
    if kept is None:
        return None
    absent = str(kept["absent"]) or ("" if kept["months"] else "no month of the record has a model of its own")
    months = len(kept["months"])
    return {
        "absent": absent,
        "lines": feature_worths(kept),
        "least_months": LEAST_MONTHS,
        "months": months,
        "most_samples": kept["most_samples"],
        "loss": kept.get("loss", "log loss"),  # which earlier versions measured, and did not name
        "unit": kept.get("unit", "nats"),
    }


def _moves(page: DailyPage) -> Contents:
    kept = page.moves
    if kept is None:
        return None
    worst, complete = worst_missed(kept), kept.get("complete", 0.0)
    return {
        "absent": kept["absent"],
        "lines": move_lines(kept),
        "before": kept.get("before", ""),
        "refitted": kept.get("refitted", False),
        "complete": complete,
        "worst": worst,
        "held": worst is None or worst <= complete,
        "without_window": kept.get("without_window", ()),
        "left_out": kept.get("left_out", 0),
    }


def _oversight(page: StudyPage) -> Contents:
    if page.headline is None and page.drift is None:
        return None
    return {"drift": None if page.drift is None else _drift_rows(page.drift)}


def _data(page: StudyPage) -> Contents:
    if page.quarantine is None and not page.notices:
        return None
    return {"quarantine": None if page.quarantine is None else _by_rule(page.quarantine)}


def _orders(page: DailyPage) -> Contents:
    return {"orders": _largest(page.orders, "reference_price")}


def _fills(page: DailyPage) -> Contents:
    return {"fills": _largest(page.fills, "mid_price")}


def _shortfall(page: DailyPage) -> Contents:
    return {"rows": page.shortfall} if page.shortfall else None


def _drift(page: DailyPage) -> Contents:
    return {"drift": _drift_rows(page.drift)}


def _ranges(page: DailyPage) -> Contents:
    """Those found, the fastest first, and how many prices have none, by reason."""
    if page.ranges is None:
        return None
    reverting = page.ranges[page.ranges["level"].notna()].sort_values("half_life", kind="stable")
    without = page.ranges.loc[page.ranges["level"].isna(), "said"].value_counts().to_dict()
    return {"ranges": reverting.head(_LISTED).to_dict("records"), "reverting": len(reverting), "without": without}


SECTIONS: Registry[Section] = Registry(
    "section",
    {
        "study_figures": Section("study", _figures),
        "study_losses": Section("study", _losses),
        "study_pictures": Section("study", _where_there_are("plots")),
        "study_folds": Section("study", _folds),
        "study_regimes": Section("study", _regimes),
        "study_shift": Section("study", _shift),
        "study_importance": Section("study", _importance),
        "study_positions": Section("study", _positions_of_a_study),
        "study_oversight": Section("study", _oversight),
        "study_data": Section("study", _data),
        "study_caveats": Section("study", _where_there_are("caveats")),
        "study_provenance": Section("study", _where_there_are("provenance")),
        "session_positions": Section("session", _positions),
        "session_moves": Section("session", _moves),
        "session_orders": Section("session", _orders),
        "session_fills": Section("session", _fills),
        "session_shortfall": Section("session", _shortfall),
        "session_ranges": Section("session", _ranges),
        "session_pictures": Section("session", _where_there_are("plots")),
        "session_drift": Section("session", _drift),
        "session_caveats": Section("session", _where_there_are("caveats")),
        "session_provenance": Section("session", _where_there_are("provenance")),
    },
)
"""Every section by name, the package's own in the order of their page."""


def section_names(page: PageKind, brought: Iterable[str] = ()) -> list[str]:
    """Names of a page's sections in order: the package's own, and those of some that plug-ins brought."""
    names = [name for name, section in SECTIONS.items() if section.page == page and name in SECTIONS.own]
    for name in brought:
        section = SECTIONS[name]
        if section.page == page:
            names.insert(names.index(section.after) + 1 if section.after in names else len(names), name)
    return names


def register_section(name: str, *, page: PageKind, template: str, after: str = "") -> Callable[[_Show], _Show]:
    """Register a function as a section of a page, by a name that no other has; see :class:`Section`.

    Raises
    ------
    PluginError
        The name is taken, or is not a name; there is no such page, or it has no section that this one could follow.

    Examples
    --------
    >>> @register_section("largest", page="session", template="<h3>Largest</h3><p>{{ symbol }}</p>")  # doctest: +SKIP
    ... def largest(page):
    ...     held = page.targets
    ...     return None if held.empty else {"symbol": held.loc[held["target_weight"].abs().idxmax(), "symbol"]}
    """
    pages = {section_name: section.page for section_name, section in SECTIONS.items()}
    if page not in pages.values() or (after and pages.get(after) != page):
        offered = (
            ", ".join(section_name for section_name, section_page in pages.items() if section_page == page)
            or "page study or session"
        )
        raise PluginError(
            expected=f"a section of the page study or session, after one of its own: {offered}",
            found=f"page {page!r}, after {after!r}",
            remedy=f"correct what register_section({name!r}, ...) states",
            key="plugins",
            section=name,
        )
    return SECTIONS.adding(name, lambda contents: Section(page, contents, template, after))
