"""How many batches the store keeps: those that jobs may still be reading, and a history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.engine import Connection

from serving.batch import StoredBatch
from serving.schema import SCORES, batches
from serving.settings import StoreSettings


def to_drop(stored: Sequence[StoredBatch], *, settings: StoreSettings, now: datetime) -> list[str]:
    """Return the ids of the batches that may go; ``stored`` has the newest first. A latest one never goes."""
    young = now - timedelta(days=settings.keep_days)
    return [
        batch.batch_id for batch in stored[settings.keep_batches :] if not batch.latest_for and batch.scored_at < young
    ]


def drop(connection: Connection, batch_id: str) -> None:
    """Remove a batch and its rows; needs a writing transaction."""
    for table in SCORES.values():
        connection.execute(delete(table).where(table.c.batch_id == batch_id))
    connection.execute(delete(batches).where(batches.c.batch_id == batch_id))
