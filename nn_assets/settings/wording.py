"""What was expected of a setting, in words for the person who wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from pydantic_core import ErrorDetails

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_SHORT = re.compile(r"[A-Za-z0-9._^=-]{1,12}")  # a symbol or feature; a key or an address must not reach a log
_NAME = "lower-case letters, digits and _ were expected, a letter first, at most"
PATTERNS = {
    r"^[a-z][a-z0-9_]{0,47}$": f"{_NAME} 48 characters",
    r"^[a-z][a-z0-9_]{0,31}$": f"{_NAME} 32 characters",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "the name of an environment variable was expected: letters, digits and _, no digit "
    "first",
    r"^[a-z0-9]+$": "an exchange's id was expected: lower-case letters and digits",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": 'a time of day from "00:00" to "23:59" was expected, in quotes',
}
"""Each pattern that a text among the settings must have, in words."""
_BY_TYPE = {
    "greater_than": "more than {gt} was expected",
    "greater_than_equal": "{ge} or more was expected",
    "less_than": "less than {lt} was expected",
    "less_than_equal": "{le} or less was expected",
    "literal_error": "{expected} was expected",
    "missing": "it is missing",
    "extra_forbidden": "no such key",
}
_BY_FAMILY = {
    "int": "a whole number was expected",
    "float": "a number was expected",
    "finite": "a finite number was expected",
    "bool": "true or false was expected",
    "list": "a list was expected",
    "tuple": "a list was expected",
    "dict": "keys with values were expected",
    "model": "keys with values were expected",
    "date": "a day was expected, year first: 2018-01-31",
}
"""By the first word of pydantic's type of an error."""
_SECRET_KEY = re.compile(r"key|secret|password|token|url|_env$", re.IGNORECASE)
_SECRET_WORDS = ("secret", "password", "passwd", "token", "credentials")
_USER = re.compile(r"://.*@", re.DOTALL)
_SECRET_TEXT = re.compile(r":.*@|(?:key|secret|password|passwd|pwd|token)\w*['\"]?\s*[=:]", re.IGNORECASE | re.DOTALL)


def expectation(problem: ErrorDetails, written: str | None) -> str:
    """What was expected of a value.

    Parameters
    ----------
    written : str, optional
        The value as written in the file, before YAML converted it.
    """
    kind = problem["type"]
    if written and kind.startswith(("tuple", "list")) and _SHORT.fullmatch(written):
        return f"a list was expected: [{written}]"
    if written and kind.startswith("float") and (share := _PERCENT.fullmatch(written)):
        return f"a number was expected: {float(share[1]) / 100.0:.6g}"
    if kind == "string_type" and written is not None:
        return f'text was expected; quote it: "{written}"'
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(problem["ctx"]["pattern"], problem["msg"])  # of a vendor from outside there are no words
    if kind == "string_type":
        return "text was expected"
    if kind in _BY_TYPE:
        return _BY_TYPE[kind].format(**problem.get("ctx", {}))
    message = problem["msg"].removeprefix("Value error, ")
    return _BY_FAMILY.get(kind.partition("_")[0], _USER.sub("://(not shown)@", message))


def shown(key: str, value: object) -> str:
    """A value of a key, which may be mistyped, as it may be printed.

    A key, password or address put where the name of its variable belongs must not reach a log.
    """
    if isinstance(value, Mapping):
        return "a mapping"
    near = any(get_close_matches(word, _SECRET_WORDS, cutoff=0.75) for word in re.split(r"[._]", key.lower()))
    return "(not shown)" if near or _SECRET_KEY.search(key) or _SECRET_TEXT.search(repr(value)) else repr(value)
