"""The pages people open: a study's tear sheet, the demo with several of them, the day's report.

Each is one HTML text that needs no other file and no network: styles inline, pictures as data URIs.
Everything that comes from data is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from nn_assets.contracts.frames import (
    DriftRows,
    FillRows,
    OrderRows,
    PositionStepRows,
    Quarantine,
    RangeRows,
    TargetPositionRows,
)
from nn_assets.costs.shortfall import ShortfallRow
from nn_assets.evaluation.figure_set import StudyFigures
from nn_assets.evaluation.verdict import Verdict
from nn_assets.oversight.headline import Headline
from nn_assets.reports.canvas import png_data_uri
from nn_assets.reports.sections import SECTIONS, PageKind, section_names
from nn_assets.reports.tables import ABSENT, counted_as, day_shown
from nn_assets.settings.sections import NO_DIRECTION, SIZES_BY_IT

KILL_SWITCH_PATH = "/controls/kill-switch"
"""Where the UI serves the page that halts: its form is the one that a page without any script may send."""

_FAILED = "<h3>{{ name | replace('_', ' ') | sentence }}</h3>\n<p>This section of a plug-in failed: {{ error }}</p>"
_WITH_CENTS = 100.0  # dollars below which cents are shown
_PLAIN = {
    "leak alarm": "A figure is too good to be true. Nothing is believed until the leak is found, or a person who "
    "looked for one releases the alarm.",
    "edge found": "The network predicts better than chance, and trading on it paid after costs.",
    "signal found": "The network predicts better than chance, but it is not shown to pay after costs.",
    "no edge found": "Nothing here beats chance by enough to trade on.",
    "forecasts volatility better": "The network forecasts volatility better than each of the simple forecasts. It does "
    f"not trade: {NO_DIRECTION}.",
    "not shown to forecast volatility better": "The network is not shown to forecast volatility better than each of "
    f"the simple forecasts. It does not trade: {NO_DIRECTION}.",
    "cannot tell": "The record holds both chance and an edge worth having: it cannot say which.",
}

_TONES = {"forecasts volatility better": "signal", "not shown to forecast volatility better": "no"}


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
    horizon: str = ""  # of the strategy's label, as it is told: '5 sessions', '4 hours: 48 bars'
    facts: Sequence[tuple[str, str]] = ()  # (what, value) shown on top: sessions, folds, span
    was_on: Sequence[str] = ()  # sentences, one an estimator
    left_out: Sequence[str] = ()  # sentences on estimators fitted without a regime, where that was asked for
    plots: Sequence[Plot] = ()
    importance: Mapping[str, Any] | None = None  # of features, as measured_importance gave it
    decided_session: str = ""  # of the positions below
    targets: TargetPositionRows | None = None
    steps: PositionStepRows | None = None
    drift: DriftRows | None = None
    headline: Headline | None = None  # how the strategy stood when the page was made
    trading_state: str = ""
    trading_reasons: str = ""
    quarantine: Quarantine | None = None
    notices: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    caveats: Sequence[str] = ()
    own_sections: Sequence[str] = ()  # names of those that the strategy's plug-ins brought
    counted: str = "sessions"  # what the rows of its record are; decisions where it decides within the session


@dataclass(frozen=True)
class DailyPage:
    """What the report of one session shows. Frames have the columns that cross rooms."""

    name: str
    session: str
    headline: Headline
    trading_state: str
    trading_reasons: str
    portfolio: Mapping[str, object]  # one row of portfolio_states
    targets: TargetPositionRows
    steps: PositionStepRows
    orders: OrderRows
    fills: FillRows
    drift: DriftRows
    moves: Mapping[str, Any] | None = None  # of forecasts since the session before, as they were kept
    # By symbol, with its step; else the rule of the deciding step.
    bound_by: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)
    label: str = ""  # as on the study's page
    verdict: str = ""  # of the study in force when the session was decided
    plots: Sequence[Plot] = ()
    ranges: RangeRows | None = None  # where the settings ask for them
    notices: Sequence[str] = ()  # what a person should look at
    plain_facts: Sequence[str] = ()  # ordinary ones of the session, a plain line each
    provenance: Mapping[str, str] = field(default_factory=dict)
    caveats: Sequence[str] = ()
    own_sections: Sequence[str] = ()  # as on the study's page
    shortfall: Sequence[ShortfallRow] = ()  # of the orders under way: all, by size and by time of day


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
        "day": day_shown,
        "counted": counted_as,
        "data_uri": png_data_uri,
        "slug": _slug,
        "sentence": _sentence,
    }
    environment.globals["parts"] = environment.get_template("parts.html").module
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
    return template.render(title=f"{page.name}, {page.session}", page=page, sections=_sections("session", page))


def _sheet(page: StudyPage) -> dict[str, object]:
    return {
        "page": page,
        "plain": _plain(page),
        "tone": _TONES.get(page.verdict.kind, page.verdict.kind.split()[0]),
        "sections": _sections("study", page),
    }


def _plain(page: StudyPage) -> str:
    """What the verdict means, in plain words."""
    if page.figures.volatility is not None and page.verdict.kind == "cannot tell":
        return f"The record is too short to tell. It does not trade: {NO_DIRECTION}."
    plain = _PLAIN[page.verdict.kind]
    of_variance = page.verdict.kind == "forecasts volatility better" and page.verdict.statistic == "QLIKE"
    return plain.replace(f"{NO_DIRECTION}.", f"{NO_DIRECTION}; {SIZES_BY_IT}.") if of_variance else plain


def _sections(kind: PageKind, page: StudyPage | DailyPage) -> list[Markup]:
    """What each section shows of a page, in order, safe; nothing of one that has nothing to show."""
    shown = (_section(name, page) for name in section_names(kind, page.own_sections))
    return [Markup(text.strip()) for text in shown if text is not None]  # noqa: S704  escaped as it was filled


def _section(name: str, page: StudyPage | DailyPage) -> str | None:
    section, own = SECTIONS[name], name in SECTIONS.own
    try:
        contents = section.contents(page)
        if contents is None:
            return None
        template = _environment().get_template(f"sections/{name}.html") if own else _fragment(section.template)
        return template.render(page=page, **contents)
    except Exception as error:
        if own:
            raise
        # A plug-in's fault takes no other section away.
        return _fragment(_FAILED).render(name=name, error=f"{type(error).__name__}: {error}")


@lru_cache(maxsize=64)
def _fragment(text: str) -> Template:
    return _environment().from_string(text)


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


def _slug(value: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in value.lower())


def _sentence(value: str) -> str:
    """Start with a capital and leave the rest as it is."""
    return value[:1].upper() + value[1:]
