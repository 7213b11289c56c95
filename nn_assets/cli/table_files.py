"""Frames written to files that people open: CSV, Parquet or JSON; whole or not at all, and never into the home."""

from __future__ import annotations

import csv
import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.store.home import home
from nn_assets.store.values import is_missing

# What a spreadsheet takes for a formula when a text cell begins with it; apostrophes before it are
# counted in, so that taking one away gives every text back. A signed number is no formula.
_FORMULA = re.compile(r"(?![+-](?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z)'*[=+\-@\t\r]")


def write_table_file(frame: pd.DataFrame, out: Path) -> None:
    r"""Write a frame to a file in the format of its suffix: beside, flushed, then renamed into place.

    In CSV a text that begins with ``= + - @``, tab or carriage return (apostrophes before it not
    counted) gets an apostrophe in front, so that no spreadsheet runs it; taking one apostrophe away
    from texts that match ``'+[=+\-@\t\r]`` gives every text back. Numbers stay as they are, those
    written as text (``-1.0``, ``+2e-7``) too, and so does every text in Parquet and JSON. Errors of `write_file`.
    """
    write_file(out, lambda file: FORMATS[out.suffix.lower()](frame, file))


def write_file(out: Path, write: Callable[[Path], object]) -> None:
    """Let a function fill a file beside, which is flushed, then renamed into place.

    Raises
    ------
    SettingsError
        The file would lie in the home, links followed, or where a folder or a pipe is, or cannot be
        written. What was there stays.
    """
    beside = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    staged = False
    try:
        _check_out_path(out)
        beside.open("xb").close()  # no file or link that was there is written to
        staged = True
        write(beside)
        with beside.open("rb") as stream:
            os.fsync(stream.fileno())
        beside.replace(out)
        staged = False
    except OSError as error:
        raise _unwritable(out, f"{type(error).__name__}: {error.strerror or error}") from error
    finally:
        if staged:
            beside.unlink(missing_ok=True)


def _check_out_path(out: Path) -> None:
    real, kept = Path(os.path.realpath(out)), home().resolve()
    if real.is_relative_to(kept):
        raise SettingsError(
            expected=f"a file outside the home {kept}, whose files are the system's own",
            found=str(real),
            remedy="choose another --out",
            file=str(out),
            key="--out",
        )
    if real.exists() and not real.is_file():
        raise _unwritable(out, "a folder, or what is no plain file")
    if not real.parent.exists():
        raise _unwritable(out, f"no folder {real.parent}")


def _unwritable(out: Path, found: str) -> SettingsError:
    return SettingsError(
        expected="a place that can be written",
        found=found,
        remedy="choose another --out",
        file=str(out),
        key="--out",
    )


def _to_csv(frame: pd.DataFrame, file: Path) -> None:
    safe = _neutralised(_flat(frame))
    # The writer leaves a lone carriage return bare, which readers take for the end of a line.
    split = any("\r" in str(value) for column in _texts(safe) for value in safe[column])
    safe.to_csv(file, index=False, quoting=csv.QUOTE_NONNUMERIC if split else csv.QUOTE_MINIMAL)


def _to_parquet(frame: pd.DataFrame, file: Path) -> None:
    _flat(frame).to_parquet(file, index=False)


def _to_json(frame: pd.DataFrame, file: Path) -> None:
    """One object a row; what is missing is null, and numbers keep every digit."""
    rows = ({name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records"))
    file.write_text("[" + ",\n ".join(json.dumps(row, allow_nan=False) for row in rows) + "]\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, (dict, list)):
        return value
    if is_missing(value):
        return None
    if isinstance(value, pd.Timestamp):
        return str(value.date()) if value.tzinfo is None else value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


FORMATS = {".csv": _to_csv, ".parquet": _to_parquet, ".json": _to_json}


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Mappings and lists as JSON text: a cell of CSV holds text, and Parquet takes no empty mapping."""
    flat = frame.copy()
    for column in flat.columns:
        nested = [isinstance(value, (dict, list)) for value in flat[column]]
        if any(nested):
            flat[column] = [
                json.dumps(value) if inner else value for value, inner in zip(flat[column], nested, strict=True)
            ]
    return flat


def _texts(frame: pd.DataFrame) -> list[str]:
    return [column for column in frame.columns if frame[column].dtype.kind not in "biufcmM"]


def _neutralised(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts that a spreadsheet would run as a formula, with a leading apostrophe."""
    safe = frame.copy()
    for column in _texts(safe):
        values = safe[column].astype("object")
        safe[column] = [f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value for value in values]
    return safe
