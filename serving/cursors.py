"""Where a reader is: a text that names the batch, the place in it, and what was asked for, and means nothing else."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from features.errors import LeadScoringError


class CursorError(LeadScoringError):
    """A cursor is not one that this service gave for this question."""


@dataclass(frozen=True)
class PageCursor:
    """The place in a walk through one batch; ``asked`` names the question and filters that it belongs to."""

    batch_id: str
    after: str
    asked: str


@dataclass(frozen=True)
class ChangeCursor:
    """What a job has seen: all until the batch of sequence ``since``, and, in mid-walk, a part of another one."""

    question: str
    since: int
    since_batch: str
    batch_id: str | None = None
    after: str | None = None


def fingerprint(asked: dict[str, Any]) -> str:
    """Name a question and its filters shortly."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_cursor(cursor: PageCursor | ChangeCursor) -> str:
    """Return a cursor as text for a URL."""
    return base64.urlsafe_b64encode(json.dumps(list(asdict(cursor).values())).encode()).decode().rstrip("=")


def read_page_cursor(text: str) -> PageCursor:
    """Return the place that a text names, or raise ``CursorError``."""
    values = _values(text, length=3)
    if not all(isinstance(value, str) for value in values):
        raise _refused()
    return PageCursor(*values)


def read_change_cursor(text: str) -> ChangeCursor:
    """Return what a text says a job has seen, or raise ``CursorError``."""
    question, since, since_batch, batch_id, after = values = _values(text, length=5)
    texts = all(isinstance(value, str) for value in (question, since_batch))
    maybe = all(value is None or isinstance(value, str) for value in (batch_id, after))
    counted = type(since) is int and 0 <= since < 2**31
    if not texts or not maybe or not counted or (batch_id is None) != (after is None):
        raise _refused()
    return ChangeCursor(*values)


def is_storable(text: str) -> bool:
    """Say whether a database can be asked for this text: no NUL, and no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _values(text: str, *, length: int) -> list[Any]:
    try:
        values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _refused() from error
    if not isinstance(values, list) or len(values) != length:
        raise _refused()
    if not all(is_storable(value) for value in values if isinstance(value, str)):
        raise _refused()
    return values


def _refused() -> CursorError:
    return CursorError("a cursor must be one that this service gave; this one is not. Begin again without it.")
