"""The as-of gate: the one place through which facts are seen as they were known at an instant.

Every fact has one effective time, the later of when it happened and when it could be known. It is visible at an
as-of if and only if its effective time lies strictly before the as-of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from features.fact_stream import MICROSECONDS_PER_DAY, NEVER, Int64Array
from features.tables import CrmTables
from features.words import TEXT, places_among

__all__ = [
    "HAPPENED_COLUMN",
    "MICROSECONDS_PER_DAY",
    "NEVER",
    "Int64Array",
    "as_known_at",
    "codes",
    "created_times",
    "effective_time",
    "instant",
    "link_times",
    "microseconds",
    "raw_microseconds",
]

_MISSING: Final = np.iinfo(np.int64).min

HAPPENED_COLUMN: Final = {
    "contacts": "created_at",
    "companies": "created_at",
    "activities": "occurred_at",
    "deals": "created_at",
    "deal_stage_history": "entered_at",
    "property_history": "known_at",
}


def microseconds(times: pd.Series) -> Int64Array:
    """Return times as microseconds since 1970 (UTC); a missing time is ``NEVER``."""
    values = raw_microseconds(times)
    missing = values == _MISSING
    return np.where(missing, NEVER, values) if missing.any() else values


def instant(time: pd.Timestamp) -> int:
    """Return one time as microseconds since 1970 (UTC).

    >>> instant(pd.Timestamp("1970-01-02T00:00Z")) == MICROSECONDS_PER_DAY
    True
    """
    return int(time.tz_convert("UTC").tz_localize(None).to_datetime64().astype("datetime64[us]").astype(np.int64))


def effective_time(table: str, frame: pd.DataFrame) -> Int64Array:
    """Return when each row of a table begins to count: the later of happening and being known (microseconds)."""
    happened = microseconds(frame[HAPPENED_COLUMN[table]])
    if table == "property_history" or "known_at" not in frame:
        return happened
    # What was known at a missing time was known before anything else: the later of both is when it happened.
    return np.maximum(happened, raw_microseconds(frame["known_at"]))


def raw_microseconds(times: pd.Series) -> Int64Array:
    """Return times as microseconds since 1970 (UTC), the least number for a missing one; not to be written to."""
    return np.asarray(pd.DatetimeIndex(times).as_unit("us").asi8)


def created_times(ids: pd.Series, *, table: pd.DataFrame, key: str) -> Int64Array:
    """Return when each of ``ids`` was created (microseconds); ``NEVER`` where ``table`` does not have it."""
    position = codes(ids, index=pd.Index(table[key]))
    return np.append(microseconds(table["created_at"]), NEVER)[position]


def link_times(tables: CrmTables) -> Int64Array:
    """Return when each row of ``deal_contacts`` begins to count, which has no time of its own.

    That is when both its deal and its contact had been created; a contact without a row does not hold it back, a
    deal without one is never linked.
    """
    links = tables["deal_contacts"]
    deal = created_times(links["deal_id"], table=tables["deals"], key="deal_id")
    contact = created_times(links["contact_id"], table=tables["contacts"], key="contact_id")
    return np.maximum(deal, np.where(contact == NEVER, deal, contact))


def newest_fact(tables: CrmTables, *, before: pd.Timestamp) -> pd.Timestamp | None:
    """Return when the last contact, deal, stage or activity before an instant became known; None without any."""
    limit = instant(before)
    newest = []
    for table in ("contacts", "deals", "activities", "deal_stage_history"):
        times = effective_time(table, tables[table])
        newest += times[times < limit].max(initial=_MISSING, keepdims=True).tolist()
    return None if max(newest) == _MISSING else pd.Timestamp(max(newest), unit="us", tz="UTC")


def as_known_at(tables: CrmTables, *, as_of: pd.Timestamp) -> CrmTables:
    """Return the tables as they could have been read just before ``as_of``.

    Rows not yet visible are gone; ``stages`` and ``owners`` are definitions and stay whole. Properties without
    history still hold today's value here: ``features.properties`` decides which of them may be used.
    """
    limit = instant(as_of)
    frames = dict(tables.frames)
    for table in HAPPENED_COLUMN:
        frame = frames[table]
        visible = effective_time(table, frame) < limit
        frames[table] = frame.loc[visible].reset_index(drop=True)
    frames["deal_contacts"] = frames["deal_contacts"].loc[link_times(tables) < limit].reset_index(drop=True)
    return replace(tables, frames=frames)


def codes(ids: pd.Series, *, index: pd.Index) -> Int64Array:
    """Return the position of each id in ``index``, or -1 for an id that is missing or unknown."""
    if isinstance(ids.dtype, pd.CategoricalDtype):
        # Each word is looked up once, however often it occurs.
        words = codes(pd.Series(ids.cat.categories), index=index)
        return np.append(words, -1)[ids.cat.codes.to_numpy()]
    if isinstance(ids.dtype, pd.StringDtype) and isinstance(index.dtype, pd.StringDtype):
        known = pa.array(index, from_pandas=True, type=TEXT)
        return places_among(pa.array(ids, from_pandas=True, type=TEXT), known).astype(np.int64)
    return np.asarray(index.get_indexer(pd.Index(ids)), dtype=np.int64)
