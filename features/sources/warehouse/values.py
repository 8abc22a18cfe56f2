"""Values as databases return them, as the text that HubSpot would have sent."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from typing import Any

from features.sources.hubspot.instants import iso, iso_of


def text_of(value: Any) -> str | None:
    """Return a value as text; empty text is no value, and a time without a zone is in UTC, as these tools load it.

    >>> text_of(datetime(2026, 1, 2)), text_of(1200.0), text_of(True), text_of("")
    ('2026-01-02T00:00:00.000Z', '1200', 'true', None)
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return iso(value if value.tzinfo is not None else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def instant_of(value: Any) -> str | None:
    """Return an instant as text that sorts as time, whether the database has it as a time, text or milliseconds."""
    return iso_of(text_of(value))


def id_of(value: Any) -> int | None:
    """Return the number that HubSpot knows an object by; None if the value is none.

    >>> id_of("501"), id_of(501.0), id_of("x"), id_of(None)
    (501, 501, None, None)
    """
    text = text_of(value)
    return int(text) if text is not None and text.isdigit() else None


def is_set(value: Any) -> bool:
    """Say whether a flag is set, whatever type the database has for it; a time in its place means that it is.

    >>> is_set(True), is_set("TRUE"), is_set(datetime(2026, 1, 2)), is_set("false"), is_set(0), is_set(None)
    (True, True, True, False, False, False)
    """
    return (text_of(value) or "false").strip().lower() not in ("false", "f", "0", "no", "n")


def plain_of(value: Any) -> Any:
    """Return lists and objects, which some databases hand out as JSON text; None for what is no such text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return None
