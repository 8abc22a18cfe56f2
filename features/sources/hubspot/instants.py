"""Instants as HubSpot writes them, and as text that sorts as time."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """Write an instant in UTC to the millisecond, so that text sorts as time.

    >>> iso(datetime(2026, 1, 2, tzinfo=UTC))
    '2026-01-02T00:00:00.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_of(text: str | None) -> str | None:
    """Bring an instant into that form; what is none stays as it is, for the checks of the tables to find.

    >>> iso_of("1500"), iso_of("2026-01-02T00:00:00Z"), iso_of(""), iso_of("soon")
    ('1970-01-01T00:00:01.500Z', '2026-01-02T00:00:00.000Z', None, 'soon')
    """
    if not text:
        return None
    try:
        return iso(instant(text))
    except (ValueError, OverflowError, OSError):
        return text


def instant(text: str) -> datetime:
    """Read an instant, whether it is told as ISO 8601 or as milliseconds since 1970; a bare date begins in UTC.

    >>> instant("2026-01-02").isoformat()
    '2026-01-02T00:00:00+00:00'
    """
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, tz=UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def millis(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return round(moment.timestamp() * 1000)
