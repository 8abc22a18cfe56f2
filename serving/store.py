"""The score store: whole batches of scores in SQLite or PostgreSQL, published at once or not at all."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from sqlalchemy import Select, Table, func, inspect, select, update
from sqlalchemy.engine import Connection

from serving.contract import CONTRACT_VERSION, CONTRACTS, ContractError, check_rows, conform, contract_of
from serving.database import Database, ReadOnlyStoreError, StoreBusyError, StoreError, StoreUnreachableError
from serving.schema import METADATA, SCORES, batches, latest

__all__ = [
    "Batch",
    "BatchConflictError",
    "Published",
    "ReadOnlyStoreError",
    "ScoreStore",
    "StoreBusyError",
    "StoreError",
    "StoreUnreachableError",
    "StoredBatch",
    "UnknownBatchError",
    "batch_digest",
]

LATEST: Final = "latest"
_BATCH_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}")
_CHUNK_ROWS: Final = 10_000


class UnknownBatchError(StoreError):
    """The store holds no such batch, or not for this question."""


class BatchConflictError(StoreError):
    """A batch with this id is already published and holds something else."""


@dataclass(frozen=True)
class Batch:
    """One set of scores to publish; a question that is None is not part of it.

    The frames hold the contract's columns without ``batch_id`` and ``scored_at``. ``summary`` is plain JSON data
    and part of the content, so nothing in it may depend on when it was made.
    """

    batch_id: str
    as_of: datetime
    scored_at: datetime
    model_versions: dict[str, str]
    contacts: pd.DataFrame | None
    deals: pd.DataFrame | None
    summary: dict[str, Any]

    def __post_init__(self) -> None:
        if not _BATCH_ID.fullmatch(self.batch_id) or self.batch_id == LATEST:
            raise StoreError(
                f"a batch id must be 1 to 100 letters, digits or . _ : + -, and not {LATEST!r}; "
                f"found {self.batch_id!r}. Choose another id."
            )
        for name in ("as_of", "scored_at"):
            instant: datetime = getattr(self, name)
            if instant.tzinfo is None:
                raise StoreError(f"a batch's {name} must have a zone; found {instant!r}. Give it in UTC.")
        if self.contacts is None and self.deals is None:
            raise StoreError(f"batch {self.batch_id!r} must hold contacts or deals; found neither. Score one of them.")

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The frames that are part of this batch, by question."""
        both = {"contacts": self.contacts, "deals": self.deals}
        return {question: frame for question, frame in both.items() if frame is not None}


@dataclass(frozen=True)
class Published:
    """What publishing did: ``already`` means the same batch was there and nothing was written.

    ``moved`` names the questions whose latest batch is now this one; a backfill moves none.
    """

    batch_id: str
    already: bool
    digest: str
    rows: Mapping[str, int]
    moved: tuple[str, ...]


@dataclass(frozen=True)
class StoredBatch:
    """A published batch without its rows; ``rows`` counts them for each question that it holds."""

    batch_id: str
    contract_version: str
    as_of: datetime
    scored_at: datetime
    model_versions: dict[str, str]
    summary: dict[str, Any]
    rows: Mapping[str, int]
    digest: str
    latest_for: tuple[str, ...]


def batch_digest(batch: Batch) -> str:
    """Return SHA-256 over what a batch says, whatever its id, its ``scored_at`` and the order of its rows."""
    return _digest(batch, {question: _prepared(question, frame) for question, frame in batch.frames.items()})


class ScoreStore:
    """The published batches behind one database URL (``sqlite:///FILE`` or ``postgresql+psycopg://...``).

    Making one connects to nothing; the tables are made by the first publish. ``busy_seconds`` is how long a
    publish waits for another one.
    """

    def __init__(self, url: str, *, busy_seconds: float = 30.0) -> None:
        self._database = Database(url, busy_seconds=busy_seconds)

    def close(self) -> None:
        """Give back all connections."""
        self._database.close()

    def publish(self, batch: Batch) -> Published:
        """Publish all rows of a batch and make it the latest, in one transaction.

        The same batch again is left alone and told by ``already``. A batch whose as-of is before the latest one's
        is kept but does not become the latest. Raises ``ContractError`` or a ``StoreError``; then nothing changed.
        """
        frames: dict[str, pd.DataFrame] = {}
        for question, frame in batch.frames.items():
            check_rows(question, frame)
            frames[question] = _prepared(question, frame)
            _check_as_of(question, frames[question], batch.as_of)
        digest = _digest(batch, frames)
        rows = {question: len(frame) for question, frame in frames.items()}
        with self._database.transaction(writing=True) as connection:
            METADATA.create_all(connection)
            known = connection.scalar(select(batches.c.digest).where(batches.c.batch_id == batch.batch_id))
            if known is not None and known != digest:
                raise BatchConflictError(
                    f"batch {batch.batch_id!r} must stay what it is; the one published has digest {known[:12]}, this "
                    f"one {digest[:12]}. Publish it under another id."
                )
            if known is not None:
                return Published(batch.batch_id, already=True, digest=digest, rows=rows, moved=())
            connection.execute(batches.insert(), _batch_row(connection, batch, rows, digest))
            for question, frame in frames.items():
                for chunk in _records(SCORES[question], frame, batch.batch_id):
                    connection.execute(SCORES[question].insert(), chunk)
            moved = tuple(question for question in frames if _move_latest(connection, question, batch))
        return Published(batch.batch_id, already=False, digest=digest, rows=rows, moved=moved)

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
        with self._reading() as connection:
            return [] if connection is None else _stored(connection)

    def read(self, question: str, batch_id: str = LATEST) -> pd.DataFrame:
        """Return one question's rows of a batch in the contract's columns and dtypes, sorted by id."""
        contract = contract_of(question)
        with self._reading() as connection:
            batch = None if connection is None else _find(connection, question, batch_id)
            if connection is None or batch is None:
                what = "none" if batch_id == LATEST else f"none called {batch_id!r}"
                raise UnknownBatchError(
                    f"a batch of {question} must be published before it is read; {self._database.name} holds {what}. "
                    "See which batches there are, or publish one."
                )
            table = SCORES[question]
            stored = connection.execute(
                select(table).where(table.c.batch_id == batch.batch_id).order_by(table.c[contract.id_column])
            ).all()
        values: dict[str, Any] = dict(
            zip(table.c.keys(), zip(*stored, strict=True) if stored else [()] * len(table.c), strict=True)
        )
        once = {"object_type": contract.object_type, "as_of": batch.as_of, "scored_at": batch.scored_at}
        values |= {name: [value] * len(stored) for name, value in once.items()}
        return pd.DataFrame(
            {column.name: _column(column.kind, column.dtype, values[column.name]) for column in contract.columns}
        )

    def previous(self, question: str, *, before: datetime | None = None) -> pd.Series[float]:
        """Return the published probability of each scored object, indexed by its id.

        Taken from the latest batch, or with ``before`` from the newest one whose as-of is earlier: give the as-of
        that is being scored, and a rerun or a backfill finds the same past. Empty if there is no such batch.
        """
        contract = contract_of(question)
        table = SCORES[question]
        probability = table.c[contract.probability]
        stored: list[Any] = []
        with self._reading() as connection:
            batch = None if connection is None else _find(connection, question, LATEST, before=before)
            if connection is not None and batch is not None:
                id_column = table.c[contract.id_column]
                stored = list(
                    connection.execute(
                        select(id_column, probability)
                        .where(table.c.batch_id == batch.batch_id, probability.is_not(None))
                        .order_by(id_column)
                    )
                )
        index = pd.Index([row[0] for row in stored], dtype="str", name=contract.id_column)
        return pd.Series([row[1] for row in stored], index=index, dtype="float64", name=contract.probability)

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        """Yield a connection, or None while nothing was ever published."""
        if self._database.is_missing():
            yield None
            return
        with self._database.transaction(writing=False) as connection:
            yield connection if inspect(connection).has_table(batches.name) else None


def _prepared(question: str, frame: pd.DataFrame) -> pd.DataFrame:
    rows = conform(question, frame)
    if "batch_id" in rows:
        raise ContractError(
            f"{question} to publish must come without batch_id and scored_at, which the store fills in; found both. "
            "Drop them.",
            question=question,
            column="batch_id",
        )
    return rows.sort_values(contract_of(question).id_column, ignore_index=True)


def _check_as_of(question: str, rows: pd.DataFrame, as_of: datetime) -> None:
    other = rows.loc[rows["as_of"] != pd.Timestamp(as_of).as_unit("us"), [contract_of(question).id_column, "as_of"]]
    if len(other):
        row, found = other.iloc[0]
        raise ContractError(
            f"{question}.as_of must be the batch's, {as_of.isoformat()}; row {row!r} holds {found.isoformat()}. "
            "Score all rows of a batch as of one instant.",
            question=question,
            column="as_of",
            row=str(row),
            value=found,
        )


def _digest(batch: Batch, frames: Mapping[str, pd.DataFrame]) -> str:
    whole = hashlib.sha256()
    head = {"contract": CONTRACT_VERSION, "as_of": _instant(batch.as_of).isoformat()}
    whole.update(_json(head | {"models": batch.model_versions, "summary": batch.summary}).encode())
    for question, frame in frames.items():
        whole.update(f"\n{question} {len(frame)}\n".encode())
        for column in contract_of(question).columns:
            if column.name not in frame:
                continue
            values = frame[column.name]
            missing = values.isna().to_numpy(dtype=bool)
            whole.update(f"{column.name} {column.kind}\n".encode() + missing.tobytes())
            if column.kind in ("text", "json"):
                words = values[~missing].tolist()
                whole.update(np.array([len(word) for word in words], dtype="<i8").tobytes())
                whole.update("".join(words).encode())
            elif column.kind == "time":
                whole.update(values[~missing].astype("int64").to_numpy(dtype="<i8").tobytes())
            else:
                whole.update(values[~missing].to_numpy(dtype="<f8").tobytes())
    return whole.hexdigest()


def _json(data: dict[str, Any]) -> str:
    try:
        return json.dumps(data, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"a batch's summary and model versions must be plain JSON data; found otherwise ({error}). "
            "Use text, finite numbers, true, false, null, lists and objects."
        ) from error


def _instant(moment: datetime) -> datetime:
    return pd.Timestamp(moment).floor("us").to_pydatetime().astimezone(UTC)


def _batch_row(connection: Connection, batch: Batch, rows: Mapping[str, int], digest: str) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "sequence": (connection.scalar(select(func.max(batches.c.sequence))) or 0) + 1,
        "contract_version": CONTRACT_VERSION,
        "as_of": _instant(batch.as_of),
        "scored_at": _instant(batch.scored_at),
        "model_versions": _json(batch.model_versions),
        "summary": _json(batch.summary),
        "contacts_rows": rows.get("contacts"),
        "deals_rows": rows.get("deals"),
        "digest": digest,
    }


def _records(table: Table, frame: pd.DataFrame, batch_id: str) -> Iterator[list[dict[str, Any]]]:
    names = [column.name for column in table.c if column.name != "batch_id"]
    for start in range(0, len(frame), _CHUNK_ROWS):
        chunk = frame.iloc[start : start + _CHUNK_ROWS]
        columns = [[None if pd.isna(value) else value for value in chunk[name].astype(object)] for name in names]
        yield [dict(zip(names, row, strict=True), batch_id=batch_id) for row in zip(*columns, strict=True)]


def _move_latest(connection: Connection, question: str, batch: Batch) -> bool:
    current = connection.scalar(
        select(batches.c.as_of)
        .join(latest, latest.c.batch_id == batches.c.batch_id)
        .where(latest.c.question == question)
    )
    if current is None:
        connection.execute(latest.insert(), {"question": question, "batch_id": batch.batch_id})
        return True
    if _instant(batch.as_of) < current:
        return False
    connection.execute(update(latest).where(latest.c.question == question).values(batch_id=batch.batch_id))
    return True


def _newest_first() -> Select[Any]:
    return select(batches).order_by(batches.c.as_of.desc(), batches.c.sequence.desc())


def _stored(connection: Connection, query: Select[Any] | None = None) -> list[StoredBatch]:
    pointers = connection.execute(select(latest).order_by(latest.c.question)).all()
    found = connection.execute(_newest_first() if query is None else query).mappings()
    return [
        StoredBatch(
            batch_id=row["batch_id"],
            contract_version=row["contract_version"],
            as_of=row["as_of"],
            scored_at=row["scored_at"],
            model_versions=json.loads(row["model_versions"]),
            summary=json.loads(row["summary"]),
            rows={question: row[f"{question}_rows"] for question in CONTRACTS if row[f"{question}_rows"] is not None},
            digest=row["digest"],
            latest_for=tuple(pointer.question for pointer in pointers if pointer.batch_id == row["batch_id"]),
        )
        for row in found
    ]


def _find(
    connection: Connection, question: str, batch_id: str, *, before: datetime | None = None
) -> StoredBatch | None:
    query = _newest_first().where(batches.c[f"{question}_rows"].is_not(None))
    if before is not None:
        query = query.where(batches.c.as_of < _instant(before)).limit(1)
    elif batch_id == LATEST:
        query = query.join(latest, latest.c.batch_id == batches.c.batch_id).where(latest.c.question == question)
    else:
        query = query.where(batches.c.batch_id == batch_id)
    return next(iter(_stored(connection, query)), None)


def _column(kind: str, dtype: Any, values: Any) -> pd.Series[Any]:
    column: pd.Series[Any] = pd.Series(values, dtype="object" if kind == "time" else dtype)
    return pd.to_datetime(column, utc=True).astype(dtype) if kind == "time" else column
