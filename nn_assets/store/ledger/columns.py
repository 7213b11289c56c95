"""Column types that mean the same on SQLite and PostgreSQL: sessions, UTC moments, canonical JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Date, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from nn_assets.store.values import as_moment, as_session, canonical_json

__all__ = ["CanonicalJson", "Moment", "SessionDate"]


class SessionDate(TypeDecorator[date]):
    """A session: a date, whatever spelling of a day is bound."""

    impl = Date
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> date | None:  # noqa: ARG002
        """Reduce what is bound to a plain date."""
        return None if value is None else as_session(value)


class Moment(TypeDecorator[datetime]):
    """A UTC moment. SQLite keeps it without its zone; it comes back aware from either database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> datetime | None:
        """Convert to UTC, and drop the zone where the database has no place for it."""
        if value is None:
            return None
        moment = as_moment(value)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        if value is None:
            return None
        moment: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment


class CanonicalJson(TypeDecorator[Any]):
    """A JSON value kept as canonical text, so that its bytes, and their hash, are stable."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write canonical text."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Read the text back."""
        return None if value is None else json.loads(value)
