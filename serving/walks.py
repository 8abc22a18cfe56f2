"""Walking through a batch in the order of its ids: pages for programs, chunks for files, changes since a batch.

Every step is a short transaction of its own that begins after the last id, so that the last page costs what the first
one did, nothing is held between two steps, and a reader may be away for as long as the batch is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select
from sqlalchemy.engine import Connection

from serving.batch import StoredBatch, to_microseconds
from serving.bulk import fetch_columns
from serving.contract import contract_of
from serving.schema import BATCH_WIDE, SCORES, batches, removed
from serving.store import ScoreStore, UnknownBatchError

CHUNK_ROWS: Final = 2_000


class BatchGoneError(UnknownBatchError):
    """The batch that a reader was walking through is kept no more."""


@dataclass(frozen=True)
class Filter:
    """Which rows of a batch: an empty tuple or None asks for nothing in particular; ends are included."""

    ids: tuple[str, ...] = ()
    tier: tuple[str, ...] = ()
    pipeline: tuple[str, ...] = ()
    stage: tuple[str, ...] = ()
    owner_id: tuple[str, ...] = ()
    agreement: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    updated_since: datetime | None = None


EVERYTHING: Final = Filter()
_LEAST_GAP: Final = 0.01
_ONCE: Final = BATCH_WIDE | {"batch_id"}
_KEPT: Final = select(func.count()).where(
    batches.c.batch_id == bindparam("batch_id"), batches.c.sequence == bindparam("sequence")
)


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows as columns, in the order asked for; ``last`` is the id to go on after, None at the end."""

    columns: Mapping[str, Sequence[Any]]
    ids: Sequence[str]
    last: str | None


@dataclass(frozen=True)
class Tombstone:
    """An object that is scored no more."""

    object_id: str
    reason: str
    merged_into: str | None


@dataclass(frozen=True)
class Changes:
    """One page of what changed: rows as they are in the latest batch, and what went, each in the order of ids."""

    rows: Chunk
    gone: Sequence[Tombstone]
    last: str | None


def read_chunk(
    store: ScoreStore,
    question: str,
    batch: StoredBatch,
    *,
    fields: Sequence[str],
    chosen: Filter = EVERYTHING,
    after: str | None = None,
    rows: int,
) -> Chunk:
    """Return the next rows of a batch after an id; raise ``BatchGoneError`` if it is kept no more."""
    return _next_chunk(store, _query(question, batch, fields, chosen), question, batch, fields, after, rows)


def _next_chunk(
    store: ScoreStore,
    query: Select[Any],
    question: str,
    batch: StoredBatch,
    fields: Sequence[str],
    after: str | None,
    rows: int,
) -> Chunk:
    with store.reading() as connection:
        _require(connection, question, batch)
        assert connection is not None
        return _page(connection, query, question, batch, fields, after, rows)


def walk(
    store: ScoreStore,
    question: str,
    batch: StoredBatch,
    *,
    fields: Sequence[str],
    chosen: Filter = EVERYTHING,
    after: str | None = None,
    limit: int | None = None,
) -> Iterator[Chunk]:
    """Yield the rows of a batch after an id, in chunks; at least one chunk, which may be empty."""
    left = limit
    # Made once: to make a query and name it anew takes a tenth of the time of a chunk.
    query = _query(question, batch, fields, chosen)
    while True:
        size = CHUNK_ROWS if left is None else min(CHUNK_ROWS, left)
        chunk = _next_chunk(store, query, question, batch, fields, after, size)
        after = chunk.last
        left = None if left is None else left - len(chunk.ids)
        yield chunk
        # Not two at a time: many readers walk at once.
        del chunk
        if after is None or left == 0:
            return


def read_changes(
    store: ScoreStore,
    question: str,
    batch: StoredBatch,
    *,
    since: int,
    since_batch: str | None = None,
    fields: Sequence[str],
    after: str | None = None,
    rows: int,
) -> Changes:
    """Return the next objects after an id that changed, or went, after the batch of sequence ``since``.

    Where ``since_batch`` names that batch and the store holds another one in its place, the store is not the one that
    it was. Since 0 is the whole batch and all that ever went: who broke off a first walk may hold some of it.
    """
    table = SCORES[question]
    id_column = table.c[contract_of(question).id_column]
    with store.reading() as connection:
        _require(connection, question, batch)
        assert connection is not None
        _require_place(connection, since, since_batch)
        query = _query(question, batch, fields, Filter())
        if since > 0:
            query = query.where(table.c.changed_sequence > since)
        page = _page(connection, query, question, batch, fields, after, rows)
        # What came back after it went is in the batch, and told as a row.
        here = select(id_column).where(table.c.batch_id == batch.batch_id, id_column == removed.c.object_id)
        newest = func.max(removed.c.sequence)
        lost = (
            select(removed.c.object_id, newest.label("sequence"))
            .where(removed.c.question == question, removed.c.sequence > since, removed.c.sequence <= batch.sequence)
            .where(~here.exists())
            .group_by(removed.c.object_id)
            .order_by(removed.c.object_id)
            .limit(rows + 1)
        )
        if after is not None:
            lost = lost.where(removed.c.object_id > after)
        found = lost.subquery()
        gone = [
            Tombstone(row.object_id, row.reason, row.merged_into)
            for row in connection.execute(
                select(removed)
                .join(
                    found,
                    and_(
                        removed.c.question == question,
                        removed.c.object_id == found.c.object_id,
                        removed.c.sequence == found.c.sequence,
                    ),
                )
                .order_by(removed.c.object_id)
            )
        ]
    return _merged(page, gone, rows)


def history(store: ScoreStore, question: str, object_id: str) -> list[tuple[StoredBatch, Mapping[str, Any]]]:
    """Return each kept batch that holds an object with its row there, the newest as-of first."""
    contract = contract_of(question)
    table = SCORES[question]
    fields = [column.name for column in contract.columns if column.name not in BATCH_WIDE]
    known = {batch.batch_id: batch for batch in store.batches() if question in batch.rows}
    with store.reading() as connection:
        if connection is None or not known:
            return []
        rows = connection.execute(
            select(*(table.c[name] for name in fields)).where(
                table.c[contract.id_column] == object_id, table.c.batch_id.in_(list(known))
            )
        ).mappings()
        found = {row["batch_id"]: dict(row) for row in rows}
    return [(batch, found[batch.batch_id]) for batch in known.values() if batch.batch_id in found]


def _require(connection: Connection | None, question: str, batch: StoredBatch) -> None:
    wanted = {"batch_id": batch.batch_id, "sequence": batch.sequence}
    if connection is None or connection.scalar(_KEPT, wanted) != 1:
        raise BatchGoneError(
            f"batch {batch.batch_id!r} of {question} must be kept while it is read, and is kept no more. Begin again "
            "with the latest one."
        )


def _require_place(connection: Connection, since: int, since_batch: str | None) -> None:
    """Refuse a place in another store. A batch that is kept no more leaves its place empty."""
    found = connection.scalar(select(batches.c.batch_id).where(batches.c.sequence == since))
    if since_batch is not None and found not in (None, since_batch):
        raise BatchGoneError("the store was replaced since this cursor was given. Begin again without it.")


def _query(question: str, batch: StoredBatch, fields: Sequence[str], chosen: Filter) -> Select[Any]:
    contract = contract_of(question)
    table = SCORES[question]
    id_column = table.c[contract.id_column]
    stored = [table.c[name] for name in fields if name not in _ONCE and name != contract.id_column]
    query = select(id_column.label("_id"), *stored).where(table.c.batch_id == batch.batch_id)
    wanted: list[ColumnElement[bool]] = []
    if chosen.ids:
        wanted.append(id_column.in_(chosen.ids))
    for name in ("tier", "pipeline", "stage", "owner_id", "agreement"):
        values = getattr(chosen, name)
        if values:
            wanted.append(table.c[name].in_(values))
    probability = table.c[contract.probability]
    if chosen.at_least is not None:
        wanted.append(probability >= chosen.at_least)
    if chosen.at_most is not None:
        wanted.append(probability <= chosen.at_most)
    if chosen.updated_since is not None:
        before = select(func.coalesce(func.max(batches.c.sequence), 0)).where(
            batches.c.scored_at < to_microseconds(chosen.updated_since)
        )
        wanted.append(func.coalesce(table.c.changed_sequence, batch.sequence) > before.scalar_subquery())
    # No id is empty: everything comes after the empty text.
    return query.where(*wanted, id_column > bindparam("after")).order_by(id_column).limit(bindparam("rows"))


def _page(
    connection: Connection,
    query: Select[Any],
    question: str,
    batch: StoredBatch,
    fields: Sequence[str],
    after: str | None,
    rows: int,
) -> Chunk:
    contract = contract_of(question)
    ids, *stored = fetch_columns(connection, query, {"after": after or "", "rows": rows + 1})
    more = len(ids) > rows
    if more:
        for values in (ids, *stored):
            values.pop()
    given = iter(stored)
    once = {
        "batch_id": batch.batch_id,
        "object_type": contract.object_type,
        "as_of": batch.as_of,
        "scored_at": batch.scored_at,
    }
    columns = {
        name: [once[name]] * len(ids) if name in once else ids if name == contract.id_column else next(given)
        for name in fields
    }
    return Chunk(columns=columns, ids=ids, last=ids[-1] if more else None)


def _merged(page: Chunk, gone: list[Tombstone], rows: int) -> Changes:
    """Cut both to the first ``rows`` objects of their union."""
    ids = sorted([*page.ids, *(one.object_id for one in gone)])
    more = len(ids) > rows or page.last is not None
    last = ids[:rows][-1] if more else None
    if last is None:
        return Changes(page, gone, None)
    count = sum(one <= last for one in page.ids)
    columns = {name: values[:count] for name, values in page.columns.items()}
    return Changes(
        rows=Chunk(columns=columns, ids=page.ids[:count], last=None),
        gone=[one for one in gone if one.object_id <= last],
        last=last,
    )


def disagreements(store: ScoreStore, question: str, batch: StoredBatch, *, rows: int) -> list[Mapping[str, Any]]:
    """Return the objects that model and habit judge most differently, each with both judgements, the farthest first.

    For contacts the habit is the points' probability, where exactly one of the two ranks the contact high, and tier and
    points are told as well, which are there where probabilities are not; for deals it is the probability set by hand
    for the stage. Those that are alike to a percentage point are left out.
    """
    contract = contract_of(question)
    table = SCORES[question]
    ours = table.c[contract.probability]
    theirs = table.c.points_likelihood if question == "contacts" else table.c.stage_probability_manual
    gap = func.abs(ours - theirs)
    id_column = table.c[contract.id_column]
    query = (
        select(id_column.label("id"), ours.label("ours"), theirs.label("theirs"))
        .where(table.c.batch_id == batch.batch_id)
        .order_by(gap.is_(None), gap.desc(), id_column)
        .limit(rows)
    )
    if question == "contacts":
        query = query.add_columns(table.c.tier, table.c.points)
        query = query.where(table.c.agreement.in_(("model_only", "points_only")), or_(gap.is_(None), gap >= _LEAST_GAP))
    else:
        query = query.where(gap >= _LEAST_GAP)
    with store.reading() as connection:
        return [] if connection is None else [dict(row) for row in connection.execute(query).mappings()]
