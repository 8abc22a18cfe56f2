"""The promotion log: which model version was made live when, by whom, and why; lines are only ever added."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from features.errors import LeadScoringError

Action = Literal["promote", "rollback"]


class PromotionLogError(LeadScoringError):
    """The promotion log cannot be read, or a line for it lacks something; ``path`` is the log."""

    def __init__(self, message: str, *, path: Path) -> None:
        self.path = path
        super().__init__(message)


@dataclass(frozen=True)
class Promotion:
    """One line of the log: from ``at`` on, ``to_version`` is live instead of ``from_version``."""

    question: str
    action: Action
    from_version: str | None
    to_version: str
    at: datetime
    reason: str
    who: str

    def to_dict(self) -> dict[str, Any]:
        """Return the line as plain data for JSON."""
        return {
            "question": self.question,
            "action": self.action,
            "from": self.from_version,
            "to": self.to_version,
            "at": self.at.isoformat(),
            "reason": self.reason,
            "who": self.who,
        }


class PromotionLog:
    """A JSON-lines file of promotions. Its order, not its times, says what is live: clocks may jump."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self, question: str) -> list[Promotion]:
        """Return the question's promotions in the order in which they were written."""
        if not self._path.exists():
            return []
        texts = self._path.read_text(encoding="utf-8").splitlines()
        lines = [self._parse(number, text) for number, text in enumerate(texts, start=1)]
        return [line for line in lines if line.question == question]

    def live(self, question: str) -> str | None:
        """Return the version that is live now, or None if none was ever promoted."""
        lines = self.lines(question)
        return lines[-1].to_version if lines else None

    def live_at(self, question: str, at: datetime) -> str | None:
        """Return the version that was live at an instant; a version is live from its ``at`` on."""
        self._require_zone(at)
        past = [line.to_version for line in self.lines(question) if line.at <= at]
        return past[-1] if past else None

    def append(self, question: str, action: Action, version: str, *, reason: str, at: datetime, who: str) -> Promotion:
        """Add one line, whole or not at all. The caller holds the registry's lock."""
        self._require_zone(at)
        if not reason.strip():
            raise PromotionLogError(
                f"a {action} must give a reason for {self._path}; it gave none. Say why", path=self._path
            )
        line = Promotion(question, action, self.live(question), version, at.astimezone(UTC), reason, who)
        before = self._path.read_bytes() if self._path.exists() else b""
        replace_file(self._path, before + json.dumps(line.to_dict(), ensure_ascii=False).encode() + b"\n")
        return line

    def _parse(self, number: int, text: str) -> Promotion:
        try:
            line = json.loads(text)
            at = datetime.fromisoformat(line["at"])
            self._require_zone(at)
            return Promotion(
                line["question"], line["action"], line["from"], line["to"], at, line["reason"], line["who"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PromotionLogError(
                f"{self._path} must hold one promotion a line; line {number} is none ({error!r}). "
                "Restore the file from a backup",
                path=self._path,
            ) from error

    def _require_zone(self, at: datetime) -> None:
        if at.utcoffset() is None:
            raise PromotionLogError(
                f"a time in the promotion log must carry a zone; {at.isoformat()} has none. Give it in UTC",
                path=self._path,
            )


def champions(lines: Sequence[Promotion]) -> list[str]:
    """Return the versions that rollbacks walk back through, the one that is live last.

    >>> day = datetime(2026, 1, 1, tzinfo=UTC)
    >>> steps = [("promote", "1"), ("promote", "2"), ("rollback", "1"), ("promote", "3")]
    >>> champions([Promotion("deals", action, None, to, day, "why", "cli") for action, to in steps])
    ['1', '3']
    """
    found: list[str] = []
    for line in lines:
        if line.action == "promote":
            found.append(line.to_version)
        else:
            found.pop()
    return found


def standing_rollback(lines: Sequence[Promotion]) -> Promotion | None:
    """Return the rollback that nobody has undone or gone past by a later promotion, if the last line is one.

    >>> day = datetime(2026, 1, 1, tzinfo=UTC)
    >>> back = Promotion("deals", "rollback", "2", "1", day, "too bold", "cli")
    >>> later = Promotion("deals", "promote", "1", "3", day, "by hand", "cli")
    >>> standing_rollback([back]) == back, standing_rollback([back, later])
    (True, None)
    """
    return lines[-1] if lines and lines[-1].action == "rollback" else None


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
