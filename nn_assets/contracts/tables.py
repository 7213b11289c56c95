"""Tables of the lake, and frames that cross a room on their way there.

A column is nullable only where its line says so; columns a contract does not name are refused.
"""

from __future__ import annotations

from nn_assets.contracts.contract import (
    PRICES,
    Check,
    Contract,
    at_least_zero,
    day,
    fraction,
    moment,
    number,
    positive,
    text,
    unjudged,
)
from nn_assets.estimators import ESTIMATORS, VOLATILITY

BRACKET_TOLERANCE = 1e-9
"""Relative slack of high and low around open and close: what adjusting by a factor rounds off."""

QUOTES = tuple(f"{side}_{price}" for side in ("bid", "ask") for price in PRICES)
"""Columns of a bar's bid and ask, each with its own open, high, low and close."""

DETAILS = ("vwap", "trades", "bid", "ask", "effective_spread")
"""What a source may say of a daily bar beyond its prices and volume; most sources say none of it."""

LEFT_BY = ("delisting", "settlement")
"""Kinds of actions after which a symbol is no more, and what is held of it is paid out."""

_SHARE = "USD/share"
_SYMBOL = {"symbol": text("the instrument")}
_SESSION = {"session": day("the session")}
_AT = _SYMBOL | _SESSION
_SOURCE = {"source": text("who delivered it: a vendor, or the file")}
_KNOWN = {"known_at": moment("from when on the row could be known")}
_MOMENTS = "known_at ingested_at"
_VERSION = _SOURCE | _KNOWN | {"ingested_at": moment("when it was taken in; later ones replace earlier ones")}

_AS_IT_CAME = {name: unjudged(_SHARE, f"the {name} as it came, faulty perhaps") for name in PRICES}
_VOLUME_AS_IT_CAME = {"volume": unjudged("shares", "the volume as it came, faulty perhaps")}
_FAULTY_BAR = _AT | _AS_IT_CAME | _VOLUME_AS_IT_CAME
_CLEAN = {name: positive(_SHARE, f"the {name}, as the source quotes it") for name in PRICES}
# NaN where the instrument is quoted without volume; cleaning decides whether that is a fault.
_CLEAN_VOLUME = {"volume": at_least_zero("shares", "what was traded; missing where none is quoted", nullable=True)}
_BRACKET = (
    Check(
        "high >= max(open, close)",
        holds=lambda bars: ~(bars["high"] * (1.0 + BRACKET_TOLERANCE) < bars[["open", "close"]].max(axis=1)),
    ),
    Check(
        "low <= min(open, close)",
        holds=lambda bars: ~(bars["low"] * (1.0 - BRACKET_TOLERANCE) > bars[["open", "close"]].min(axis=1)),
    ),
)
_BAR = "symbol session"

DELIVERED_BARS = Contract(
    "delivered_bars",
    "sources",
    "A daily bar that a source hands over; it may be faulty: cleaning judges it, with the row at hand.",
    _BAR,
    repeats=True,
).of(
    **_FAULTY_BAR,
    **_SOURCE,
)
BAR_VERSIONS = Contract(
    "bar_versions",
    "market",
    "A version of a daily bar, raw as it came; rows are only ever appended.",
    _BAR,
    told_apart_by=f"{_MOMENTS} source",  # of files that say the same, each has its own words
).of(
    **_FAULTY_BAR,
    **_VERSION,
)
COMPARED = Contract(
    "compared",
    "market",
    "A version of a daily bar of the second source, raw as it came, against which the first one's bars are held.",
    _BAR,
    told_apart_by=f"{_MOMENTS} source",  # of files that say the same, each has its own words
    exported="compared",
).of(
    **BAR_VERSIONS.columns,
)
BARS = Contract(
    "bars", "market", "A clean daily bar: what the gate lets through.", _BAR, checks=_BRACKET, exported="bars"
).of(
    **_AT,
    **_CLEAN,
    **_CLEAN_VOLUME,
    **_VERSION,
)

_DETAILS_OF = {
    "vwap": positive(_SHARE, "the volume-weighted average price; missing where none is given", nullable=True),
    "trades": at_least_zero("trades", "how many there were; missing where that is not given", nullable=True),
    "bid": positive(_SHARE, "the bid at the close; missing where none is given", nullable=True),
    "ask": positive(_SHARE, "the ask at the close; missing where none is given", nullable=True),
    "effective_spread": at_least_zero(
        "fraction", "twice the distance of the trades from the mid, over the mid, weighed by size", nullable=True
    ),
}
BAR_DETAILS = Contract(
    "bar_details",
    "market",
    "A version of what a source says of a daily bar beyond its prices and volume; rows are only ever appended.",
    _BAR,
    told_apart_by=f"{_MOMENTS} source",  # of files that say the same, each has its own words
    exported="bar_details",
).of(
    **_AT,
    **_DETAILS_OF,
    **_VERSION,
)

_ACTION = _SYMBOL | {
    "ex_session": day("the first session that trades without it"),
    "kind": text("what happened", "split", "dividend", *LEFT_BY),
    "value": at_least_zero(
        "new shares for one; USD/share",
        "of a split; of a dividend, delisting or settlement (0 or 1). Missing: withdrawn",
        nullable=True,
    ),
}
_WORTH = (
    Check(
        "value > 0, of a delisting >= 0",
        holds=lambda actions: ~((actions["value"] == 0.0) & ~actions["kind"].isin(LEFT_BY)),
    ),
    Check(
        "value 0 or 1 of a settlement",
        holds=lambda actions: (
            (actions["kind"] != "settlement") | actions["value"].isna() | actions["value"].isin((0.0, 1.0))
        ),
    ),
)
_AN_ACTION = "symbol ex_session kind"

DELIVERED_ACTIONS = Contract(
    "delivered_actions",
    "sources",
    "A corporate action that a source hands over; dividends of one day are added up.",
    _AN_ACTION,
    checks=_WORTH,
).of(
    **_ACTION,
    **_SOURCE,
)
ACTION_VERSIONS = Contract(
    "action_versions",
    "market",
    "A version of a corporate action; rows are only ever appended.",
    _AN_ACTION,
    told_apart_by=_MOMENTS,
    checks=_WORTH,
    exported="actions",
).of(
    **_ACTION,
    **_VERSION,
)

_FINDING = {
    "rule": text("the rule that it breaks"),
    "field": text("the column"),
    "value": text("what stood there, as text"),
}
QUARANTINE = Contract(
    "quarantine", "market", "A value of a row that cleaning took out, and the rule by which.", exported="quarantine"
).of(
    **_AT,
    **_FINDING,
    **_SOURCE,
    **_KNOWN,
    message=text("why, in words"),
)
NOTICES = Contract(
    "notices",
    "market",
    "What a person should judge: a stretch of one symbol, of many or of all, which is published all the same.",
    exported="notices",
).of(
    **_SYMBOL,
    session=day("the first session of the stretch"),
    last_session=day("its last one"),
    rule=text("the rule that noticed it"),
    value=unjudged("by rule", "how much: a log return, a factor, a share, basis points or a count"),
    message=text("what was noticed, in words"),
)
FEATURES = Contract(
    "features",
    "features",
    "Features of a symbol at the close of a session.",
    _BAR,
    exported="features",
    more="a number for each feature of the strategy, without unit; missing where its window has no values",
).of(
    **_SESSION,
    **_SYMBOL,
)
FORECASTS = Contract(
    "forecasts",
    "learning",
    "What an estimator forecasts of a symbol at the close of a session.",
    "symbol session estimator",
    exported="forecasts",
).of(
    **_AT,
    estimator=text("which one", *ESTIMATORS, VOLATILITY),
    probability=fraction(
        "that the label comes true, not calibrated; of `volatility`, or a label that is the log of one, v / (1 + v), "
        "v the variance over the horizon in units of the name's recent one"
    ),
    dispersion=at_least_zero("probability", "standard deviation of the ensemble's members"),
    model_id=text("the model that made it"),
)
NOVELTY = Contract(
    "novelty",
    "signals",
    "How unlike a forecast's row of features is to those that its model was fitted on; computed from the model again.",
    _BAR,
    exported="novelty",
).of(
    **_AT,
    p_value=fraction("of a row as unlike, among the model's own; missing: the row was not scored", nullable=True),
    model_id=text("the model in force, which judges it"),
)
RANGES = Contract(
    "ranges",
    "signals",
    "The range that a symbol's price keeps to, suggested for a grid at a session's close; nothing trades by it.",
    _BAR,
    exported="ranges",
).of(
    **_AT,
    level=positive(_SHARE, "what the price reverts to; missing: no range", nullable=True),
    lower_bound=positive(_SHARE, "the lowest step of the grid", nullable=True),
    upper_bound=positive(_SHARE, "the highest step of the grid", nullable=True),
    spacing=at_least_zero("fraction", "from one step to the next, at least what a round trip costs", nullable=True),
    steps=at_least_zero("steps", "from the lowest to the highest", nullable=True),
    half_life=at_least_zero("sessions", "until half of a departure from the level is gone", nullable=True),
    p_value=fraction("of the hypothesis that the price has no level; missing: not tested", nullable=True),
    said=text("range, or why there is none"),
)

_OBSERVATION = {
    "name": text("the series, as the strategy names it"),
    "symbol": text("the instrument; empty: of the whole market"),
    "observed_at": moment("the moment that it is of"),
}
_OBSERVED = "name symbol observed_at"
_OWN = "the series' own"

DELIVERED_SERIES = Contract(
    "delivered_series", "sources", "An observation of another series as its file gives it.", _OBSERVED, repeats=True
).of(
    **_OBSERVATION,
    value=unjudged(_OWN, "what was observed, faulty perhaps"),
    **{name: unjudged(_OWN, f"the day's {name}, of a file that gives it") for name in ("open", "low", "high")},
    **_SOURCE,
    known_at=moment("from when on it could be known, where the file says so", nullable=True),
)
SERIES = Contract(
    "series",
    "market",
    "A version of an observation of another series; rows are only ever appended.",
    _OBSERVED,
    told_apart_by=_MOMENTS,
    exported="series",
).of(
    **_OBSERVATION,
    session=day("the session that it counts for"),
    value=number(_OWN, "what was observed"),
    **_VERSION,
)
MEMBERSHIP = Contract(
    "membership",
    "market",
    "A version of a spell of membership; a symbol has a spell for each time it belonged.",
    "universe symbol member_from",
    told_apart_by=_MOMENTS,
    exported="membership",
).of(
    universe=text("the universe, as the strategy names it"),
    symbol=text("the member"),
    member_from=day("the first day it is one"),
    member_to=day("the first day it is none; missing: still one", nullable=True),
    **_VERSION,
)

HALTS = Contract(
    "trading_halts",
    "market",
    "A version of a halt: a stretch of sessions on which an instrument did not trade.",
    "symbol halted_from",
    told_apart_by=_MOMENTS,
    exported="halts",
).of(
    **_SYMBOL,
    halted_from=day("the first session of it"),
    resumes=day("the first day that trades again; missing: halted still", nullable=True),
    **_VERSION,
)

_INTRADAY = _SYMBOL | {"bar_at": moment("the bar's start")} | _SESSION
INTRADAY_VERSIONS = Contract(
    "intraday_versions",
    "market",
    "A version of a bar within the session, raw as it came; rows are only ever appended.",
    "symbol bar_at",
    told_apart_by=_MOMENTS,
).of(
    **_INTRADAY,
    **_AS_IT_CAME,
    **_VOLUME_AS_IT_CAME,
    **{name: unjudged(_SHARE, f"the {name.replace('_', ' at its ')} as it came") for name in QUOTES},
    **_VERSION,
)
INTRADAY_BARS = Contract(
    "intraday_bars",
    "market",
    "A clean bar within the session: what its gate lets through.",
    "symbol bar_at",
    checks=_BRACKET,
    exported="intraday",
).of(
    **_INTRADAY,
    **_CLEAN,
    **_CLEAN_VOLUME,
    **{name: positive(_SHARE, f"the {name.replace('_', ' at its ')}", nullable=True) for name in QUOTES},
    **_VERSION,
)

INTRADAY_DETAILS = Contract(
    "intraday_details",
    "market",
    "A version of what a source says of a bar within the session beyond its prices, volume and quotes; rows are only "
    "ever appended.",
    "symbol bar_at",
    told_apart_by=_MOMENTS,
    exported="intraday_details",
).of(
    **_INTRADAY,
    **_DETAILS_OF,
    **_VERSION,
)

CROSSING = (DELIVERED_BARS, DELIVERED_ACTIONS, DELIVERED_SERIES)
"""Frames that are handed over and not stored."""
LAKE = (
    *(BARS, COMPARED, QUARANTINE, NOTICES, FEATURES, FORECASTS, INTRADAY_BARS, ACTION_VERSIONS, SERIES, MEMBERSHIP),
    *(BAR_DETAILS, INTRADAY_DETAILS, HALTS, RANGES, NOVELTY, BAR_VERSIONS, INTRADAY_VERSIONS),
)
"""Tables of the lake; what is exported comes first, in the order in which it is listed."""
