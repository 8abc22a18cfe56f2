"""The as-of gate: the one place through which facts are seen as they were known at an instant.

Every fact has one effective time, the later of when it happened and when it could be known. It is visible at an
as-of if and only if its effective time lies strictly before the as-of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from features.tables import CrmTables

Int64Array = NDArray[np.int64]

NEVER: Final = np.iinfo(np.int64).max
_MISSING: Final = np.iinfo(np.int64).min
MICROSECONDS_PER_DAY: Final = 86_400_000_000

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
    """Return when the last contact, activity or step of a deal before an instant became known; None without any."""
    limit = instant(before)
    newest = []
    for table in ("contacts", "activities", "deal_stage_history"):
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
    return CrmTables(frames=frames, absent=tables.absent)


@dataclass(frozen=True)
class FactStream:
    """Facts about objects, sorted by object and effective time.

    Object ``i`` owns positions ``starts[i]`` to ``starts[i + 1]``. ``times`` are effective times in microseconds;
    ``rows`` are the rows of the frame that the facts came from. Facts of one object at the same instant keep the
    order of their rows, unless something else was said to order them.
    """

    starts: Int64Array
    times: Int64Array
    rows: Int64Array

    def before(self, *, objects: Int64Array, as_of: Int64Array) -> Int64Array:
        """Count, for each (object, as-of), the facts visible at the as-of. An object of -1 has none."""
        return np.asarray(_count_before(self.starts, self.times, objects, as_of), dtype=np.int64)

    def last_before(self, *, objects: Int64Array, as_of: Int64Array) -> Int64Array:
        """Return the position of the newest visible fact for each (object, as-of), or -1."""
        seen = self.before(objects=objects, as_of=as_of)
        return np.where(seen > 0, self.starts[np.maximum(objects, 0)] + seen - 1, -1)


def fact_stream(
    *, objects: Int64Array, times: Int64Array, object_count: int, ties: tuple[NDArray[np.generic], ...] = ()
) -> FactStream:
    """Sort facts by object and time; facts whose object is -1 or whose time is ``NEVER`` are left out.

    ``ties`` order the facts of one object at the same instant, the first of them before the next. Sources deliver
    in the order of time, so a stable counting sort by object is nearly always all that is needed; only the facts of
    objects that it leaves out of order are compared with each other.
    """
    starts, order, sorted_times, unordered = _group(objects, times, object_count, bool(ties))
    if unordered.any():
        where = np.flatnonzero(unordered[objects[order]])
        chosen = order[where]
        order[where] = chosen[np.lexsort((*(tie[chosen] for tie in reversed(ties)), times[chosen], objects[chosen]))]
        sorted_times[where] = times[order[where]]
    return FactStream(starts=starts, times=sorted_times, rows=order)


def codes(ids: pd.Series, *, index: pd.Index) -> Int64Array:
    """Return the position of each id in ``index``, or -1 for an id that is missing or unknown."""
    if isinstance(ids.dtype, pd.CategoricalDtype):
        # Each word is looked up once, however often it occurs.
        words = codes(pd.Series(ids.cat.categories), index=index)
        return np.append(words, -1)[ids.cat.codes.to_numpy()]
    if isinstance(ids.dtype, pd.StringDtype) and isinstance(index.dtype, pd.StringDtype):
        # Arrow looks strings up several times faster than pandas does.
        known = pa.array(index, from_pandas=True, type=pa.large_string())
        values = pa.array(ids, from_pandas=True, type=pa.large_string())
        found = pc.fill_null(pc.index_in(values, value_set=known, skip_nulls=True), -1)
        return np.asarray(found, dtype=np.int64)
    return np.asarray(index.get_indexer(pd.Index(ids)), dtype=np.int64)


@njit(cache=True)
def _group(objects, times, object_count, with_ties):  # type: ignore[no-untyped-def]  # compiled by Numba
    """Sort by object, keeping the order of rows, and mark the objects whose facts are then not in order."""
    starts = np.zeros(object_count + 1, dtype=np.int64)
    for row in range(objects.shape[0]):
        if objects[row] >= 0 and times[row] != NEVER:
            starts[objects[row] + 1] += 1
    starts = np.cumsum(starts)
    free = starts[:-1].copy()
    order = np.empty(starts[-1], dtype=np.int64)
    sorted_times = np.empty(starts[-1], dtype=np.int64)
    unordered = np.zeros(object_count, dtype=np.bool_)
    for row in range(objects.shape[0]):
        item = objects[row]
        if item < 0 or times[row] == NEVER:
            continue
        place = free[item]
        order[place] = row
        sorted_times[place] = times[row]
        if place > starts[item]:
            earlier = sorted_times[place - 1]
            unordered[item] |= times[row] < earlier or (with_ties and times[row] == earlier)
        free[item] = place + 1
    return starts, order, sorted_times, unordered


@njit(cache=True)
def _count_before(starts, times, objects, as_of):  # type: ignore[no-untyped-def]  # compiled by Numba
    counts = np.zeros(objects.shape[0], dtype=np.int64)
    for query in range(objects.shape[0]):
        item = objects[query]
        if item < 0:
            continue
        first = starts[item]
        low, high = first, starts[item + 1]
        while low < high:
            middle = (low + high) // 2
            if times[middle] < as_of[query]:
                low = middle + 1
            else:
                high = middle
        counts[query] = low - first
    return counts
