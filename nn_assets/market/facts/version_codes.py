"""What versions of bars say, as codes that can be compared: equal exactly where the contents are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["VALUES", "Codes", "Mask", "codes_of", "content_codes", "nanoseconds", "repeats", "signatures"]

VALUES = ("open", "high", "low", "close", "volume")

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def nanoseconds(moments: pd.Series) -> Codes:
    """Moments as nanoseconds since the epoch, UTC."""
    return moments.to_numpy(dtype="datetime64[ns]").astype(np.int64)


def codes_of(columns: Sequence[Codes]) -> Codes:
    """One code a row: equal exactly where all columns are."""
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        part, distinct = pd.factorize(column)
        codes = pd.factorize(codes * max(len(distinct), 1) + part)[0].astype(np.int64)
    return codes


def content_codes(bars: pd.DataFrame, keys: Codes) -> Codes:
    """One code a row for its key and values; all NaN are one, and so are both zeros."""
    return codes_of([keys, *(_bits(bars[name]) for name in VALUES)])


def _bits(values: pd.Series) -> Codes:
    plain = values.to_numpy(dtype=np.float64) + 0.0
    return np.where(np.isnan(plain), np.nan, plain).view(np.int64)


def signatures(versions: Codes, contents: Codes, size: int) -> Codes:
    """Code of what each version's rows say together, whatever their order; -1 for one without rows.

    Parameters
    ----------
    versions, contents : array, shape (rows,)
        Version and content of each row, as codes below ``size``.

    Returns
    -------
    array, shape (size,)
        A version of one row has its content's code.
    """
    signature = np.full(size, -1, dtype=np.int64)
    signature[versions] = contents
    groups: dict[tuple[int, ...], int] = {}
    several = np.flatnonzero(np.bincount(versions, minlength=size)[versions] > 1)
    told: dict[int, list[int]] = {}
    for version, content in zip(versions[several].tolist(), contents[several].tolist(), strict=True):
        told.setdefault(version, []).append(content)
    for version, said in told.items():
        signature[version] = size + groups.setdefault(tuple(sorted(said)), len(groups))
    return signature


def repeats(bars: pd.DataFrame, keys: Codes) -> Mask:
    """Rows of versions that say what the version known before them said, and was in hand by then.

    A bar taken in before it could be known is no predecessor: who repeats it confirms it.
    """
    found = np.zeros(len(bars), dtype=bool)
    known_at = nanoseconds(bars["known_at"])
    first = np.full(int(keys.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    last = np.full(len(first), np.iinfo(np.int64).min)
    np.minimum.at(first, keys, known_at)
    np.maximum.at(last, keys, known_at)
    several = np.flatnonzero((first < last)[keys])
    if len(several) == 0:
        return found
    some, key, known = bars.iloc[several], keys[several], known_at[several]
    version = codes_of([key, known])
    size = len(several)
    said = signatures(version, content_codes(some, key), size)
    ripe = np.ones(size, dtype=bool)
    ripe[version[nanoseconds(some["ingested_at"]) < known]] = False
    rows = np.unique(version, return_index=True)[1]
    order = rows[np.lexsort((known[rows], key[rows]))]
    chain = version[order]
    again = np.zeros(size, dtype=bool)
    follows = key[order][1:] == key[order][:-1]
    again[chain[1:]] = follows & (said[chain[1:]] == said[chain[:-1]]) & ripe[chain[:-1]]
    found[several] = again[version]
    return found
