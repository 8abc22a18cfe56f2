"""What was read of HubSpot, kept in one SQLite file with the place to go on from; each page is kept whole or not."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from features.errors import LeadScoringError

OWN_SNAPSHOT: Final = "LEADLINE_SNAPSHOT"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (kind TEXT, id INTEGER, created_at TEXT, updated_at TEXT, archived_at TEXT,
    properties TEXT, seen INTEGER, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (kind TEXT, id INTEGER, property TEXT, at TEXT, value TEXT, source TEXT,
    PRIMARY KEY (kind, id, property, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (kind TEXT, id INTEGER, to_kind TEXT, to_id INTEGER, is_primary INTEGER,
    PRIMARY KEY (kind, id, to_kind, to_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS links_back ON links (to_kind, to_id);
CREATE TABLE IF NOT EXISTS merges (kind TEXT, loser INTEGER, winner INTEGER, PRIMARY KEY (kind, loser, winner))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (stream TEXT, subject TEXT, key TEXT, at TEXT, body TEXT,
    PRIMARY KEY (stream, subject, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_of ON events (subject);
CREATE TABLE IF NOT EXISTS due (task TEXT, kind TEXT, id INTEGER, PRIMARY KEY (task, kind, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS echoes (kind TEXT, id INTEGER, updated_at TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID;
"""


class LandingBusyError(LeadScoringError):
    """Another run is reading HubSpot into the same home."""


# Of an object told several times the version that was changed last counts.
_LOADS: Final[Mapping[str, str]] = {
    "records": "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET "
    "created_at = excluded.created_at, updated_at = excluded.updated_at, archived_at = excluded.archived_at, "
    "properties = excluded.properties WHERE coalesce(excluded.updated_at >= updated_at, true)",
    "history": "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?)",
    "links": "INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?)",
    "merges": "INSERT OR IGNORE INTO merges VALUES (?, ?, ?)",
}


class Landing:
    """The landed objects of one account. One run holds it at a time; one that was killed leaves no lock behind.

    Without a file it is forgotten once it is closed: SQLite keeps it in memory and spills it to a file without a name.
    """

    def __init__(self, file: Path | None, *, busy_seconds: float = 5.0) -> None:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        # Several threads may read HubSpot at once; each keeps its pages under this lock.
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            file or "", timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            # What is erased must be gone from the file, and personal data is nobody else's to read.
            self._connection.execute("PRAGMA secure_delete=ON")
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("BEGIN EXCLUSIVE")
            if file is not None:
                file.chmod(0o600)
            for statement in _SCHEMA.split(";\n"):
                self._connection.execute(statement)
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._connection.close()
            if file is None or "locked" not in str(error):
                raise
            raise LandingBusyError(
                f"one run may read HubSpot into {file.parent.parent} at a time, and another is at it. Wait until it "
                "has ended, then repeat this one."
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def page(self) -> Iterator[None]:
        """Keep all that is written in the block, or nothing of it; one thread at a time."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def fact(self, name: str) -> Any:
        """Return a small thing kept under a name, such as a position or the pipelines; None if there is none."""
        with self._lock:
            row = self._connection.execute("SELECT body FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep_fact(self, name: str, body: Any) -> None:
        """Keep a small thing under a name."""
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(body)))

    def land(
        self,
        kind: str,
        objects: Iterable[Mapping[str, Any]],
        *,
        tracked: Sequence[str],
        history: Sequence[str],
        sweep: int,
        seen_at: str,
    ) -> None:
        """Keep objects as the API returned them.

        History entries once seen stay, even if HubSpot forgets them. Where the present value of a property has no
        entry of its own, one is made as of ``seen_at``.
        """
        for one in objects:
            number, values = int(one["id"]), {k: v for k, v in one["properties"].items() if v not in (None, "")}
            self._connection.execute(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    kind,
                    number,
                    one["createdAt"],
                    one["updatedAt"],
                    one.get("archivedAt"),
                    json.dumps({name: values[name] for name in tracked if name in values}),
                    sweep,
                ),
            )
            told = one.get("propertiesWithHistory") or {}
            for name in history:
                self._land_history(kind, number, name, told.get(name) or (), values.get(name), seen_at)
            self.load("merges", [(kind, loser, number) for loser in merged_ids(values) if loser != number])

    def _land_history(
        self, kind: str, number: int, name: str, entries: Sequence[Mapping[str, Any]], present: str | None, seen: str
    ) -> None:
        rows = [
            (kind, number, name, entry["timestamp"], entry.get("value") or None, entry.get("sourceType"))
            for entry in entries
        ]
        newest = max(rows, key=lambda row: str(row[3]))[4] if rows else None
        if newest != present and self._last_value(kind, number, name) != present:
            rows.append((kind, number, name, seen, present, OWN_SNAPSHOT))
        self.load("history", rows)

    def _last_value(self, kind: str, number: int, name: str) -> str | None:
        query = "SELECT value FROM history WHERE kind = ? AND id = ? AND property = ? ORDER BY at DESC LIMIT 1"
        row = self._connection.execute(query, (kind, number, name)).fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def load(self, table: Literal["records", "history", "links", "merges"], rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows as they lie in a table of the landing; those of ``records`` are without ``seen``."""
        self._connection.executemany(_LOADS[table], rows)

    def spread_links(self, stand_in: str, kinds: Sequence[str]) -> None:
        """Give links whose kind was not told the kind of the object that has their id."""
        spread = (
            "INSERT OR REPLACE INTO links SELECT r.kind, l.id, l.to_kind, l.to_id, l.is_primary FROM links l "
            "JOIN records r ON r.id = l.id AND r.kind = ? WHERE l.kind = ?"
        )
        self._connection.executemany(spread, [(kind, stand_in) for kind in kinds])
        self._connection.execute("DELETE FROM links WHERE kind = ?", (stand_in,))

    def known(self, kind: str, ids: Sequence[int]) -> dict[int, tuple[str, dict[str, str]]]:
        """Return when each landed object was changed last, and its values."""
        marks = ",".join("?" * len(ids))
        query = f"SELECT id, updated_at, properties FROM records WHERE kind = ? AND id IN ({marks})"  # noqa: S608
        return {row[0]: (row[1], json.loads(row[2])) for row in self._connection.execute(query, (kind, *ids))}

    def mark_seen(self, kind: str, ids: Sequence[int], *, sweep: int, archived: Mapping[int, str | None]) -> None:
        """Note that a sweep met these objects, alive or archived since an instant."""
        self._connection.executemany(
            "UPDATE records SET seen = ?, archived_at = ? WHERE kind = ? AND id = ?",
            [(sweep, archived.get(number), kind, number) for number in ids],
        )

    def mark_updated(self, kind: str, updated: Mapping[int, str]) -> None:
        """Note when objects were changed last, where nothing that is read has changed."""
        self._connection.executemany(
            "UPDATE records SET updated_at = ? WHERE kind = ? AND id = ?",
            [(at, kind, number) for number, at in updated.items()],
        )

    def count(self, kind: str) -> int:
        """Return how many objects of a kind are landed."""
        row = self._connection.execute("SELECT count(*) FROM records WHERE kind = ?", (kind,)).fetchone()
        return int(row[0])

    def unseen(self, kind: str, *, sweep: int, forgotten_before: str) -> list[int]:
        """Return objects that a sweep met nowhere: deleted for good, neither merged nor long in the recycle bin."""
        rows = self._connection.execute(
            "SELECT id FROM records WHERE kind = ? AND seen < ? AND (archived_at IS NULL OR archived_at > ?) "
            "AND id NOT IN (SELECT loser FROM merges WHERE kind = ?)",
            (kind, sweep, forgotten_before, kind),
        )
        return [row[0] for row in rows]

    def erase(self, kind: str, ids: Iterable[int]) -> None:
        """Remove objects with all that was landed of them and of those that were merged into them."""
        for number in ids:
            self._erase_one(kind, number)

    def _erase_one(self, kind: str, number: int) -> None:
        values = next((values for _, values in self.known(kind, [number]).values()), {})
        for address in (values.get("email"), *(values.get("hs_additional_emails") or "").split(";")):
            if address:
                self._connection.execute("DELETE FROM events WHERE subject = ?", (address.strip().lower(),))
        for table in ("records", "history", "links", "due", "echoes"):
            self._connection.execute(f"DELETE FROM {table} WHERE kind = ? AND id = ?", (kind, number))  # noqa: S608
        self._connection.execute("DELETE FROM links WHERE to_kind = ? AND to_id = ?", (kind, number))
        self._connection.execute("DELETE FROM events WHERE subject = ?", (str(number),))
        query = "DELETE FROM merges WHERE kind = ? AND winner = ? RETURNING loser"
        self.erase(kind, [row[0] for row in self._connection.execute(query, (kind, number)).fetchall()])

    def replace_links(self, kind: str, to_kind: str, links: Mapping[int, Mapping[int, bool]]) -> None:
        """Keep what objects are linked to, instead of what was kept before; the value says whether it is primary."""
        self._connection.executemany(
            "DELETE FROM links WHERE kind = ? AND id = ? AND to_kind = ?",
            [(kind, number, to_kind) for number in links],
        )
        self.load(
            "links",
            [
                (kind, number, to_kind, target, int(primary))
                for number, targets in links.items()
                for target, primary in targets.items()
            ],
        )

    def keep_events(self, stream: str, events: Iterable[tuple[str, str, str, Any]]) -> None:
        """Keep events, each as (subject, key, instant, body); the same key again is the same event."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?)",
            [(stream, subject, key, at, json.dumps(body)) for subject, key, at, body in events],
        )

    def last_event(self, stream: str, subject: str) -> str | None:
        """Return the instant of the newest event of one subject."""
        query = "SELECT max(at) FROM events WHERE stream = ? AND subject = ?"
        row = self._connection.execute(query, (stream, subject)).fetchone()
        return None if row[0] is None else str(row[0])

    def add_due(self, task: str, kind: str, ids: Iterable[int]) -> None:
        """Note work that is still to be done for objects."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO due VALUES (?, ?, ?)", [(task, kind, number) for number in ids]
        )

    def add_all_due(self, task: str, kind: str) -> None:
        """Note work that is still to be done for every landed object of a kind."""
        self._connection.execute(
            "INSERT OR IGNORE INTO due SELECT ?, kind, id FROM records WHERE kind = ?", (task, kind)
        )

    def due(self, task: str, kind: str, *, limit: int) -> list[int]:
        """Return objects for which work is still to be done."""
        query = "SELECT id FROM due WHERE task = ? AND kind = ? ORDER BY id LIMIT ?"
        with self._lock:
            return [row[0] for row in self._connection.execute(query, (task, kind, limit))]

    def done(self, task: str, kind: str, ids: Iterable[int]) -> None:
        """Note that work was done."""
        self._connection.executemany(
            "DELETE FROM due WHERE task = ? AND kind = ? AND id = ?", [(task, kind, number) for number in ids]
        )

    def keep_echoes(self, kind: str, updated: Mapping[int, str]) -> None:
        """Note when we wrote to objects ourselves, by HubSpot's own time of change."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO echoes VALUES (?, ?, ?)", [(kind, number, at) for number, at in updated.items()]
        )

    def echoes(self, kind: str, ids: Sequence[int]) -> dict[int, str]:
        """Return when we wrote to objects ourselves."""
        marks = ",".join("?" * len(ids))
        query = f"SELECT id, updated_at FROM echoes WHERE kind = ? AND id IN ({marks})"  # noqa: S608
        return dict(self._connection.execute(query, (kind, *ids)).fetchall())

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, a few at a time."""
        yield from self._connection.execute(query, parameters)


def merged_ids(values: Mapping[str, str]) -> list[int]:
    """Return the ids that were merged into an object: as ids, and for contacts also as id:time."""
    told = f"{values.get('hs_merged_object_ids', '')};{values.get('hs_calculated_merged_vids', '')}"
    return [int(part) for part in (one.partition(":")[0].strip() for one in told.split(";")) if part.isdigit()]
