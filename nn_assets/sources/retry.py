"""One answer judged, and one policy for asking again: never half an answer, never an empty success."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from nn_assets.errors import SourceError
from nn_assets.sources.keys import without_secrets

_TOO_MANY, _FIRST_SERVER_FAULT = (418, 429), 500  # Binance answers 418 to whom it bans for a while
_TRY_LATER = (408, 425)
_EXCERPT = 200
_SHORT = 60
_LOG = logging.getLogger(__name__)  # dagster.yaml hands what is logged here on to the run


@dataclass(frozen=True)
class Fault:
    """What was wrong with one answer, and whether asking again may help.

    Parameters
    ----------
    rule : str
        Which rule of a good answer it broke.
    expected, found, remedy : str
        As in every error of the package.
    passing : bool
        Whether the fault may pass by itself.
    wait_seconds : float
        How long the vendor asks to wait; 0 where it does not say.
    status : int
        Of the HTTP answer; 0 where there was none, or a good one.
    answer : object
        The JSON that came with such a status, where it was any.
    unsent : bool
        Whether the request surely never left: no connection was made.
    """

    rule: str
    expected: str
    found: str
    remedy: str
    passing: bool = False
    wait_seconds: float = 0.0
    status: int = 0
    answer: Any = None
    unsent: bool = False

    def error(self, **where: object) -> SourceError:
        """Make the error that the caller raises."""
        parts = {"expected": self.expected, "found": self.found, "remedy": self.remedy}
        return SourceError(**parts, **{"rule": self.rule, **where})  # type: ignore[arg-type]


class Faulted(Exception):  # noqa: N818  a signal through a vendor's library, never shown to anyone
    """Carries a fault out of a library that calls back into this package."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.rule)


@dataclass(frozen=True)
class RetryPolicy:
    """How often a passing fault is met with another attempt, and how long is waited in between.

    Waits double from ``first_wait_seconds``: one minute in all by default, the window over which
    vendors count requests. A vendor that asks for more than ``longest_wait_seconds`` is not waited for.
    """

    attempts: int = 7
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 90.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


DEFAULT_POLICY = RetryPolicy()


def persist(attempt: Callable[[], Any], policy: RetryPolicy, source: str) -> Any:
    """Ask until the answer is good, the fault is one that stays, or the attempts are used up.

    Each wait is logged in a line: ``source``, what failed, the seconds, and which attempt comes next.

    Returns
    -------
    object
        What ``attempt`` gave: an answer, or the last ``Fault``.
    """
    for count in range(policy.attempts):
        outcome = attempt()
        if not isinstance(outcome, Fault) or not outcome.passing:
            return outcome
        wait = max(policy.first_wait_seconds * 2.0**count, outcome.wait_seconds)
        if wait > policy.longest_wait_seconds:
            return replace(outcome, found=f"{outcome.found}; it asks to wait {wait:.0f} s")
        if count + 1 < policy.attempts:
            # Only what comes before the first colon: after it come vendors' own words, and addresses.
            failed = outcome.found.partition(":")[0][:_SHORT]
            message = "%s: %s; asking again in %.0f s, attempt %d of %d"
            _LOG.warning(message, source, failed, wait, count + 2, policy.attempts)
            policy.sleep(wait)
    return replace(outcome, found=f"{outcome.found}, {policy.attempts} times")


def judge(
    status: int,
    headers: Mapping[str, str | None],
    body: bytes,
    *,
    says_json: bool = True,
    secrets: Iterable[str] = (),
) -> Any:
    """Give the JSON of a good answer, or the fault of a bad one.

    Parameters
    ----------
    status : int
    headers : mapping
        Looked up in lower case.
    body : bytes
    says_json : bool
        Whether the content type must say JSON; some exchanges send it as text.
    secrets : iterable of str
        Removed from every text, before anything is cut: a vendor may echo a key.
    """
    secrets = tuple(secrets)
    if not 200 <= status < 300:
        fault = _status_fault(status, headers, _excerpt(body, secrets))
        return replace(fault, status=status, answer=_json_of(body, secrets))
    kind = headers.get("content-type") or "none"
    if says_json and "json" not in kind.lower():
        return Fault(
            "json_answer",
            "JSON from the vendor",
            f"content type {without_secrets(kind, secrets)[:60]!r}: {_excerpt(body, secrets)}",
            "check base_url, and whether a proxy or a login page answers in the vendor's place",
        )
    try:
        return _blotted(json.loads(body), secrets)
    except (ValueError, RecursionError) as error:
        message = f"{type(error).__name__} in {len(body)} bytes: {_excerpt(body, secrets)}"
        if not says_json and b"<html" in body[:500].lower():
            return Fault(
                "json_answer", "JSON from the vendor", message, "check the exchange's address and its status page"
            )
        return broken_off(message)


def _json_of(body: bytes, secrets: tuple[str, ...]) -> Any:
    """The JSON of a body; None where it is none."""
    try:
        return _blotted(json.loads(body), secrets)
    except (ValueError, RecursionError):
        return None


def broken_off(found: str) -> Fault:
    """Give the fault of an answer that ends before it is complete."""
    return Fault(
        "complete_answer",
        "a complete answer",
        found,
        "ask again later; if it stays, report it to the vendor",
        passing=True,
    )


def too_slow(timeout_seconds: float, found: str) -> Fault:
    """Give the fault of a vendor that does not answer in time."""
    return Fault(
        "answers_in_time",
        f"an answer without pauses over {timeout_seconds:g} s",
        found,
        "run again later; the vendor's status page says whether it is slow",
        passing=True,
    )


def not_there(expected: str, found: str) -> Fault:
    """Give the fault of a vendor that cannot be reached."""
    remedy = "check the network, proxy settings and base_url"
    return Fault("reachable", expected, found, remedy, passing=True)


def _status_fault(status: int, headers: Mapping[str, str | None], excerpt: str) -> Fault:
    found = f"HTTP {status}: {excerpt}"
    if status in (401, 403):
        remedy = "check the key in its environment variable, and that subscription and region may have these data"
        return Fault("authorised", "a request that the vendor accepts as authorised", found, remedy)
    if status in _TOO_MANY:
        remedy = "wait and run again, ask for fewer symbols, or subscribe to more requests a minute"
        return Fault(
            "rate_limit",
            "an answer within the rate limit",
            found,
            remedy,
            passing=True,
            wait_seconds=_asked_wait(headers),
        )
    if status >= _FIRST_SERVER_FAULT or status in _TRY_LATER:
        remedy = "run again later; the vendor's status page says whether it is down"
        return Fault("vendor_available", "an answer", found, remedy, passing=True, wait_seconds=_asked_wait(headers))
    return Fault(
        "accepted", "a request that the vendor accepts", found, "check the symbol and source.* in the strategy"
    )


def _asked_wait(headers: Mapping[str, str | None]) -> float:
    """Seconds of a Retry-After header, else up to X-RateLimit-Reset; moments count from the answer's own Date."""
    retry_after, reset = ((headers.get(name) or "").strip() for name in ("retry-after", "x-ratelimit-reset"))
    if retry_after.replace(".", "", 1).isdigit():
        return float(retry_after)
    try:
        sent = parsedate_to_datetime(headers.get("date") or "")
        until = parsedate_to_datetime(retry_after) if retry_after else datetime.fromtimestamp(int(reset), UTC)
        return max((until - sent).total_seconds(), 0.0)
    except (OSError, OverflowError, TypeError, ValueError):
        return 0.0


def _blotted(value: Any, secrets: tuple[str, ...]) -> Any:
    """Blot secrets out of every text of a JSON value; without secrets, the value itself."""
    if not secrets:
        return value
    if isinstance(value, str):
        return without_secrets(value, secrets)
    if isinstance(value, list):
        return [_blotted(item, secrets) for item in value]
    if isinstance(value, dict):
        return {without_secrets(name, secrets): _blotted(item, secrets) for name, item in value.items()}
    return value


def _excerpt(body: bytes, secrets: tuple[str, ...]) -> str:
    text = " ".join(without_secrets(body.decode("utf-8", "replace"), secrets).split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable[:_EXCERPT] or "an empty body"
