"""``nn-assets replay``: a decided session derived again from what was known then, and what explains a difference."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nn_assets.cli.app import DEFAULT_STRATEGY, AsJson, StrategyName, answer, app


@app.command("replay")
def replay_command(
    session: Annotated[str, typer.Option("--session", help="YYYY-MM-DD, a decided session.")],
    strategy: StrategyName = DEFAULT_STRATEGY,
    as_json: AsJson = False,
) -> None:
    """Derive a past decision again from what was known then, row by row to the bit, and explain what differs."""
    answer(as_json, lambda _: _replayed(strategy, session))


def _replayed(name: str, session: str) -> dict[str, Any]:
    from nn_assets.cli.runs import session_asked
    from nn_assets.operations.catalog import find_strategy
    from nn_assets.operations.decisions.rederived_session import rederive_session

    strategy = find_strategy(name).strategy
    made = rederive_session(strategy, session_asked(strategy, "--session", session))
    return {
        "ok": made.ok,
        "strategy": name,
        "session": str(made.session.date()),
        "decided_at": made.decided_at,
        "equal": made.equal,
        "differences": list(made.differing),
        "refused": made.refused,
        "explained": [*made.explained, *made.settings_then],
        "arrived_since": list(made.arrived),
        "code": made.code,
        "settings": made.settings_hash,
        "model": made.model_id,
        "text": "\n  ".join([f"{name} {made.lines[0]}", *made.lines[1:]]),
    }
