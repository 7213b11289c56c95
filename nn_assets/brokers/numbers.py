"""Numbers as venues read them."""

from __future__ import annotations

from decimal import Decimal


def plain_number(number: float) -> str:
    """Write a number in digits that read back to the same float: no exponent, and no zero at its end that says nothing.

    Examples
    --------
    >>> plain_number(1e6), plain_number(-0.1), plain_number(2.50)
    ('1000000', '-0.1', '2.5')
    """
    return format(Decimal(repr(float(number))).normalize(), "f")
