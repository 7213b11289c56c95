"""Make the home of version 0.1: what an operator's home looked like before the code was taken apart.

    NN_ASSETS_HOME=/srv/nn_assets_home python -m tests.home_0_1.make_home

It ran once, on commit 031b0d1, and wrote ``home.tar.gz`` beside it. Do not run it again: the point of that file is
that the code of then wrote it, and nothing else can write it now. It is kept to say how each thing in the home came
about. No test imports it. Of the package it uses the command line alone. Started by its file's name it would find an
installed package rather than the checkout's, perhaps of another version: it looks, and refuses.

The home must be made under a neutral path: the record of files read (``lake/*/raw_bars/files_read.json``) holds the
absolute path of the source.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import exchange_calendars
import numpy as np
import pandas as pd
from typer.testing import CliRunner

import nn_assets
from nn_assets.cli import app

COMMIT = "031b0d102ca4480a48cb9de1712eda8f927772cc"
ARCHIVE = Path(__file__).with_name("home.tar.gz")
MOST_BYTES = 1_000_000
FIRST, LAST = "2015-01-02", "2016-07-15"  # of the bars; the strategies see those before VAULT alone
VAULT = "2016-07-01"

# Names that a spreadsheet, a file system or a parser may take for something else.
ALONE = ("CON", "TRUE", "BRK.B", "NAN", "KO")
PAIRED = ("AA", "BB", "CC", "DD", "EE", "FF")

COMMON = """\
learning:
  network: mlp
  lookback: 5
  hidden: 4
  layers: 1
  ensemble: 2
  learning_rate: 0.01
  batch_size: 32
  maximum_epochs: 3
  patience: 2
  processes: 1
walk_forward:
  training_months: 6
  validation_months: 1
  calibration_months: 1
  refit_every_months: 3
  minimum_training_rows: 200
costs:
  half_spread_bps: 0.5
  commission_bps: 0.2
oversight:
  drift_window_sessions: 20
  drift_reference_sessions: 60
trade_without_verdict: true
"""

HOUSE = f"""\
name: house
description: Five stocks, one file each, with splits and dividends.
source:
  kind: files
  path: house_bars              # relative to this file
  actions_path: house_actions.csv
market:
  calendar: XNYS
  symbols: [CON, "TRUE", BRK.B, NAN, KO]
  history_starts: {FIRST}
  history_ends: {LAST}
  vault_starts: {VAULT}
  live_starts: 2016-06-13
features:
  names: [log_return_1, log_return_5, momentum_1, range_over_close]
label:
  horizon_sessions: 3
  execution: next_open
portfolio:
  minimum_outcomes: 20
  shrink_prior_outcomes: 0
  correlation_sessions: 20
{COMMON}"""

PAIR = f"""\
name: pair
description: Six stocks in one file, long against short.
source:
  kind: files
  path: pair_bars
market:
  calendar: XNYS
  symbols: [AA, BB, CC, DD, EE, FF]
  history_starts: {FIRST}
  history_ends: {LAST}
  vault_starts: {VAULT}
  live_starts: 2016-06-23
features:
  names: [log_return_1, log_return_5, close_location]
label:
  kind: direction_relative
  horizon_sessions: 3
  execution: next_close
portfolio:
  minimum_outcomes: 20
  shrink_prior_outcomes: 0
  correlation_sessions: 20
  net_limit: 0
{COMMON}"""

Row = tuple[str, str, str, float, str]
ACTIONS: list[Row] = [  # symbol, ex-session, kind, value, known_at
    ("KO", "2015-09-15", "dividend", 0.4, ""),
    ("CON", "2016-02-01", "split", 2.0, ""),
    ("TRUE", "2016-06-16", "split", 2.0, ""),
    ("KO", "2016-06-21", "dividend", 0.45, ""),
]
LATE: Row = ("BRK.B", "2016-06-15", "dividend", 0.5, "2016-06-20T12:00:00Z")

BROKER = """\
fill_id,client_order_id,symbol,session,quantity,price,mid_price,commission_usd
b1,o1,CON,2016-06-14,100,50.02,50.0,0.1
b2,o2,KO,2016-06-15,-40,61.97,62.0,0.1
b3,o3,BRK.B,2016-06-16,25,48.03,48.01,0.1
"""


# --- a market ------------------------------------------------------------------------------------------------


def market(symbols: tuple[str, ...], seed: int) -> dict[str, pd.DataFrame]:
    """Bars of a made-up market; each symbol has a slow drift of its own, so that there is something to learn."""
    draw = np.random.default_rng(seed)
    sessions = exchange_calendars.get_calendar("XNYS").sessions_in_range(FIRST, LAST)
    common = draw.normal(0.0, 0.004, len(sessions))
    bars = {}
    for symbol in symbols:
        drift = draw.normal(0.0, 1.0, len(sessions))
        for row in range(1, len(drift)):
            drift[row] = 0.95 * drift[row - 1] + 0.312 * drift[row]
        own = 0.0055 * drift + draw.normal(0.0, 0.009, len(sessions))
        close = 50.0 * np.exp(np.cumsum(common + own))
        opening = np.r_[50.0, close[:-1]] * np.exp(draw.normal(0.0, 0.002, len(sessions)))
        reach = np.abs(draw.normal(0.0, 0.004, (2, len(sessions))))
        bars[symbol] = pd.DataFrame(
            {
                "Date": sessions.strftime("%Y-%m-%d"),
                "Open": opening,
                "High": np.maximum(opening, close) * np.exp(reach[0]),
                "Low": np.minimum(opening, close) * np.exp(-reach[1]),
                "Close": close,
                "Volume": draw.integers(1_000_000, 4_000_000, len(sessions)),
            }
        )
    return bars


def quoted(bars: dict[str, pd.DataFrame], rows: list[Row]) -> None:
    """Quote the bars as an exchange would over the actions."""
    for symbol, day, kind, value, _ in rows:
        frame = bars[symbol]
        after = frame["Date"] >= day
        prices = ["Open", "High", "Low", "Close"]
        if kind == "split":
            frame.loc[after, prices] /= value
            frame.loc[after, "Volume"] = (frame.loc[after, "Volume"] * value).astype("int64")
        else:
            before = frame.loc[~after, "Close"].iloc[-1]
            frame.loc[after, prices] *= 1.0 - value / before


def write_actions(home: Path, rows: list[Row]) -> None:
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value", "known_at"])
    frame.to_csv(home / "strategies" / "house_actions.csv", index=False)


def write_house(home: Path) -> None:
    """One file for each symbol; one price that cannot be, for the quarantine."""
    bars = market(ALONE, seed=11)
    quoted(bars, [*ACTIONS, LATE])
    bars["CON"].loc[bars["CON"]["Date"] == "2015-03-10", "Close"] = -12.5
    folder = home / "strategies" / "house_bars"
    folder.mkdir(parents=True)
    for symbol, frame in bars.items():
        frame.to_csv(folder / f"{symbol}_data.csv", index=False, float_format="%.4f")
    write_actions(home, ACTIONS)
    (home / "strategies" / "house.yaml").write_text(HOUSE, encoding="utf-8")


def write_pair(home: Path) -> None:
    """One long file; the bar of BB for 2016-06-24 is stated to have been known three days later."""
    bars = market(PAIRED, seed=12)
    long = pd.concat([frame.assign(Symbol=symbol) for symbol, frame in bars.items()], ignore_index=True)
    long["known_at"] = ""
    late = (long["Symbol"] == "BB") & (long["Date"] == "2016-06-24")
    long.loc[late, "known_at"] = "2016-06-27T12:00:00Z"
    folder = home / "strategies" / "pair_bars"
    folder.mkdir(parents=True)
    long.to_csv(folder / "all.csv", index=False, float_format="%.4f")
    (home / "strategies" / "pair.yaml").write_text(PAIR, encoding="utf-8")


def restate(file: Path, day: str, factor: float) -> None:
    """Correct the close of a day, as a vendor does after the fact; within high and low."""
    frame = pd.read_csv(file)
    row = frame["Date"] == day
    close = frame.loc[row, "Close"] * factor
    frame.loc[row, "Close"] = close.clip(frame.loc[row, "Low"], frame.loc[row, "High"])
    frame.to_csv(file, index=False, float_format="%.4f")


# --- an operator ---------------------------------------------------------------------------------------------


def give(*words: str) -> None:
    """Give a command in this process; it must succeed."""
    done = CliRunner().invoke(app, [*words, "--json"])
    print(*words, "->", done.exit_code, done.stdout.strip(), flush=True)
    if done.exit_code:
        sys.exit(done.stderr)


def run(strategy: str, *sessions: str) -> None:
    for session in sessions:
        give("run", "--strategy", strategy, "--session", session)


def switch(state: str, reason: str) -> None:
    give("control", "kill-switch", state, "--strategy", "house", "--who", "operator", "--reason", reason)


def live(home: Path) -> None:
    """The studies, and the days of two strategies: what happened, in order."""
    give("study", "--strategy", "house")
    run("house", "2016-06-13", "2016-06-14", "2016-06-15", "2016-06-16")
    # A bar of history and one of a decided session are restated, and a dividend is told late.
    bars = home / "strategies" / "house_bars"
    restate(bars / "BRK.B_data.csv", "2016-03-10", 1.004)
    restate(bars / "KO_data.csv", "2016-06-14", 0.997)
    write_actions(home, [*ACTIONS, LATE])
    run("house", "2016-06-17", "2016-06-20")
    switch("HALTED", "the feed looks wrong")
    run("house", "2016-06-21")
    switch("ACTIVE", "the feed was right")
    run("house", "2016-06-22", "2016-06-23")
    fills = home / "broker_fills.csv"
    fills.write_text(BROKER, encoding="utf-8")
    give("import-fills", str(fills), "--strategy", "house")
    run("house", "2016-06-24")
    give("study", "--strategy", "pair")
    run("pair", "2016-06-23", "2016-06-24", "2016-06-27")
    give("audit", "verify")
    give("status")


# --- an archive ----------------------------------------------------------------------------------------------

_LEFT_OUT = {"dagster", "reports"}  # Dagster's own runs, and pages that can be made again


def checkpoint(home: Path) -> None:
    """Bring the write-ahead log into the ledger's one file."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        (home / f"ledger.sqlite{suffix}").unlink(missing_ok=True)


def pack(home: Path) -> int:
    """Pack the home: the same bytes for the same files. How many bytes."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(home.rglob("*")):
            within = file.relative_to(home)
            if not file.is_file() or within.parts[0] in _LEFT_OUT or file.name == ".lock":
                continue
            entry = tarfile.TarInfo(within.as_posix())
            entry.size, entry.mode = file.stat().st_size, 0o644
            entry.mtime = 1_467_331_200  # 2016-07-01, long ago: files that settled
            archive.addfile(entry, io.BytesIO(file.read_bytes()))
    with ARCHIVE.open("wb") as stream, gzip.GzipFile("", "wb", 9, stream, mtime=0) as packed:
        packed.write(plain.getvalue())
    return ARCHIVE.stat().st_size


def require_the_code_of_then() -> None:
    """Refuse any code but that of ``COMMIT``, unchanged, in this very checkout."""
    checkout = Path(__file__).resolve().parents[2]
    package = Path(str(nn_assets.__file__)).resolve().parent
    if package != checkout / "nn_assets":
        sys.exit(f"the package of {checkout} was expected, found {package}")
    for words in (
        ["diff", "--exit-code", "--stat", COMMIT, "--", "nn_assets", "sql"],
        ["status", "--short", "nn_assets"],
    ):
        done = subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, check=False)
        if done.returncode or done.stdout:
            sys.exit(f"the code of {COMMIT} was expected: {done.stdout}{done.stderr}")


def main() -> None:
    require_the_code_of_then()
    home = Path(os.environ["NN_ASSETS_HOME"])
    if ARCHIVE.exists():
        sys.exit(f"{ARCHIVE} is there: it was made once, and is not made again")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    write_house(home)
    write_pair(home)
    live(home)
    checkpoint(home)
    size = pack(home)
    print(f"{size:,} bytes")
    assert size <= MOST_BYTES, size


if __name__ == "__main__":
    main()
