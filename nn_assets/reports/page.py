"""The pages people open: a study's tear sheet, the demo with several of them, the day's report.

Each is one HTML text that needs no other file and no network: styles inline, pictures as data URIs.
Everything that comes from data is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from nn_assets.errors import first_of
from nn_assets.evaluation.figure_set import StudyFigures
from nn_assets.evaluation.verdict import Verdict
from nn_assets.oversight.headline import Headline
from nn_assets.reports.canvas import png_data_uri
from nn_assets.reports.tables import ABSENT, SizedPosition, figure_table, fold_table, sized_positions

__all__ = ["DailyPage", "Plot", "StudyPage", "daily_page", "demo_page", "render", "study_page"]

_WITH_CENTS = 100.0  # dollars below which cents are shown
_EXPLAINED, _LISTED = (
    30,
    100,
)  # positions with all their steps, orders and fills: a page of 500 symbols stays below 300 kB
_PLAIN = {
    "leak alarm": "A figure is too good to be true. Nothing is believed until the leak is found, or a person who "
    "looked for one releases the alarm.",
    "edge found": "The network predicts better than chance, and trading on it paid after costs.",
    "signal found": "The network predicts better than chance, but it is not shown to pay after costs.",
    "no edge found": "Nothing here beats chance by enough to trade on.",
    "cannot tell": "The record holds both chance and an edge worth having: it cannot say which.",
}


@dataclass(frozen=True)
class Plot:
    """A picture with what it shows, in one sentence."""

    title: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class StudyPage:
    """What a tear sheet shows. Frames have the columns that cross rooms, of one session each."""

    name: str
    description: str
    verdict: Verdict
    figures: StudyFigures
    label: str = ""  # what kind of market this is: 'Real bars', 'Simulated market', 'Bars from files'
    facts: Sequence[tuple[str, str]] = ()  # (what, value) shown on top: sessions, folds, span
    was_on: Sequence[str] = ()  # sentences, one an estimator
    plots: Sequence[Plot] = ()
    decided_session: str = ""  # of the positions below
    targets: pd.DataFrame | None = None
    steps: pd.DataFrame | None = None
    drift: pd.DataFrame | None = None
    headline: Headline | None = None  # how the strategy stood when the page was made
    trading_state: str = ""
    trading_reasons: str = ""
    quarantine: pd.DataFrame | None = None
    notices: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    caveats: Sequence[str] = ()


@dataclass(frozen=True)
class DailyPage:
    """What the report of one session shows. Frames have the columns that cross rooms."""

    name: str
    session: str
    headline: Headline
    trading_state: str
    trading_reasons: str
    portfolio: Mapping[str, object]  # one row of portfolio_states
    targets: pd.DataFrame
    steps: pd.DataFrame
    orders: pd.DataFrame
    fills: pd.DataFrame
    drift: pd.DataFrame
    # By symbol, with its step; else the rule of the deciding step.
    bound_by: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)
    label: str = ""  # as on the study's page
    verdict: str = ""  # of the study in force when the session was decided
    plots: Sequence[Plot] = ()
    notices: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    caveats: Sequence[str] = ()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nn_assets.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "number": _number,
        "usd": _usd,
        "day": _day,
        "data_uri": png_data_uri,
        "slug": _slug,
        "sentence": _sentence,
    }
    return environment


def render(template: str, **values: object) -> str:
    """Fill one of the templates; everything that is not marked safe there is escaped."""
    return _environment().get_template(template).render(**values)


def study_page(page: StudyPage) -> str:
    """Write one study's tear sheet as HTML text."""
    return demo_page([page], title=f"{page.name}: out-of-sample study", subtitle=page.description)


def demo_page(pages: Sequence[StudyPage], *, title: str = "Out-of-sample studies", subtitle: str = "") -> str:
    """Write the tear sheets of several strategies as one HTML text, the verdicts on top.

    Parameters
    ----------
    pages : sequence of StudyPage
        In the order shown; at least one.
    title, subtitle : str
        Plain text.
    """
    template = _environment().get_template("study.html")
    return template.render(title=title, subtitle=subtitle, sheets=[_sheet(page) for page in pages])


def daily_page(page: DailyPage) -> str:
    """Write the report of one session as HTML text."""
    template = _environment().get_template("daily.html")
    positions = sized_positions(page.targets, page.steps, page.bound_by)
    return template.render(
        title=f"{page.name}, {page.session}",
        page=page,
        positions=_explained(positions),
        orders=_largest(page.orders, "reference_price"),
        fills=_largest(page.fills, "mid_price"),
        explained_elsewhere=_explained_elsewhere(positions, page.name, page.session),
        drift=_drift_rows(page.drift),
    )


def _sheet(page: StudyPage) -> dict[str, object]:
    header, folds = fold_table(page.figures)
    decided = None if page.targets is None or page.steps is None else (page.targets, page.steps)
    positions = None if decided is None else sized_positions(*decided)
    return {
        "page": page,
        "plain": _PLAIN[page.verdict.kind],
        "tone": page.verdict.kind.split()[0],
        "table": figure_table(page.figures),
        "fold_header": header,
        "folds": folds,
        "positions": None if positions is None else _explained(positions),
        "explained_elsewhere": _explained_elsewhere(positions or (), page.name, page.decided_session),
        "drift": None if page.drift is None else _drift_rows(page.drift),
        "quarantine": None if page.quarantine is None else _by_rule(page.quarantine),
    }


def _explained(positions: Sequence[SizedPosition]) -> list[SizedPosition]:
    """Positions, the first with every step, the others with what bound them alone."""
    return [*positions[:_EXPLAINED], *(replace(one, steps=(), why="") for one in positions[_EXPLAINED:])]


def _explained_elsewhere(positions: Sequence[SizedPosition], name: str, session: str) -> str:
    """Where the steps of the other positions are found; nothing where there are none."""
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


def _drift_rows(drift: pd.DataFrame) -> list[dict[str, object]]:
    ordered = drift.sort_values(["drifted", "layer", "name"], ascending=[False, False, True], kind="stable")
    return [{str(key): value for key, value in row.items()} for row in ordered.to_dict("records")]


def _by_rule(quarantine: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Rule, rows, and up to three examples of symbol, session and value; says how many more there are."""
    found = []
    for rule, rows in quarantine.groupby("rule", sort=True):
        ordered = rows.sort_values(["session", "symbol"], kind="stable").to_dict("records")
        named = [f"{row['symbol']} {_day(row['session'])} {row['field']} {row['value']}" for row in ordered]
        found.append((str(rule), len(rows), "; ".join(first_of(named, 3))))
    return found


def _percent(value: object, digits: int = 1) -> str:
    number = _as_float(value)
    return ABSENT if number is None else f"{100.0 * number:.{digits}f}%".replace("-", "\N{MINUS SIGN}")


def _number(value: object, digits: int = 2) -> str:
    number = _as_float(value)
    return ABSENT if number is None else f"{number:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _usd(value: object) -> str:
    number = _as_float(value)
    if number is None:
        return ABSENT
    digits = 2 if 0.0 < abs(number) < _WITH_CENTS else 0
    return f"${number:,.{digits}f}".replace("$-", "\N{MINUS SIGN}$")


def _as_float(value: object) -> float | None:
    if value is None or isinstance(value, str):
        return None
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None


def _day(value: object) -> str:
    stamp = pd.Timestamp(value)
    return ABSENT if stamp is pd.NaT else str(stamp.date())


def _slug(value: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in value.lower())


def _sentence(value: str) -> str:
    """Start with a capital and leave the rest as it is."""
    return value[:1].upper() + value[1:]
