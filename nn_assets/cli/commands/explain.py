"""``nn-assets explain``: what moved the network's forecasts since the session before, or what each feature is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nn_assets.cli.app import DEFAULT_STRATEGY, AsJson, FromMonth, StrategyName, ToMonth, answer, app

if TYPE_CHECKING:
    from nn_assets.operations.explanation import MovedForecasts

_PARTS_SHOWN = 3


@app.command("explain")
def explain(
    strategy: StrategyName = DEFAULT_STRATEGY,
    session: Annotated[
        str | None,
        typer.Option(
            "--session",
            help="YYYY-MM-DD, or within the session YYYY-MM-DDTHH:MM, UTC, of a bar's start; default: the last closed.",
        ),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="All features of this one; default: all symbols.")
    ] = None,
    worth: Annotated[bool, typer.Option("--worth", help="What each feature was worth, over months.")] = False,
    first: FromMonth = None,
    last: ToMonth = None,
    as_json: AsJson = False,
) -> None:
    """Say what moved each forecast since the session before; with --worth, what each feature was worth in months."""
    if (session or symbol) if worth else (first or last):
        raise typer.BadParameter("--from and --to go with --worth, --session and --symbol without it")
    if worth:
        answer(as_json, lambda _: _worth(strategy, first, last))
    else:
        answer(as_json, lambda _: _moved(strategy, session, symbol))


def _moved(name: str, session: str | None, symbol: str | None) -> dict[str, Any]:
    from nn_assets.cli.runs import decision_asked, decision_named
    from nn_assets.errors import SettingsError, did_you_mean
    from nn_assets.operations.catalog import find_strategy
    from nn_assets.operations.explanation import moved_forecasts
    from nn_assets.operations.history import open_history

    strategy = find_strategy(name).strategy
    day = None if session is None else decision_asked(strategy, "--session", session)
    with open_history(strategy) as history:
        moved = moved_forecasts(history, day)
    now, before = (decision_named(strategy, moment) for moment in (moved.session, moved.before))
    if symbol is not None and symbol not in moved.move.symbols:
        raise SettingsError(
            expected=f"a symbol that {name} forecast on {before} and {now}",
            found=symbol,
            remedy=f"{did_you_mean(symbol, moved.move.symbols)}name one of {', '.join(moved.move.symbols) or 'none'}",
            key="--symbol",
        )
    return {
        "strategy": name,
        "session": now,
        "before": before,
        "model_id": moved.model_id,
        "refitted": moved.refitted,
        "symbols": [_one(moved, index) for index in range(len(moved.move.symbols))],
        "text": "\n".join(_text(f"{name}, {now}: what moved the network's forecasts since {before}", moved, symbol)),
    }


def _one(moved: MovedForecasts, index: int) -> dict[str, Any]:
    move = moved.move
    return {
        "symbol": move.symbols[index],
        "logit_before": float(move.before[index]),
        "logit": float(move.after[index]),
        "parts": dict(zip(move.features, map(float, move.parts[index]), strict=True)),
        "missed_fraction": float(move.missed[index]),
    }


def _text(what: str, moved: MovedForecasts, symbol: str | None) -> list[str]:
    from nn_assets.learning.explanation import COMPLETE

    move = moved.move
    lines = [f"{what}, in logits before calibration, by model {moved.model_id[:12]}"]
    if moved.refitted:
        lines.append(
            "A new model has come into force since then. It forecasts both sessions here, so the first differs from "
            "what was forecast at the time."
        )
    if not move.symbols:
        lines.append("No symbol has all of its features on both sessions.")
    shown = range(len(move.symbols)) if symbol is None else [move.symbols.index(symbol)]
    for index in shown:
        order = abs(move.parts[index]).argsort()[::-1]
        order = order if symbol is not None else order[:_PARTS_SHOWN]
        parts = ", ".join(f"{move.features[feature]} {move.parts[index, feature]:+.4f}" for feature in order)
        badly = f" (the parts miss {move.missed[index]:.0%} of it)" if move.missed[index] > COMPLETE else ""
        lines.append(f"{move.symbols[index]}: {move.before[index]:+.4f} to {move.after[index]:+.4f}{badly}: {parts}")
    return lines


def _worth(name: str, first: str | None, last: str | None) -> dict[str, Any]:
    import pandas as pd

    from nn_assets.cli.runs import months_asked
    from nn_assets.operations.catalog import find_strategy
    from nn_assets.operations.explanation import importance_by_month, loss_of
    from nn_assets.operations.history import open_history

    strategy = find_strategy(name).strategy
    with open_history(strategy) as history:
        newest = history.last_session.strftime("%Y-%m")
        low, high = months_asked(strategy, first, last, newest)
        monthly = importance_by_month(history, [str(month) for month in pd.period_range(low, high, freq="M")])
    table, (loss, unit) = monthly.table(), loss_of(strategy)
    sessions = sum(len(one.rise) for one in monthly.of_each)
    head = (
        f"{name}: how much the {loss} rises, in 1e-4 {unit}, when a feature's windows are shuffled among the "
        f"symbols of a session; {sessions} sessions of {len(monthly.months)} months, out of sample"
    )
    features = [
        {"feature": str(feature), "months": int(months), **_known(rise=rise, standard_error=error, t=statistic)}
        for feature, months, rise, error, statistic in table.itertuples(index=False)
    ]
    return {
        "strategy": name,
        "months": list(monthly.months),
        "loss": loss,
        "unit": unit,
        "features": features,
        "text": "\n".join([head, *map(_worth_text, features)]),
    }


def _known(**figures: float) -> dict[str, float | None]:
    """Figures as JSON has them: none for one that is not known."""
    return {name: float(value) if value == value else None for name, value in figures.items()}


def _worth_text(row: dict[str, Any]) -> str:
    if row["rise"] is None:
        return f"{row['feature']}: the same for all symbols of a session, so this says nothing about its worth"
    rise = f"{row['feature']}: {1e4 * row['rise']:+.2f}"
    if row["t"] is None:
        return f"{rise} (too few sessions for an error)"
    return f"{rise} (standard error {1e4 * row['standard_error']:.2f}, t {row['t']:+.1f})"
