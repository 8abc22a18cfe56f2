"""What was written to HubSpot, with the values before and after: written down before it is sent."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from features.errors import LeadScoringError

LEDGER_FILE: Final = "writeback.db"
Values = Mapping[str, str | None]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, question TEXT, batch_id TEXT, as_of TEXT, started_at TEXT,
    undoes INTEGER);
CREATE TABLE IF NOT EXISTS writes (run INTEGER, object_id TEXT, before TEXT, after TEXT, state TEXT, reason TEXT,
    PRIMARY KEY (run, object_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS present (question TEXT, object_id TEXT, as_of TEXT, run INTEGER, content TEXT,
    PRIMARY KEY (question, object_id)) WITHOUT ROWID;
"""


class WriteBackBusyError(LeadScoringError):
    """Another write-back is at work in this home."""


class NothingToUndoError(LeadScoringError):
    """No write-back is left that could be undone."""


@dataclass(frozen=True)
class Write:
    """Values of one object, before and after; ``before`` is null where HubSpot had none."""

    object_id: str
    before: dict[str, str | None]
    after: dict[str, str]


@dataclass(frozen=True)
class DeadLetter:
    """An object that HubSpot refused, with its reason; the next run tries it again."""

    object_id: str
    reason: str


class Ledger:
    """The ledger of one home. One run holds it at a time; one that was killed leaves no lock behind."""

    def __init__(self, home: Path, *, busy_seconds: float = 5.0) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(home / LEDGER_FILE, timeout=busy_seconds, isolation_level=None)
        try:
            # What is erased must be gone from the file.
            self._connection.execute("PRAGMA secure_delete=ON")
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("BEGIN EXCLUSIVE")
            for statement in _SCHEMA.split(";\n"):
                self._connection.execute(statement)
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._connection.close()
            if "locked" not in str(error):
                raise
            raise WriteBackBusyError(
                f"one run may write back from {home} at a time, and another is at it. Wait until it has ended, then "
                "repeat this one."
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Keep all that is written in the block, or nothing of it."""
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def present(self, question: str) -> dict[str, tuple[datetime | None, dict[str, str | None]]]:
        """Return, for each object written to, the as-of of its score and the values that it has by us."""
        query = "SELECT object_id, as_of, content FROM present WHERE question = ?"
        return {
            row[0]: (None if row[1] is None else datetime.fromisoformat(row[1]), json.loads(row[2]))
            for row in self._connection.execute(query, (question,))
        }

    def begin(
        self, *, question: str, batch_id: str, as_of: datetime | None, now: datetime, undoes: int | None = None
    ) -> int:
        """Open a run and return its number."""
        cursor = self._connection.execute(
            "INSERT INTO runs (question, batch_id, as_of, started_at, undoes) VALUES (?, ?, ?, ?, ?)",
            (question, batch_id, _text(as_of), _text(now), undoes),
        )
        return int(cursor.lastrowid or 0)

    def intend(self, run: int, writes: Sequence[Write]) -> None:
        """Write down what is about to be sent."""
        with self.whole():
            self._connection.executemany(
                "INSERT OR REPLACE INTO writes VALUES (?, ?, ?, ?, 'sent', NULL)",
                [(run, write.object_id, json.dumps(write.before), json.dumps(write.after)) for write in writes],
            )

    def settle(
        self, run: int, *, question: str, as_of: datetime | None, written: Sequence[Write], dead: Sequence[DeadLetter]
    ) -> None:
        """Write down what HubSpot took and what it refused."""
        with self.whole():
            self._connection.executemany(
                "UPDATE writes SET state = 'written' WHERE run = ? AND object_id = ?",
                [(run, write.object_id) for write in written],
            )
            self._connection.executemany(
                "UPDATE writes SET state = 'dead', reason = ? WHERE run = ? AND object_id = ?",
                [(letter.reason, run, letter.object_id) for letter in dead],
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO present VALUES (?, ?, ?, ?, ?)",
                [
                    (question, write.object_id, _text(as_of), run, json.dumps({**write.before, **write.after}))
                    for write in written
                ],
            )

    def unsettled(self, question: str) -> dict[str, dict[str, str | None]]:
        """Return the values before of what a run that was killed had sent, and perhaps HubSpot took."""
        query = (
            "SELECT w.object_id, w.before FROM writes w JOIN runs r USING (run) "
            "WHERE r.question = ? AND w.state = 'sent' ORDER BY w.run DESC"
        )
        return {row[0]: json.loads(row[1]) for row in self._connection.execute(query, (question,))}

    def forget_unsettled(self, question: str) -> None:
        """Close what killed runs left open, once it was sent again."""
        self._connection.execute(
            "UPDATE writes SET state = 'superseded' WHERE state = 'sent' AND run IN "
            "(SELECT run FROM runs WHERE question = ?)",
            (question,),
        )

    def erase(self, question: str, object_ids: Sequence[str]) -> int:
        """Forget all that was written to some objects; return how many writes that were."""
        erased = 0
        with self.whole():
            for object_id in object_ids:
                erased += self._connection.execute(
                    "DELETE FROM writes WHERE object_id = ? AND run IN (SELECT run FROM runs WHERE question = ?)",
                    (object_id, question),
                ).rowcount
                self._connection.execute(
                    "DELETE FROM present WHERE question = ? AND object_id = ?", (question, object_id)
                )
        # Space that was freed before is cleared as well.
        self._connection.execute("VACUUM")
        return erased

    def last_undoable(self, question: str) -> tuple[int, str, list[Write]]:
        """Return the last run that was not undone, its batch, and what of it no later run has overwritten."""
        run = self._connection.execute(
            "SELECT max(run), batch_id FROM runs r WHERE question = ? AND undoes IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM runs u WHERE u.undoes = r.run) "
            "AND EXISTS (SELECT 1 FROM writes w WHERE w.run = r.run AND w.state = 'written')",
            (question,),
        ).fetchone()
        if run[0] is None:
            raise NothingToUndoError(
                f"a write-back of {question} must have been made to be undone; the ledger has none."
            )
        rows = self._connection.execute(
            "SELECT w.object_id, w.before, w.after FROM writes w "
            "JOIN present p ON p.question = ? AND p.object_id = w.object_id AND p.run = w.run "
            "WHERE w.run = ? AND w.state = 'written' ORDER BY w.object_id",
            (question, run[0]),
        )
        writes = []
        for number, before, after in rows:
            old, new = json.loads(before), json.loads(after)
            writes.append(Write(number, before=new, after={name: old.get(name) or "" for name in new}))
        return run[0], run[1], writes


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
