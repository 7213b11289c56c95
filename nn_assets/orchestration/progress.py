"""What a run prints: one line per step begun, and every line that an asset logs, each with its strategy's name."""

from __future__ import annotations

import logging
import sys

import dagster as dg

_PAINFUL = ("STEP_FAILURE", "RUN_FAILURE")
_NOT_EXECUTED = "Not executing."  # how Dagster's message on a step behind a failed one ends


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None and record.levelno >= logging.INFO:
            if _NOT_EXECUTED in record.getMessage():
                return  # the failure itself is told once
            strategy = str(meta.get("step_key") or "").partition("__")[0]
            message = str(meta.get("orig_message") or record.getMessage()).splitlines()[0]
            line = f"    {strategy}: {message}" if strategy else f"    {message}"
        elif event is not None and event.event_type_value == "STEP_START":
            line = f"  {event.step_key.replace('__', ' / ', 1)}"
        elif event is not None and event.event_type_value in _PAINFUL:
            line = f"  {event.event_type_value.replace('_', ' ').lower()}: {event.step_key or ''}"
        else:
            return
        print(line, file=sys.stderr, flush=True)  # noqa: T201  progress belongs on standard error


@dg.logger
def progress_logger(_: dg.InitLoggerContext) -> logging.Logger:
    """A logger that prints progress to standard error."""
    logger = logging.getLogger("nn_assets.progress")
    logger.setLevel(logging.DEBUG)  # steps begin at this level; the handler chooses
    logger.propagate = False
    logger.handlers = [_Lines()]
    return logger
