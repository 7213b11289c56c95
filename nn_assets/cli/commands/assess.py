"""``nn-assets assess``: the yearly self-assessment of a strategy's controls, from the ledger alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nn_assets.cli.app import DEFAULT_STRATEGY, AsJson, From, StrategyName, To, answer, app


@app.command("assess")
def assess_command(
    strategy: StrategyName = DEFAULT_STRATEGY,
    year: Annotated[int | None, typer.Option("--year", min=1900, max=9999, help="A calendar year.")] = None,
    first: From = None,
    last: To = None,
    as_json: AsJson = False,
) -> None:
    """Write what each control did: what fired, what was overridden, by whom and why, and what was never tested."""
    if year is not None and (first or last):
        raise typer.BadParameter("--year goes without --from and --to")
    begin, end = (first, last) if year is None else (f"{year}-01-01", f"{year}-12-31")
    answer(as_json, lambda _: _assessed(strategy, begin, end))


def _assessed(name: str, first: str | None, last: str | None) -> dict[str, Any]:
    import pandas as pd

    from nn_assets.errors import SettingsError
    from nn_assets.operations.assessment import assess, write_assessment
    from nn_assets.operations.catalog import require_named
    from nn_assets.store.home import address_to_read
    from nn_assets.store.ledger.ledger import Ledger

    (named, *_) = require_named(name)
    days = list[pd.Timestamp | None]()
    for option, text in (("--from", first), ("--to", last)):
        try:
            days.append(None if text is None else pd.to_datetime(text, format="%Y-%m-%d"))
        except ValueError as error:
            raise SettingsError(
                expected="a day as YYYY-MM-DD", found=repr(text), remedy="write the day year first", key=option
            ) from error
    begin, end = days
    with address_to_read() as address, Ledger(address) as ledger:
        made = assess(ledger, named, begin, end)
    page, file = write_assessment(made)
    lines = [f"{named}: {made.sentence}", f"never tested: {'; '.join(made.untested) or 'none'}"]
    for control in made.controls:
        lines += [f"{control.name}: {event.session} {event.what}" for event in control.fired]
        lines += [
            f"{control.name}, overridden: {event.session} {event.what}"
            + (f", by {event.who}: {event.why}" if event.who else "")
            for event in control.overridden
        ]
    return {
        **made.to_dict(),
        "page": str(page),
        "file": str(file),
        "text": "\n".join([*lines, f"page  {page}", f"JSON  {file}"]),
    }
