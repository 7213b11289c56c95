"""What a frame says, as one hash: independent of file formats, libraries and machines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from nn_assets.arrays import number_bytes
from nn_assets.errors import SchemaError
from nn_assets.store.values import canonical_json


def frame_hash(frame: pd.DataFrame) -> str:
    """SHA-256 over column names, types and values, in hex.

    Parameters
    ----------
    frame : DataFrame, shape (rows, columns)
        Numbers, booleans, text, sessions (tz-naive) and moments (UTC). Rows and columns count in
        their order; the index does not count. Every NaN is the same NaN, and both zeros are one.

    Raises
    ------
    SchemaError
        A column has a type that has no canonical form.
    """
    digest = hashlib.sha256()
    digest.update(f"rows {len(frame)}\n".encode())
    for name in frame.columns:
        for part in _column_parts(str(name), frame[name]):
            digest.update(part)
    return digest.hexdigest()


def _column_parts(name: str, values: pd.Series) -> Iterator[bytes]:
    kind = values.dtype
    if pd.api.types.is_bool_dtype(kind) and isinstance(kind, np.dtype):
        parts, spelled = [values.to_numpy().astype("u1").tobytes()], str(kind)
    elif pd.api.types.is_integer_dtype(kind) and isinstance(kind, np.dtype):
        parts, spelled = [values.to_numpy().astype("<i8").tobytes()], str(kind)
    elif pd.api.types.is_float_dtype(kind) and isinstance(kind, np.dtype):
        parts, spelled = [number_bytes(values.to_numpy(dtype=np.float64))], str(kind)
    elif isinstance(kind, pd.DatetimeTZDtype):
        parts, spelled = [_moment_bytes(values.dt.tz_convert("UTC").dt.tz_localize(None))], str(kind)
    elif pd.api.types.is_datetime64_dtype(kind):
        parts, spelled = [_moment_bytes(values)], str(kind)
    elif pd.api.types.is_string_dtype(kind) or isinstance(kind, pd.CategoricalDtype):
        parts, spelled = _text_parts(name, values), "text"
    else:
        raise _no_form(name, str(kind))
    yield canonical_json({"column": name, "type": spelled}).encode()
    yield from parts


def _moment_bytes(values: pd.Series) -> bytes:
    return values.to_numpy().astype("datetime64[ns]").astype("<i8").tobytes()


def _text_parts(name: str, values: pd.Series) -> list[bytes]:
    codes, uniques = pd.factorize(values)
    distinct = np.asarray(uniques, dtype=object).tolist()  # at once: one by one pandas takes a microsecond each
    if not isinstance(values.dtype, pd.StringDtype) and not all(isinstance(value, str) for value in distinct):
        raise _no_form(name, "a mixture of types")
    # Texts are their own canonical form, and there may be thousands: no need to look at each again.
    spelled = json.dumps(distinct, separators=(",", ":"), ensure_ascii=False)
    return [spelled.encode(), codes.astype("<i8").tobytes()]


def _no_form(name: str, found: str) -> SchemaError:
    return SchemaError(
        expected="columns of numbers, booleans, text, sessions or moments",
        found=found,
        remedy="cast the column before storing the frame",
        column=name,
    )
