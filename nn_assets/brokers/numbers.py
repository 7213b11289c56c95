"""Numbers as venues read them."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def plain_number(number: float) -> str:
    """Write a number in digits that read back to the same float: no exponent, and no zero at its end that says nothing.

    Examples
    --------
    >>> plain_number(1e6), plain_number(-0.1), plain_number(2.50)
    ('1000000', '-0.1', '2.5')
    """
    return format(Decimal(repr(float(number))).normalize(), "f")


def read_number(text: str) -> float:
    """Read a number as venues write it: ASCII digits, nothing between them, and finite as a float.

    Raises
    ------
    ValueError
        It is another text: empty, NaN, beyond what a float holds, with underscores or other digits.

    Examples
    --------
    >>> read_number("-12.50")
    -12.5
    """
    value = float(text) if _NUMBER.fullmatch(text.strip(" ")) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def has_control_characters(text: str) -> bool:
    r"""Whether a text has a character that no name has, and no ledger takes: NUL, a line break, a tab and their like.

    Examples
    --------
    >>> has_control_characters("AAA"), has_control_characters("A\x00A")
    (False, True)
    """
    return any(ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0 for sign in text)
