"""Erasing one contact from the score store: every row of it, whatever names it, and a tombstone for those who read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import Connection

from serving.batch import json_text
from serving.schema import SCORES, batches, latest, removed
from serving.store import ScoreStore

ERASED: Final = "erased"
_QUESTION: Final = "contacts"


@dataclass(frozen=True)
class ErasedScores:
    """What was removed: rows of scores, and in how many batches the summary named the contact."""

    rows: int
    summaries: int


def erase_scores(store: ScoreStore, ids: Sequence[str]) -> ErasedScores:
    """Remove contacts from all batches in one transaction, and clear the space that they took.

    Jobs that read changes learn of it with the next batch. A batch keeps its id and the digest of what was published,
    so that publishing the same once more does not bring the contacts back.
    """
    with store.reading() as connection:
        if connection is None:
            return ErasedScores(0, 0)
    with store.writing() as connection:
        rows = sum(_erase_rows(connection, one) for one in ids)
        summaries = _erase_from_summaries(connection, ids)
    store.scrub()
    return ErasedScores(rows, summaries)


def merged_into(store: ScoreStore, contact_id: str) -> list[str]:
    """Return the contacts that tombstones say were merged into this one."""
    with store.reading() as connection:
        if connection is None:
            return []
        losers = select(removed.c.object_id).where(removed.c.question == _QUESTION, removed.c.merged_into == contact_id)
        return sorted(set(connection.scalars(losers)))


def _erase_rows(connection: Connection, object_id: str) -> int:
    table = SCORES[_QUESTION]
    its = table.c.contact_id == object_id
    held = list(connection.scalars(select(table.c.batch_id).where(its)))
    newest = connection.scalar(select(latest.c.batch_id).where(latest.c.question == _QUESTION))
    connection.execute(delete(table).where(its))
    connection.execute(
        update(batches).where(batches.c.batch_id.in_(held)).values(contacts_rows=batches.c.contacts_rows - 1)
    )
    told = removed.c.question == _QUESTION
    gone = {"reason": ERASED, "merged_into": None}
    connection.execute(update(removed).where(told, removed.c.object_id == object_id).values(gone))
    connection.execute(update(removed).where(told, removed.c.merged_into == object_id).values(gone))
    if newest in held:
        # Told with the next batch: whoever has seen the latest one looks only at what came after it.
        following = (connection.scalar(select(func.max(batches.c.sequence))) or 0) + 1
        row = {"question": _QUESTION, "object_id": object_id, "sequence": following, **gone}
        connection.execute(removed.insert(), row)
    return len(held)


def _erase_from_summaries(connection: Connection, ids: Sequence[str]) -> int:
    changed = 0
    for batch_id, text in connection.execute(select(batches.c.batch_id, batches.c.summary)).all():
        told = json.loads(text)
        kept = _without(told, ids)
        if kept != told:
            connection.execute(update(batches).where(batches.c.batch_id == batch_id).values(summary=json_text(kept)))
            changed += 1
    return changed


def _without(told: Any, ids: Sequence[str]) -> Any:
    """Return plain data in which no text is, or quotes, one of the ids."""
    if isinstance(told, dict):
        return {key: _without(value, ids) for key, value in told.items()}
    if isinstance(told, list):
        return [_without(value, ids) for value in told]
    if isinstance(told, str):
        for one in ids:
            told = f"({ERASED})" if told == one else told.replace(f"'{one}'", f"({ERASED})")
    return told
