"""The score store: whole batches of scores in SQLite or PostgreSQL, published at once or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import pandas as pd
from sqlalchemy import Select, func, select, update
from sqlalchemy.engine import Connection

from serving import leases
from serving.batch import (
    LATEST,
    Batch,
    Gone,
    Published,
    StoredBatch,
    batch_digest,
    checked_frames,
    digest_of,
    json_text,
    to_microseconds,
)
from serving.bulk import fetch_columns, load
from serving.changes import changed_sequences, record_gone
from serving.contract import CONTRACT_VERSION, CONTRACTS, contract_of
from serving.database import Database, ReadOnlyStoreError, StoreBusyError, StoreError, StoreUnreachableError
from serving.leases import Lease, LeaseHeldError, LeaseLostError
from serving.migration import HEAD, upgrade, version_of
from serving.retention import drop, to_drop
from serving.schema import SCORES, batches, latest, model_cards, removed
from serving.settings import StoreSettings

__all__ = [
    "LATEST",
    "Batch",
    "BatchConflictError",
    "Gone",
    "Lease",
    "LeaseHeldError",
    "LeaseLostError",
    "Published",
    "ReadOnlyStoreError",
    "ScoreStore",
    "StoreBusyError",
    "StoreError",
    "StoreSettings",
    "StoreUnreachableError",
    "StoredBatch",
    "UnknownBatchError",
    "batch_digest",
]


DEFAULTS: Final = StoreSettings()


class UnknownBatchError(StoreError):
    """The store holds no such batch, or not for this question."""


class BatchConflictError(StoreError):
    """A batch with this id is already published and holds something else."""


class ScoreStore:
    """The published batches behind one database URL (``sqlite:///FILE`` or ``postgresql+psycopg://...``).

    Making one connects to nothing; the tables are made by the first write, and those of an earlier release are
    migrated by the first use. ``busy_seconds`` is how long a publish waits for another one, ``read_seconds`` how long
    one look into the store may take.
    """

    def __init__(
        self,
        url: str,
        *,
        busy_seconds: float = 30.0,
        read_seconds: float | None = None,
        settings: StoreSettings = DEFAULTS,
    ) -> None:
        self._database = Database(url, busy_seconds=busy_seconds, read_seconds=read_seconds)
        self._settings = settings
        self._current = False

    @property
    def name(self) -> str:
        """What to call the database in a message; never holds a password."""
        return self._database.name

    def close(self) -> None:
        """Give back all connections; the next call opens new ones, and looks at the tables anew."""
        self._current = False
        self._database.close()

    def publish(self, batch: Batch, *, lease: Lease | None = None) -> Published:
        """Publish all rows of a batch and make it the latest, in one transaction.

        The same batch again is left alone and told by ``already``. A batch whose as-of is before the latest one's
        is kept but does not become the latest. With a ``lease`` the batch is kept only if no other run has taken
        that over. Raises ``ContractError`` or a ``StoreError``; then nothing changed.
        """
        frames = checked_frames(batch)
        digest = digest_of(batch, frames)
        rows = {question: len(frame) for question, frame in frames.items()}
        with self.writing() as connection:
            if lease is not None:
                leases.check(connection, lease)
            known = connection.scalar(select(batches.c.digest).where(batches.c.batch_id == batch.batch_id))
            if known is not None and known != digest:
                raise BatchConflictError(
                    f"batch {batch.batch_id!r} must stay what it is; the one published has digest {known[:12]}, this "
                    f"one {digest[:12]}. Publish it under another id."
                )
            _keep_cards(connection, batch)
            if known is not None:
                return Published(batch.batch_id, already=True, digest=digest, rows=rows, moved=())
            head = _batch_row(connection, batch, rows, digest) | {"change_step": self._settings.change_step}
            connection.execute(batches.insert(), head)
            moved = tuple(question for question in frames if self._load(connection, batch, question, frames, head))
        return Published(batch.batch_id, already=False, digest=digest, rows=rows, moved=moved)

    def _load(
        self,
        connection: Connection,
        batch: Batch,
        question: str,
        frames: Mapping[str, pd.DataFrame],
        head: Mapping[str, Any],
    ) -> bool:
        """Insert one question's rows; say whether this batch is now the question's latest."""
        before = _find(connection, question, LATEST)
        backfill = before is not None and head["as_of"] < before.as_of
        frame, gone = frames[question], list[str]()
        if backfill:
            frame = frame.assign(changed_sequence=None)
        else:
            sequences, gone = changed_sequences(
                connection,
                question,
                frame,
                before=before,
                sequence=head["sequence"],
                step=self._settings.change_step,
            )
            frame = frame.assign(changed_sequence=sequences)
        load(connection, SCORES[question], frame, batch_id=batch.batch_id)
        if backfill:
            return False
        record_gone(connection, question, gone, sequence=head["sequence"], batch=batch)
        if before is None:
            connection.execute(latest.insert(), {"question": question, "batch_id": batch.batch_id})
        else:
            connection.execute(update(latest).where(latest.c.question == question).values(batch_id=batch.batch_id))
        return True

    def prune(self, *, now: datetime) -> list[str]:
        """Drop the batches that the settings no longer keep, one transaction each; return their ids."""
        gone = to_drop(self.batches(), settings=self._settings, now=now)
        for batch_id in gone:
            with self.writing() as connection:
                drop(connection, batch_id)
        return gone

    def scrub(self) -> None:
        """Let nothing be left of rows that were removed."""
        self._database.scrub([table.name for table in (*SCORES.values(), batches, removed)])

    def acquire_lease(self, *, holder: str, now: datetime, seconds: float, known_dead: str | None = None) -> Lease:
        """Take the right to publish; raise ``LeaseHeldError`` while another holder is alive."""
        with self.writing() as connection:
            return leases.acquire(connection, holder=holder, now=now, seconds=seconds, known_dead=known_dead)

    def renew_lease(self, lease: Lease, *, now: datetime, seconds: float) -> bool:
        """Say that the holder is alive; return False where another one has taken over."""
        with self.reading() as connection:
            return connection is not None and leases.renew(connection, lease, now=now, seconds=seconds)

    def release_lease(self, lease: Lease) -> None:
        """Give the right to publish back; does nothing where another holder has it."""
        with self.reading() as connection:
            if connection is not None:
                leases.release(connection, lease)

    def latest_batch(self, *, question: str | None = None) -> StoredBatch | None:
        """Return the latest batch of a question, or the newest of both questions' latest; None if there is none."""
        if question is not None:
            contract_of(question)
        found = [
            batch
            for batch in self.batches()
            if (batch.latest_for if question is None else question in batch.latest_for)
        ]
        return found[0] if found else None

    def batches(self) -> list[StoredBatch]:
        """Return all published batches, the newest as-of first and of equal ones the last published first."""
        with self.reading() as connection:
            return [] if connection is None else _stored(connection)

    def read(self, question: str, batch_id: str = LATEST) -> pd.DataFrame:
        """Return one question's rows of a batch in the contract's columns and dtypes, sorted by id."""
        contract = contract_of(question)
        with self.reading() as connection:
            batch = self._require(connection, question, batch_id)
            assert connection is not None
            table = SCORES[question]
            stored = fetch_columns(
                connection,
                select(table).where(table.c.batch_id == batch.batch_id).order_by(table.c[contract.id_column]),
            )
        values: dict[str, Any] = dict(zip(table.c.keys(), stored, strict=True))
        once = {"object_type": contract.object_type, "as_of": batch.as_of, "scored_at": batch.scored_at}
        values |= {name: [value] * len(stored[0]) for name, value in once.items()}
        return pd.DataFrame(
            {column.name: _column(column.kind, column.dtype, values[column.name]) for column in contract.columns}
        )

    def batch(self, question: str, batch_id: str = LATEST) -> StoredBatch:
        """Return a batch that holds a question; raise ``UnknownBatchError`` if there is none."""
        contract_of(question)
        with self.reading() as connection:
            return self._require(connection, question, batch_id)

    def cards(self) -> dict[str, dict[str, Any]]:
        """Return, by version, what is known of each model that scored a batch; ``question`` says what it scores."""
        with self.reading() as connection:
            rows = [] if connection is None else connection.execute(select(model_cards)).all()
        return {row.model_version: {"question": row.question} | json.loads(row.card) for row in rows}

    def _require(self, connection: Connection | None, question: str, batch_id: str) -> StoredBatch:
        batch = None if connection is None else _find(connection, question, batch_id)
        if batch is None:
            what = "none" if batch_id == LATEST else f"none called {batch_id!r}"
            raise UnknownBatchError(
                f"a batch of {question} must be published before it is read; {self._database.name} holds {what}. "
                "See which batches there are, or publish one."
            )
        return batch

    def previous(self, question: str, *, before: datetime | None = None) -> pd.Series[float]:
        """Return the published probability of each scored object, indexed by its id.

        Taken from the latest batch, or with ``before`` from the newest one whose as-of is earlier: give the as-of
        that is being scored, and a rerun or a backfill finds the same past. Empty if there is no such batch.
        """
        contract = contract_of(question)
        table = SCORES[question]
        probability = table.c[contract.probability]
        ids: list[str] = []
        probabilities: list[float] = []
        with self.reading() as connection:
            batch = None if connection is None else _find(connection, question, LATEST, before=before)
            if connection is not None and batch is not None:
                id_column = table.c[contract.id_column]
                ids, probabilities = fetch_columns(
                    connection,
                    select(id_column, probability)
                    .where(table.c.batch_id == batch.batch_id, probability.is_not(None))
                    .order_by(id_column),
                )
        index = pd.Index(ids, dtype="str", name=contract.id_column)
        return pd.Series(probabilities, index=index, dtype="float64", name=contract.probability)

    def batch_before(self, question: str, *, before: datetime) -> StoredBatch | None:
        """Return the batch that ``previous`` takes its probabilities from."""
        contract_of(question)
        with self.reading() as connection:
            return None if connection is None else _find(connection, question, LATEST, before=before)

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """Yield a connection in a transaction that needs no other's leave; None while nothing was ever written."""
        if self._database.is_missing():
            yield None
            return
        if not self._current:
            with self._database.transaction(writing=False) as connection:
                found = version_of(connection)
            if found is None:
                yield None
                return
            if found != HEAD:
                self._upgrade()
            self._current = True
        with self._database.transaction(writing=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that no other writer can be in; the tables are there and current."""
        if not self._current:
            self._upgrade()
            self._current = True
        with self._database.transaction(writing=True) as connection:
            yield connection

    def _upgrade(self) -> None:
        with self._database.transaction(writing=True) as connection:
            upgrade(connection)


def _batch_row(connection: Connection, batch: Batch, rows: Mapping[str, int], digest: str) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "sequence": (connection.scalar(select(func.max(batches.c.sequence))) or 0) + 1,
        "contract_version": CONTRACT_VERSION,
        "as_of": to_microseconds(batch.as_of),
        "scored_at": to_microseconds(batch.scored_at),
        "model_versions": json_text(batch.model_versions),
        "summary": json_text(batch.summary),
        "contacts_rows": rows.get("contacts"),
        "deals_rows": rows.get("deals"),
        "digest": digest,
    }


def _keep_cards(connection: Connection, batch: Batch) -> None:
    for question, card in batch.cards.items():
        version = batch.model_versions[question]
        if connection.scalar(select(func.count()).where(model_cards.c.model_version == version)) == 0:
            row = {"model_version": version, "question": question, "card": json_text(card)}
            connection.execute(model_cards.insert(), row)


def _newest_first() -> Select[Any]:
    return select(batches).order_by(batches.c.as_of.desc(), batches.c.sequence.desc())


def _stored(connection: Connection, query: Select[Any] | None = None) -> list[StoredBatch]:
    pointers = connection.execute(select(latest).order_by(latest.c.question)).all()
    found = connection.execute(_newest_first() if query is None else query).mappings()
    return [
        StoredBatch(
            batch_id=row["batch_id"],
            sequence=row["sequence"],
            contract_version=row["contract_version"],
            as_of=row["as_of"],
            scored_at=row["scored_at"],
            model_versions=json.loads(row["model_versions"]),
            summary=json.loads(row["summary"]),
            rows={question: row[f"{question}_rows"] for question in CONTRACTS if row[f"{question}_rows"] is not None},
            digest=row["digest"],
            change_step=row["change_step"],
            latest_for=tuple(pointer.question for pointer in pointers if pointer.batch_id == row["batch_id"]),
        )
        for row in found
    ]


def _find(
    connection: Connection, question: str, batch_id: str, *, before: datetime | None = None
) -> StoredBatch | None:
    query = _newest_first().where(batches.c[f"{question}_rows"].is_not(None))
    if before is not None:
        query = query.where(batches.c.as_of < to_microseconds(before)).limit(1)
    elif batch_id == LATEST:
        query = query.join(latest, latest.c.batch_id == batches.c.batch_id).where(latest.c.question == question)
    else:
        query = query.where(batches.c.batch_id == batch_id)
    return next(iter(_stored(connection, query)), None)


def _column(kind: str, dtype: Any, values: Any) -> pd.Series[Any]:
    column: pd.Series[Any] = pd.Series(values, dtype="object" if kind == "time" else dtype)
    return pd.to_datetime(column, utc=True).astype(dtype) if kind == "time" else column
