"""JSON over HTTP from a vendor or broker, and what vendors of daily bars that are asked so have in common.

The vendors' own clients for Massive and Alpaca are not used: one hands a truncated answer on as an
empty list, the other waits for ever, and neither compares what came with what was announced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import pandas as pd

from nn_assets.contracts.frames import DeliveredBars
from nn_assets.errors import SourceError
from nn_assets.sources.answers import Action, ScopedActions, ScopedSource, bar_table, nothing_of
from nn_assets.sources.keys import EnvironmentKey, missing_extra, without_secrets
from nn_assets.sources.retry import Fault, RetryPolicy, broken_off, judge, not_there, persist, too_slow

if TYPE_CHECKING:
    import ssl

    import httpx

_NO_CONTENT = 204
_NO_DETAILS: Mapping[str, str] = MappingProxyType({})


@cache
def _authorities() -> ssl.SSLContext:
    """Whose certificates are trusted: httpx's own choice, read once a process."""
    import httpx

    return httpx.create_ssl_context()


class JsonClient:
    """Requests of JSON to one vendor, with its keys in headers.

    A context manager. No redirect is followed and no other host is asked: keys go to the vendor alone.

    Parameters
    ----------
    source : str
        The source's name, for errors.
    extra : str
        The optional extra that installs what is needed.
    base_url : str
    keys : mapping of str to EnvironmentKey
        By header. ``Authorization`` gets "Bearer" before it.
    policy : RetryPolicy
    timeout_seconds : float
        For connecting, for each pause within an answer, and ten times that for all of it.
    clock : callable
        Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        source: str,
        extra: str,
        base_url: str,
        keys: Mapping[str, EnvironmentKey],
        policy: RetryPolicy,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source, self.extra, self.base_url = source, extra, base_url.rstrip("/")
        self.keys, self.policy, self.timeout_seconds, self.clock = dict(keys), policy, timeout_seconds, clock

    def __enter__(self) -> Self:
        try:
            import httpx
        except ModuleNotFoundError:
            raise missing_extra(self.extra, "httpx") from None
        for key in self.keys.values():
            key.require(self.source, in_header=True)
        self._httpx = httpx
        self._client = httpx.Client(
            timeout=self.timeout_seconds, headers={"accept": "application/json"}, verify=_authorities()
        )
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, address: str, params: Mapping[str, str] | None = None, **where: object) -> dict[str, Any]:
        """Ask for a path of the vendor, or for the next page by the full address it gave.

        Parameters
        ----------
        address : str
        params : mapping, optional
        **where : object
            Symbol and session, for errors.

        Raises
        ------
        SourceError
            No good answer, as often as the policy asks; or an address that is not the vendor's.
        """
        url = self._own(address)
        outcome = persist(lambda: self._once(url, params), self.policy, self.source) if url else self._foreign(address)
        if isinstance(outcome, dict):
            return outcome
        if not isinstance(outcome, Fault):
            outcome = Fault(
                "json_answer", "a JSON object", f"a JSON {type(outcome).__name__}", "report it to the vendor"
            )
        raise outcome.error(source=self.source, **where)

    def ask(self, method: str, path: str, params: Mapping[str, str] | None = None, body: object = None) -> Any:
        """Ask for a path of the vendor once, whatever comes of it: for requests that may not be repeated as they are.

        Parameters
        ----------
        method : str
            Of HTTP: ``GET``, ``POST``, ``DELETE``.
        path : str
        params : mapping, optional
        body : object, optional
            Sent as JSON.

        Returns
        -------
        object
            The JSON of the answer, None where it is one without content; or a ``Fault``.
        """
        return self._once(self.base_url + path, params, method, body)

    def _once(self, url: str, params: Mapping[str, str] | None, method: str = "GET", body: object = None) -> Any:
        """Ask once. Exceptions of the library end here: they carry headers."""
        try:
            outcome = self._exchange(url, params, method, body)
        except (self._httpx.ConnectTimeout, self._httpx.PoolTimeout) as error:
            outcome = replace(too_slow(self.timeout_seconds, type(error).__name__), unsent=True)
        except self._httpx.TimeoutException as error:
            outcome = too_slow(self.timeout_seconds, type(error).__name__)
        except self._httpx.RemoteProtocolError as error:
            outcome = broken_off(f"{type(error).__name__}: {error}")
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            message = f"{type(error).__name__}: {error}"
            outcome = not_there(f"a vendor that answers at {self.base_url}", message)
            outcome = replace(outcome, unsent=isinstance(error, self._httpx.ConnectError))
        if not isinstance(outcome, Fault):
            return outcome
        return replace(outcome, found=without_secrets(outcome.found, self._secrets()))

    def _secrets(self) -> list[str]:
        return [key.reveal() for key in self.keys.values()]

    def _exchange(self, url: str, params: Mapping[str, str] | None, method: str, sent: object) -> Any:
        deadline = self.clock() + 10.0 * self.timeout_seconds
        # params of {} would strip the address
        request = self._client.build_request(method, url, params=params or None, json=sent)
        answer = self._client.send(request, auth=self._with_keys, stream=True)
        try:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if self.clock() > deadline:
                    return too_slow(self.timeout_seconds, "bytes that drip in")
        finally:
            answer.close()
        if answer.status_code == _NO_CONTENT:
            return None
        return judge(answer.status_code, answer.headers, bytes(body), secrets=self._secrets())

    def _with_keys(self, request: httpx.Request) -> httpx.Request:
        """Put the keys into a request at the last moment: no variable of this package holds them."""
        for header, key in self.keys.items():
            request.headers[header] = f"Bearer {key.reveal()}" if header == "Authorization" else key.reveal()
        return request

    def _own(self, address: str) -> str:
        """Full address of a path, or a page's address if it is the vendor's own; empty if not."""
        if address.startswith("/"):
            return self.base_url + address
        parts, base = urlsplit(address), urlsplit(self.base_url)
        if (parts.scheme, parts.netloc) != (base.scheme, base.netloc):
            return ""
        # A vendor that echoes the key in a page's address would have it logged: the header carries it.
        kept = [(name, value) for name, value in parse_qsl(parts.query) if name.lower() != "apikey"]
        return parts._replace(query=urlencode(kept)).geturl()

    def _foreign(self, address: str) -> Fault:
        return Fault(
            "own_pages",
            f"a next page at {self.base_url}",
            f"one at host {urlsplit(address).netloc[:80]!r}",
            "set source.base_url to the vendor's address; keys are sent nowhere else",
        )


class JsonVendor(ScopedSource):
    """A vendor that is asked for daily bars one symbol at a time.

    A member is a frozen dataclass that has the attributes below and those of ``ScopedSource`` as its fields, and gives
    ``keys`` and ``bars_of``.

    Attributes
    ----------
    extra : str
        The optional extra that installs httpx.
    base_url : str
    policy : RetryPolicy
    timeout_seconds : float
    """

    extra: ClassVar[str] = "http"
    base_url: str
    policy: RetryPolicy
    timeout_seconds: float

    @property
    def keys(self) -> Mapping[str, EnvironmentKey]:
        """Keys by the header that carries them; sent to ``base_url`` alone."""
        return {}

    def bars_of(self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None) -> DeliveredBars:
        """Ask for one symbol's bars, and give them as :meth:`joined` does."""
        raise NotImplementedError

    def bars_from(self, names: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None) -> DeliveredBars:
        """Ask symbol by symbol."""
        with self._client() as client:
            return pd.concat([self.bars_of(client, symbol, first, last) for symbol in names], ignore_index=True)

    def _client(self) -> JsonClient:
        return JsonClient(self.name, self.extra, self.base_url, self.keys, self.policy, self.timeout_seconds)

    def joined(
        self,
        symbol: str,
        pages: Iterable[list[Any]],
        fields: Mapping[str, str],
        first: pd.Timestamp,
        last: pd.Timestamp | None,
        details: Mapping[str, str] = _NO_DETAILS,
    ) -> DeliveredBars:
        """One symbol's bars of all pages, between which no session may be missing.

        Parameters
        ----------
        pages : iterable of list
            Rows as the vendor gives them, the oldest first.
        fields : mapping
            The vendor's key of ``moment``, ``open``, ``high``, ``low``, ``close`` and ``volume``.
        details : mapping
            That of details of bars, as of :func:`~nn_assets.sources.answers.bar_table`.
        """
        rows: list[Any] = []
        for page in pages:
            if rows and page:
                seam = bar_table(self.name, symbol, [rows[-1], page[0]], fields, self.scope.timezone)
                self.scope.refuse_gap(self.name, symbol, seam["session"].iloc[0], seam["session"].iloc[1])
            rows += page
        if not rows:
            raise nothing_of(self.name, symbol, first, last)
        return bar_table(self.name, symbol, rows, fields, self.scope.timezone, details)

    def not_as_asked(self, symbol: str, expected: str, found: str, **where: object) -> SourceError:
        """Make the error of an answer that is not as the vendor documents it."""
        return SourceError(
            expected=expected,
            found=found,
            remedy="run again; if it stays, the vendor has changed its answers: report it",
            **{"source": self.name, "symbol": symbol, "rule": "rows_as_documented", **where},
        )


class JsonVendorWithActions(JsonVendor, ScopedActions):
    """A vendor that knows splits and dividends too; a member gives ``actions_of`` as well."""

    def actions_of(
        self, client: JsonClient, symbol: str, first: pd.Timestamp, last: pd.Timestamp | None
    ) -> Iterable[Action]:
        """Ask for one symbol's splits and cash dividends."""
        raise NotImplementedError

    def actions_from(self, names: tuple[str, ...], first: pd.Timestamp, last: pd.Timestamp | None) -> Iterable[Action]:
        """Ask symbol by symbol."""
        with self._client() as client:
            return [row for symbol in names for row in self.actions_of(client, symbol, first, last)]


def rehosted(url: str, base_url: str | None) -> str:
    """Give the same address at another host, for libraries that know only their vendor's own; as it is for None."""
    if base_url is None:
        return url
    base = urlsplit(base_url)
    return urlsplit(url)._replace(scheme=base.scheme, netloc=base.netloc).geturl()
