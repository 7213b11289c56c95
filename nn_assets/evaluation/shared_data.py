"""What data are, whatever their name: a fingerprint of symbol-sessions and closes, and how much two share.

Two strategies share data, and with them trials, when at least half of the smaller one's (symbol, session) keys are in
the other with equal closes. A fingerprint holds the keys that come first in a fixed random order: two of them can be
compared wherever they were made, without the bars.
"""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import stamps_of
from nn_assets.errors import SchemaError

SAMPLE = 16_384
"""Keys that a fingerprint holds at most. Fewer keys than that are compared exactly."""

SHARED = 0.5
"""Share of the smaller data's keys from which on two data sets are the same ground."""

_DIGITS = 6  # significant ones in which closes must agree: vendors write the same price in more or fewer
_EVERYTHING = 1 << 64
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Keys counted, and hashes of a random part of them.

    Parameters
    ----------
    keys : int
        Symbol-sessions with a close.
    sample : ndarray of uint64, shape (sampled,)
        Hashes of (symbol, session, close) below ``limit``, ascending.
    limit : int
        2**64 where every key is in the sample.
    """

    keys: int
    sample: Hashes
    limit: int

    def below(self, limit: int) -> Hashes:
        """The part of the sample below another fingerprint's limit."""
        if limit >= self.limit:
            return self.sample
        return self.sample[: int(np.searchsorted(self.sample, np.uint64(limit)))]

    def to_text(self) -> str:
        """The sample as text, for the ledger; `from_text` gives an equal fingerprint."""
        return base64.b64encode(self.sample.astype("<u8").tobytes()).decode("ascii")

    @classmethod
    def from_text(cls, keys: int, limit: int, text: str) -> Fingerprint:
        """Rebuild a fingerprint from what the ledger holds."""
        return cls(keys, np.frombuffer(base64.b64decode(text), dtype="<u8").astype(np.uint64), limit)


@dataclass(frozen=True)
class Overlap:
    """Share of some keys that others hold with equal closes, and its standard error: 0 where all were compared."""

    share: float
    standard_error: float


def fingerprint(
    symbols: npt.NDArray[np.object_], sessions: npt.NDArray[np.datetime64], closes: npt.NDArray[np.float64]
) -> Fingerprint:
    """Take the fingerprint of bars.

    Parameters
    ----------
    symbols, sessions, closes : ndarray, shape (bars,)
        One bar a symbol and session. Closes as traded, in the quote currency; bars without a positive one are left
        out.

    Raises
    ------
    SchemaError
        The three are not equally long.
    """
    if not len(symbols) == len(sessions) == len(closes):
        raise SchemaError(
            expected="a symbol, a session and a close for each bar",
            found=f"{len(symbols)}, {len(sessions)} and {len(closes)}",
            remedy="give columns of one table of bars",
        )
    positive = np.isfinite(closes) & (closes > 0.0)
    names, inverse = np.unique(np.asarray(symbols[positive], dtype=np.str_), return_inverse=True)
    hashed = np.array([_text_hash(name) for name in names.tolist()], dtype=np.uint64)[inverse]
    days = stamps_of(pd.DatetimeIndex(sessions[positive])).astype(np.int64).astype(np.uint64)
    keys = np.sort(_mixed(_mixed(hashed ^ _mixed(days)) ^ _close_code(closes[positive])))
    if len(keys) <= SAMPLE:
        return Fingerprint(len(keys), keys, _EVERYTHING)
    return Fingerprint(len(keys), keys[:SAMPLE], int(keys[SAMPLE]))


def _text_hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _close_code(closes: npt.NDArray[np.float64]) -> Hashes:
    """Closes to `_DIGITS` significant digits, as whole numbers."""
    power = np.floor(np.log10(closes)).astype(np.int64)
    digits = np.rint(closes / 10.0 ** (power - (_DIGITS - 1)).astype(np.float64)).astype(np.int64)
    over, under = digits >= 10**_DIGITS, digits < 10 ** (_DIGITS - 1)  # a logarithm rounded over the edge
    power, digits = power + over - under, np.where(over, digits // 10, np.where(under, digits * 10, digits))
    codes: Hashes = (digits * 1024 + power + 512).astype(np.uint64)
    return codes


def _mixed(values: Hashes) -> Hashes:
    """Spread 64 bits: the finaliser of SplitMix64, Steele, Lea and Flood (2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def contained(part: Fingerprint, whole: Fingerprint) -> Overlap:
    """Share of one data set's keys that another holds with equal closes.

    Exact where both fingerprints hold every key. Else taken over the keys that both could have sampled, which are
    a random part, with its binomial standard error; where not one was sampled, all count as held.
    """
    limit = min(part.limit, whole.limit)
    part_keys, whole_keys = part.below(limit), whole.below(limit)
    if len(part_keys) == 0:
        return Overlap(1.0, 0.0 if part.keys == 0 else 0.5)
    share = len(np.intersect1d(part_keys, whole_keys, assume_unique=True)) / len(part_keys)
    sampled = limit < _EVERYTHING
    return Overlap(share, math.sqrt(share * (1.0 - share) / len(part_keys)) if sampled else 0.0)


def overlap(first: Fingerprint, second: Fingerprint) -> Overlap:
    """Share of the smaller data's keys that the larger holds with equal closes; see `contained`."""
    return contained(first, second) if first.keys <= second.keys else contained(second, first)


def share_data(first: Fingerprint, second: Fingerprint) -> bool:
    """Whether two data sets are the same ground: what was tried on one counts on the other."""
    return overlap(first, second).share >= SHARED
