"""Tables of the ledger. Each row is written once; a later truth about the same key is a new version.

Every table starts with ``strategy`` and ends with the same bookkeeping. Rows are kept by their place in the ledger;
no two have the same strategy, key and version.
"""

from __future__ import annotations

from dataclasses import replace

from nn_assets.contracts.contract import (
    Column,
    Contract,
    at_least,
    at_least_zero,
    between,
    day,
    flag,
    fraction,
    moment,
    number,
    one_of,
    positive,
    record,
    text,
    unjudged,
    whole,
)

STRATEGY = {"strategy": text("the strategy that the row is of; `*`: of the whole ledger")}
BOOKKEEPING = {
    "known_at": moment("from when on the row could be known; of a later version, when it was stored"),
    "version": Column("small", "1, and one more each time that the row says something else"),
    "version_reason": Column("line", "why it says something else", nullable=True),
    "run_id": text("the run that stored it"),
    "recorded_at": moment("when it was stored"),
    "sequence": Column("whole", "its place in the ledger, from 1; an entry of the chain seals it"),
}
_DATA = {"data_hash": text("hash of the bars that it was made from")}
_MODEL = {"model_id": text("the model")}
_CODE = {"code_version": text("hash of the code that it was made by")}
_REFERENCE = {"reference_at": moment("the moment of that close", nullable=True)}
OF_THE_ENTRY = {
    **{name: BOOKKEEPING[name] for name in ("known_at", "run_id", "recorded_at")},
    **(_DATA | _MODEL | _CODE | _REFERENCE),
}
"""What rows that were appended together may have in common: it then stands once, in their entry, unless it is of the
key, and is missing in the rows as they are kept. Whoever reads them through the ledger is given it."""
AUDIT_CHAIN = Contract(
    "audit_chain",
    "store",
    "An entry for the rows that one transaction appends to a table, which seals them and all entries before.",
    "sequence",
    exported="audit",
    indexes=(("table_name", "sequence"),),
).of(
    sequence=whole("none", "the place of the last row that it seals"),
    table_name=text("their table"),
    row_key=Column(
        "line",
        "canonical JSON of strategy, key and version; of several rows a list where they differ; kept packed where long",
    ),
    row_hash=Column("digest", "SHA-256 of the row's canonical JSON; of several rows, of their hashes in order"),
    previous_hash=Column("digest", "hash of the entry before"),
    hash=Column("digest", "SHA-256 of the hash before and this entry"),
    rows=replace(Column("small", "how many rows it seals; missing: one"), since="0005"),
    **{
        name: replace(column, says=f"of several rows, what is theirs in common: {column.says}", since="0005")
        for name, column in OF_THE_ENTRY.items()
    },
    digests=replace(Column("line", "of several rows, 16 letters of each one's hash, in base64"), since="0005"),
)

_SYMBOL = {"symbol": text("the instrument")}
_SESSION = {"session": day("the session")}
_AT = _SYMBOL | _SESSION
_KNOWN = {"known_at": BOOKKEEPING["known_at"]}
_SETTINGS = {"settings_hash": text("hash of the settings that it was made under")}
_MADE = _DATA | _CODE | _SETTINGS
_STUDY = {"study_id": text("the study that it is of")}
_MONTH = {"month": text("the month, as YYYY-MM")}
_VERDICT = {"verdict": text("what the study said: an edge or none, or that it cannot tell")}
_FIGURES = {"figures": record("figures by name")}
_DETAILS = {"details": record("what else there is to say, by name")}
_SPAN = {"first_session": day("the first session covered"), "last_session": day("the last one")}
_TRIAL = {"trial_id": text("hash of the configuration")}
_BAR = "session symbol"
_SHARE = "USD/share"


def _if_any(columns: dict[str, Column]) -> dict[str, Column]:
    """The same columns where there may be nothing to say."""
    return {name: replace(column, nullable=True) for name, column in columns.items()}


# --- the daily round -------------------------------------------------------------------------------

DECISIONS = Contract(
    "decisions", "operations", "The head of a session's round: what it was computed from.", "session"
).of(
    **_SESSION,
    **_DATA,
    **_MODEL,
    **_CODE,
    **_SETTINGS,
    **_if_any(_STUDY | _VERDICT),
    content_hash=text("hash of all that the round put on record"),
    **_DETAILS,
)
SIGNALS = Contract(
    "signals", "signals", "What is expected of a symbol, from its calibrated forecast.", _BAR, exported="signals"
).of(
    **_AT,
    probability=fraction("that the label comes true: the ensemble's mean, not calibrated"),
    dispersion=at_least_zero("probability", "standard deviation of the ensemble's members"),
    calibrated_probability=fraction("that the label comes true"),
    base_rate=replace(fraction("what the calibration says of a forecast that knows nothing"), since="0004"),
    direction=whole(
        "none",
        "1 long, -1 short, 0 none: the side of expected_return by `programme`; of calibrated_probability beside one "
        "half by `per_name`, which sizes by its side of base_rate unless the premium is held; of a binary contract yes "
        "or no",
        one_of(-1, 0, 1),
    ),
    expected_return=number(
        "fraction",
        "over the horizon, signed, before limits: by `programme` that of the decision, missing where a fact was; by "
        "`per_name`, and in sessions decided before that was kept, what calibrated_probability earns by the two means; "
        "of a binary contract that of yes",
        nullable=True,
    ),
    mean_win=at_least_zero("fraction", "mean gain over the horizon where the label came true", nullable=True),
    mean_loss=at_least_zero("fraction", "mean loss over the horizon where it did not", nullable=True),
    outcomes=whole("outcomes", "independent ones behind the two means", at_least(0)),
    outcome_sessions=replace(whole("sessions", "those that had outcomes", at_least(0)), since="0004"),
    forecast_volatility=positive("fraction/session", "standard deviation of returns", nullable=True),
    confidence=fraction("how much of the edge is believed"),
    **_MODEL,
    **_DATA,
    **_CODE,
    **_KNOWN,
)
TARGET_POSITIONS = Contract(
    "target_positions", "portfolio", "The position that a session decides on for a symbol.", _BAR, exported="positions"
).of(
    **_AT,
    reference_price=positive(_SHARE, "the close that sizes are counted by", nullable=True),
    **_REFERENCE,
    current_quantity=number("shares", "held before, negative where short"),
    target_quantity=number("shares", "to hold, negative where short"),
    target_weight=number("fraction of equity", "the target, signed; of a binary contract the stake, no negative"),
    stop_price=positive(_SHARE, "the stop of the target; missing where it is zero", nullable=True),
    **_KNOWN,
)
POSITION_STEPS = Contract(
    "position_steps",
    "portfolio",
    "A step of the eight by which a position got its size; of sessions with a row in `traces`, in its file.",
    "session symbol step",
).of(
    **_AT,
    step=whole("none", "its place, 1 to 8", between(1, 8)),
    rule=text("its name"),
    weight_before=number("fraction of equity", "the weight before it, signed"),
    weight_after=number("fraction of equity", "the weight after it, signed"),
    reason=replace(text("why, in a sentence with numbers"), lax=True),
)
TRACES = Contract(
    "traces",
    "portfolio",
    "The file of the lake that holds a session's steps, in the columns of `position_steps`.",
    "session",
    since="0005",
).of(
    **_SESSION,
    address=text("SHA-256 of what the file says, by which it is named"),
    rows=whole("steps", "how many it holds", at_least(0)),
)
ORDERS = Contract(
    "orders",
    "execution",
    "An order that a session decides on, sent or denied by the gate.",
    "client_order_id",
    exported="orders",
).of(
    client_order_id=text("the order's own name: the same decision gives the same"),
    **_AT,
    side=text("which way", "buy", "sell"),
    quantity=at_least_zero("shares", "how many"),
    execution=text("when it is to be filled", "next_open", "next_close"),
    urgency=text("passive, normal or close, by what was left unfilled; what fills make of it: execution.paper_fills"),
    reference_price=number(_SHARE, "the close that it was decided on", nullable=True),
    **_REFERENCE,
    status=text("what the gate said", "accepted", "denied"),
    reason_code=text("why it was denied", nullable=True),
)
FILLS = Contract(
    "fills", "portfolio", "A fill, of the paper broker, of a venue or imported.", "fill_id", exported="fills"
).of(
    fill_id=text("the fill's own name"),
    client_order_id=text("the order that it fills; empty where the file names none"),
    **_AT,
    quantity=number("shares", "how many, negative where sold"),
    price=positive(_SHARE, "what was paid, spread and impact included, commission not"),
    mid_price=positive(_SHARE, "the mid at the fill, impact included", nullable=True),
    half_spread_usd=number("USD", "what half the spread cost", nullable=True),
    commission_usd=number("USD", "the commission", nullable=True),
    impact_usd=number("USD", "what moving the price cost", nullable=True),
    source=text("who says so", "paper", "imported", "venue"),
    **_KNOWN,
    filled_at=replace(moment("when it was filled, where that is stated", nullable=True), since="0008"),
    later_mid_price=replace(
        positive(_SHARE, "the mid 30 to 60 minutes after the fill, where that is stated", nullable=True), since="0008"
    ),
)
STATED_LATER = ("filled_at", "later_mid_price")
"""Columns of fills that only a file or a venue states; the paper broker's fills have none of them."""
PORTFOLIO_STATES = Contract(
    "portfolio_states", "portfolio", "The book at a session's close.", "session", exported="portfolio"
).of(
    **_SESSION,
    cash_usd=number("USD", "cash, negative where owed"),
    equity_usd=number("USD", "cash and positions at their marks"),
    gross_fraction=number("fraction of equity", "positions, longs and shorts added"),
    net_fraction=number("fraction of equity", "positions, longs less shorts"),
    high_water_mark_usd=number("USD", "the highest equity since the last reset"),
    drawdown_fraction=at_least_zero("fraction", "how far equity lies below that mark"),
    session_return=number("fraction", "of equity since the close before"),
    costs_usd=number("USD", "what the session's trading cost"),
    breaker=text("the breakers latched, strictest first", nullable=True),
    book=record(
        "what the book needs beyond these columns to go on exactly, kept packed; exports name its cash flows instead"
    ),
)
HOLDINGS = Contract("holdings", "portfolio", "A symbol in the book at a session's close, flat ones included.", _BAR).of(
    **_SESSION,
    **_SYMBOL,
    quantity=number("shares", "held, negative where short"),
    price=positive(_SHARE, "the last mark", nullable=True),
    entry_price=positive(_SHARE, "the mean price of what is held", nullable=True),
    stop_price=positive(_SHARE, "where the position is given up", nullable=True),
    entered_session=day("the session that opened the position", nullable=True),
    blocked_side=whole("none", "side on which a stop was hit: 1, -1, 0 none", one_of(-1, 0, 1)),
    blocked_until=day("until when that side is not opened again", nullable=True),
)
DRIFT = Contract(
    "drift",
    "oversight",
    "A test whether forecasts or a feature strayed from their reference.",
    "session layer name",
    exported="drift",
).of(
    **_SESSION,
    layer=text("what was tested", "prediction", "feature"),
    name=text("the series tested"),
    statistic=number("by test", "KS distance, or CUSUM height in standard deviations", nullable=True),
    critical=number("by test", "what the statistic must exceed to have drifted", nullable=True),
    autocorrelation=number("none", "AR(1) coefficient of the reference series", nullable=True),
    drifted=flag("whether it strayed"),
)
TRADING_STATES = Contract(
    "trading_states", "oversight", "What drift and slippage allow, from a session on.", "session"
).of(
    session=day("the session whose close decided it"),
    effective_session=day("the first session whose decision it applies to"),
    state=text("what is allowed", "CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY"),
    score=number("points", "how severe the session's drift and slippage are", at_least(0)),
    reasons=record("why, a sentence each"),
)

# --- studies and models ------------------------------------------------------------------------------

STUDIES = Contract("studies", "evaluation", "What a walk-forward study says at a month's end.", "study_id").of(
    **_STUDY,
    **_MONTH,
    **_VERDICT,
    trial_count=whole("trials", "configurations ever tried on this history"),
    **_FIGURES,
    **_MADE,
    **_if_any(_SPAN),
)
TRIALS = Contract(
    "trials",
    "evaluation",
    "A configuration that was tried; all count against the strategy but `nested-`. `choice-`: what a search chose.",
    "trial_id data_hash code_version",
    exported="trials",
).of(
    **_TRIAL,
    **_DATA,
    **_CODE,
    **_if_any(_STUDY),
    configuration=record("the settings tried"),
    **_FIGURES,
)
LOOKS = Contract(
    "looks",
    "evaluation",
    "A verdict taken on a configuration's record, read or not: the next one may spend what it left.",
    "trial_id data_hash month",
    exported="looks",
    indexes=(("trial_id",),),
    since="0003",
).of(
    **_TRIAL,
    **_DATA,
    **_MONTH,
    **_STUDY,
    **_VERDICT,
    look=whole("looks", "how many there were, this one included"),
    sessions=whole("sessions", "of the record looked at"),
    trials=whole("trials", "configurations that it was adjusted for"),
    estimate=unjudged("by statistic", "the excess over chance"),
    standard_error=unjudged("by statistic", "of that excess"),
    degrees=unjudged("degrees of freedom", "of that error"),
    adjusted_p_value=unjudged("probability", "one-sided, after the trials"),
    allowed_p_value=unjudged("probability", "what this look may spend"),
    interval_low=unjudged("by statistic", "the lowest value that no look has ruled out"),
    interval_high=unjudged("by statistic", "the highest one"),
    smallest_effect=unjudged("by statistic", "the smallest value worth trading"),
    allows_trading=flag("whether positions may be taken on it"),
    **_DETAILS,
)
DATA_FINGERPRINTS = Contract(
    "data_fingerprints",
    "evaluation",
    "What the data of a hash are: trials and looks are shared by it, whatever the strategy's name.",
    "data_hash",
    since="0003",
).of(
    **_DATA,
    keys=whole("bars", "symbol-sessions with a close"),
    sample_limit=text("hashes below it are in the sample; hexadecimal"),
    sample=text("those hashes, as base64"),
    **_if_any(_SPAN),
)
MODELS = Contract("models", "learning", "The model in use from a month on.", "month model_id", exported="models").of(
    **_MONTH,
    **_MODEL,
    estimator=text("the network", nullable=True),
    fitted=flag("whether it was fitted for this month; if not, for an earlier one"),
    effective_session=day("the first session that it forecasts", nullable=True),
    artifact_sha256=text("SHA-256 of its file"),
    **_FIGURES,
    **_MADE,
)
REFRESH_REQUESTS = Contract(
    "refresh_requests", "operations", "A model asked for before its time, or the answer to it.", "event_id"
).of(
    event_id=text("the event's own name"),
    **_SESSION,
    cause=text("who asked, or what came of it"),
    **_DETAILS,
)

# --- data, costs, controls ---------------------------------------------------------------------------

PUBLICATIONS = Contract("publications", "market", "Bars that the gate let through.", "publication_id").of(
    publication_id=text("its own name"),
    content_hash=text("hash of the bars"),
    **_SPAN,
    rows=whole("bars", "published"),
    quarantined=whole("rows", "taken out by cleaning"),
    **_DETAILS,
)
COST_MODELS = Contract(
    "cost_models", "costs", "Coefficients of costs, worked out anew from fills.", "cost_model_id"
).of(
    cost_model_id=text("hash of what it says"),
    **_SESSION,
    source=text("whose fills: paper or imported"),
    in_force=flag("whether later sessions reckon with it"),
    coefficients=record("the coefficients by name"),
    **_FIGURES,
)
CONTROLS = Contract(
    "controls",
    "operations",
    "What a person set or released: kill switch, breakers, alarms, the clock; and estimates of capacity. The last one "
    "holds.",
    "control_id",
).of(
    control_id=text("its own name"),
    kind=text("what was set or released"),
    state=text("to what"),
    who=text("by whom"),
    reason=text("why"),
    **_DETAILS,
)
SETTINGS_VERSIONS = Contract(
    "settings_versions", "settings", "What a hash of settings stands for.", "settings_hash"
).of(
    **_SETTINGS,
    settings=record("the settings that count"),
)

# --- how it runs -------------------------------------------------------------------------------------

VERIFICATIONS = Contract(
    "verifications",
    "store",
    "Until where something that only grows was verified: the next one goes on from there.",
    "verification_id",
    indexes=(("strategy", "kind", "sequence"),),
    since="0002",
).of(
    verification_id=text("its own name"),
    kind=text("what was verified"),
    until_sequence=replace(whole("none", "the last entry of the chain that was"), nullable=True),
    until_session=day("the last session that was", nullable=True),
    head_hash=text("hash of that entry", nullable=True),
    **_DETAILS,
)
OUTCOMES = Contract(
    "outcomes",
    "operations",
    "How a run ended, and what a tick of a schedule or sensor came to.",
    "outcome_id",
    indexes=(("strategy", "kind", "name", "sequence"),),
    since="0002",
).of(
    outcome_id=text("the run, or the tick"),
    kind=text("run, tick or gate"),
    name=text("of the job, schedule or sensor"),
    outcome=text("how it ended"),
    message=text("what it said", nullable=True),
    failed_step=text("the step that failed", nullable=True),
    first_partition=text("the first partition of the run", nullable=True),
    last_partition=text("the last one", nullable=True),
    began_at=moment("when it began", nullable=True),
    ended_at=moment("when it ended", nullable=True),
    **_DETAILS,
)

# --- accounts at venues ------------------------------------------------------------------------------

ACCOUNT_ORDERS = Contract(
    "account_orders",
    "operations",
    "An order of an account, committed before it is sent: the orders of its books, netted. `strategy` is the account.",
    "client_order_id",
    exported="account_orders",
    since="0007",
).of(
    client_order_id=text("the order's own name at the venue: the same orders of books give the same"),
    session=day("the session that it is for; of a stop the one from which on it rests"),
    **_SYMBOL,
    quantity=number("shares", "how many, negative where sold; 0 where the books' orders cancel each other out"),
    kind=text("when it fills", "at_open", "at_close", "market", "limit", "stop"),
    price=positive(_SHARE, "of a limit or a stop", nullable=True),
    reference_price=positive(_SHARE, "the close that its books decided on", nullable=True),
    allotment=record("the orders of books that it stands for: book, client_order_id, quantity"),
)
ORDER_EVENTS = Contract(
    "order_events",
    "operations",
    "What became of an order of an account. `strategy` is the account.",
    "event_id",
    exported="order_events",
    since="0007",
).of(
    event_id=text("the event's own name: the same event gives the same"),
    client_order_id=text("the order"),
    **_SESSION,
    event=text(
        "what became of it",
        *(
            "sending",
            "taken",
            "refused",
            "unsure",
            "unknown",
            "withdrawn",
            "cancel_asked",
            "not_yet",
            "missed",
            "ended",
        ),
    ),
    reason=text("why, or in which way it ended", nullable=True),
    **_DETAILS,
)
ACCOUNT_FILLS = Contract(
    "account_fills",
    "operations",
    "A fill as the venue says it, with what each book gets of it. `strategy` is the account.",
    "fill_id",
    exported="account_fills",
    since="0007",
).of(
    fill_id=text("the venue's own name of it"),
    client_order_id=text("the order that it fills; empty where the venue names none"),
    session=day("the session on which it was filled"),
    **_SYMBOL,
    quantity=number("shares", "how many, negative where sold"),
    price=number(_SHARE, "what was paid, commission not"),
    commission_usd=number("USD", "the commission; missing where the venue does not say", nullable=True),
    filled_at=moment("when it was filled"),
    state=text("whether books were given it", "allotted", "held_back"),
    reason=text("why it was held back", nullable=True),
    allotment=record(
        "what each book gets: book, client_order_id, quantity, commission_usd, is_stop, and what else was said"
    ),
)
RECONCILIATIONS = Contract(
    "reconciliations",
    "operations",
    "Whether an account agrees with its books; the last one holds. `strategy` is the account.",
    "reconciliation_id",
    exported="reconciliations",
    since="0007",
).of(
    reconciliation_id=text("its own name"),
    session=day("the last session that was over"),
    state=text("agreed, differs, or accepted by a person", "agreed", "differs", "accepted"),
    who=text("who accepted what the venue says", nullable=True),
    reason=text("why", nullable=True),
    differences=record("what differs: kind, symbol, what the books have, what the venue has"),
    **_DETAILS,
)
ACCOUNTS = (ACCOUNT_ORDERS, ORDER_EVENTS, ACCOUNT_FILLS, RECONCILIATIONS)
"""What the driver of an account at a venue puts on record, under the name of the account."""

ROUNDS = (
    *(DECISIONS, SIGNALS, TARGET_POSITIONS, POSITION_STEPS, TRACES, ORDERS, PORTFOLIO_STATES, HOLDINGS, DRIFT),
    TRADING_STATES,
)
"""What a session's round puts on record, in one transaction and at one moment; fills beside it may be imported."""
ACTS = (
    *(STUDIES, TRIALS, LOOKS, DATA_FINGERPRINTS, MODELS, REFRESH_REQUESTS, COST_MODELS, CONTROLS, SETTINGS_VERSIONS),
)
"""What persons, studies and trainings put on record: it does not grow with every session. A row that a round no longer
finds decides by its absence, so that these are held against the chain before each."""
LEDGER = (*ROUNDS, FILLS, *ACTS, PUBLICATIONS, VERIFICATIONS, OUTCOMES, *ACCOUNTS)
"""Every table whose rows the chain seals, in the order in which they are listed."""
