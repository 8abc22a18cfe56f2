"""Where the reading of one kind of object stands, so that it goes on from there after any interruption."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from features.sources.hubspot.kinds import Kind

Phase = Literal["full", "archived", "idle", "delta", "sweep", "sweep archived"]


@dataclass(frozen=True)
class Position:
    """What a kind is read for, and how far that has come.

    ``known_until`` is how far the landed objects are complete; ``window`` is the closed window of changes that is
    being read; ``after`` is the cursor in a list, or the last id in a search. Instants are ISO 8601 text.
    """

    digest: str
    phase: Phase = "full"
    known_until: str | None = None
    window: tuple[str, str] | None = None
    after: str | None = None
    sweep: int = 0
    swept_at: str | None = None
    linked_at: str | None = None

    @classmethod
    def start(cls, kind: Kind, *, sweep: int = 0) -> Position:
        """Return the position before anything was read."""
        return cls(digest=digest_of(kind), sweep=sweep)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Position:
        """Read a position that was kept."""
        window = plain.pop("window")
        return cls(**plain, window=None if window is None else (window[0], window[1]))

    def to_json(self) -> dict[str, Any]:
        """Return the position as plain data."""
        return asdict(self)

    def at(self, **changed: Any) -> Position:
        """Return the position with some of it changed."""
        return replace(self, **changed)


def digest_of(kind: Kind) -> str:
    """Name what is read of a kind: once that changes, all of it must be read again."""
    content = json.dumps([kind.tracked, kind.history, kind.links])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
