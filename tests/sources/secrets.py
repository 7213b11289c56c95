"""A recognisable secret, and everything an error or a log could tell of it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from nn_assets.errors import SourceError

SECRET = "s3cr3t/Hunter+2=FINDME"


def refused(caplog: pytest.LogCaptureFixture, ask: Callable[[], object], secret: str = SECRET) -> SourceError:
    """The error that ``ask`` ends in, after a search for the secret in all that it and the logs tell."""
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceError) as caught:
        ask()
    error = caught.value
    texts = [str(error), repr(error), repr(error.where), repr(error.__reduce__()), *_with_locals(error)]
    texts += [record.getMessage() + repr(record.args) + str(record.exc_info) for record in caplog.records]
    everything = "\n".join(texts)
    spellings = (secret, quote(secret, safe=""))
    assert not [line for line in everything.splitlines() if any(spelling in line for spelling in spellings)]
    assert error.remedy
    assert error.where["rule"]
    return error


def _with_locals(error: BaseException | None) -> Iterator[str]:
    """Every frame below this file's with its variables: of the error, its causes and suppressed contexts."""
    while error is not None:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        yield from traceback.TracebackException(type(error), error, frames, capture_locals=True, compact=True).format(
            chain=False
        )
        error = error.__cause__ or error.__context__
