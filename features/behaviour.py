"""Behaviour before an as-of: counts, recency, decayed engagement and active days, in one sorted pass.

Activities and snapshots of an object are walked together in time order with one moving pointer per window, so the
cost follows the number of activities plus the number of snapshots, not their product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from features.tables import CrmTables
from features.visibility import (
    MICROSECONDS_PER_DAY,
    NEVER,
    FactStream,
    Int64Array,
    codes,
    created_times,
    effective_time,
    fact_stream,
    microseconds,
)

OTHER_KIND: Final = "other"


@dataclass(frozen=True)
class ActivityStream:
    """Activities sorted by object and effective time.

    ``kind`` (position in ``kinds``) and ``source_rows`` (row of the table) run parallel to the stream.
    """

    stream: FactStream
    kind: Int64Array
    source_rows: Int64Array
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Behaviour:
    """What each snapshot's object had done, over snapshots (n), kinds (k), windows (w) and half-lives (h).

    ``counts`` (n, k, w) counts activities with as_of - window <= time < as_of; ``total`` (n, k) those of all time.
    ``days_since`` (n, k) is NaN where there was none. ``decayed`` (n, h) sums 0.5 ** (age / half-life) over all
    activities. ``active_days`` (n, w) counts distinct UTC days with an activity in the window.
    """

    counts: NDArray[np.float64]
    total: NDArray[np.float64]
    days_since: NDArray[np.float64]
    decayed: NDArray[np.float64]
    active_days: NDArray[np.float64]


def contact_activities(*, activities: pd.DataFrame, contact_ids: pd.Index, kinds: tuple[str, ...]) -> ActivityStream:
    """Sort activities by the contact they belong to; kinds beyond ``kinds`` become ``OTHER_KIND``."""
    return _activity_stream(
        activities=activities,
        rows=np.arange(len(activities)),
        objects=codes(activities["contact_id"], index=contact_ids),
        not_before=np.full(len(activities), -NEVER),
        kinds=kinds,
        object_count=len(contact_ids),
    )


def deal_activities(*, tables: CrmTables, deal_ids: pd.Index, kinds: tuple[str, ...]) -> ActivityStream:
    """Sort activities by deal: those of the deal itself and, where they name no deal, those of its contacts.

    What a contact did before it was created counts for its deals from its creation on: until then nobody knew
    whose it was.
    """
    activities, deal_contacts = tables["activities"], tables["deal_contacts"]
    own = codes(activities["deal_id"], index=deal_ids)
    loose = np.flatnonzero(activities["deal_id"].isna().to_numpy() & activities["contact_id"].notna().to_numpy())
    links = pd.DataFrame(
        {"contact_id": deal_contacts["contact_id"], "deal": codes(deal_contacts["deal_id"], index=deal_ids)}
    ).drop_duplicates()
    through = pd.DataFrame({"contact_id": activities["contact_id"].iloc[loose], "row": loose}).merge(
        links, on="contact_id"
    )
    created = created_times(through["contact_id"], table=tables["contacts"], key="contact_id")
    return _activity_stream(
        activities=activities,
        rows=np.concatenate([np.arange(len(activities)), through["row"].to_numpy(dtype=np.int64)]),
        objects=np.concatenate([own, through["deal"].to_numpy(dtype=np.int64)]),
        not_before=np.concatenate([np.full(len(activities), -NEVER), np.where(created == NEVER, -NEVER, created)]),
        kinds=kinds,
        object_count=len(deal_ids),
    )


def kind_codes(types: pd.Series, *, kinds: tuple[str, ...]) -> Int64Array:
    """Return the position of each activity's kind; unlisted kinds take the position of ``OTHER_KIND``, or -1."""
    index = pd.Index(kinds)
    other = codes(pd.Series([OTHER_KIND]), index=index)[0]
    found = codes(types, index=index)
    return np.where(found >= 0, found, other)


def behaviour_before(
    *,
    activities: ActivityStream,
    objects: Int64Array,
    as_of: Int64Array,
    windows_days: tuple[float, ...],
    half_lives_days: tuple[float, ...],
) -> Behaviour:
    """Summarise each object's activities strictly before its as-of (microseconds); any order of snapshots."""
    order = np.lexsort((as_of, objects))
    shape = (len(objects), len(activities.kinds))
    counts = np.zeros((*shape, len(windows_days)))
    total = np.zeros(shape)
    days_since = np.full(shape, np.nan)
    decayed = np.zeros((len(objects), len(half_lives_days)))
    active_days = np.zeros((len(objects), len(windows_days)))
    _sweep(
        activities.stream.starts,
        activities.stream.times,
        activities.kind,
        order,
        objects,
        as_of,
        np.round(np.array(windows_days, dtype=np.float64) * MICROSECONDS_PER_DAY).astype(np.int64),
        np.array(half_lives_days, dtype=np.float64) * MICROSECONDS_PER_DAY,
        counts,
        total,
        days_since,
        decayed,
        active_days,
    )
    return Behaviour(counts=counts, total=total, days_since=days_since, decayed=decayed, active_days=active_days)


def _activity_stream(
    *,
    activities: pd.DataFrame,
    rows: Int64Array,
    objects: Int64Array,
    not_before: Int64Array,
    kinds: tuple[str, ...],
    object_count: int,
) -> ActivityStream:
    times = np.maximum(effective_time("activities", activities)[rows], not_before)
    occurred = microseconds(activities["occurred_at"])[rows]
    kind = kind_codes(activities["type"], kinds=kinds)[rows]
    stream = fact_stream(
        objects=np.where(kind >= 0, objects, -1), times=times, object_count=object_count, ties=(occurred,)
    )
    return ActivityStream(stream=stream, kind=kind[stream.rows], source_rows=rows[stream.rows], kinds=kinds)


@njit(cache=True)
def _sweep(  # type: ignore[no-untyped-def]  # compiled by Numba
    starts, times, kind, order, objects, as_of, windows, half_lives, counts, total, days_since, decayed, active_days
):
    day = 86_400_000_000
    n_kinds = total.shape[1]
    n_windows = windows.shape[0]
    running = np.zeros((n_kinds, n_windows))
    seen = np.zeros(n_kinds)
    last = np.zeros(n_kinds, dtype=np.int64)
    tail = np.zeros(n_windows, dtype=np.int64)
    days = np.zeros(n_windows)
    warmth = np.zeros(half_lives.shape[0])
    head = np.int64(0)
    warm_at = np.int64(0)
    current = np.int64(-1)
    for place in range(order.shape[0]):
        snapshot = order[place]
        item = objects[snapshot]
        if item < 0:
            continue
        if item != current:
            current = item
            head = starts[item]
            running[:] = 0.0
            seen[:] = 0.0
            tail[:] = head
            days[:] = 0.0
            warmth[:] = 0.0
            warm_at = np.int64(0)
        now = as_of[snapshot]
        while head < starts[item + 1] and times[head] < now:
            at = times[head]
            which = kind[head]
            seen[which] += 1.0
            last[which] = at
            for window in range(n_windows):
                running[which, window] += 1.0
                if head == tail[window] or times[head - 1] // day != at // day:
                    days[window] += 1.0
            for life in range(half_lives.shape[0]):
                warmth[life] = warmth[life] * 0.5 ** ((at - warm_at) / half_lives[life]) + 1.0
            warm_at = at
            head += 1
        for window in range(n_windows):
            limit = now - windows[window]
            while tail[window] < head and times[tail[window]] < limit:
                position = tail[window]
                running[kind[position], window] -= 1.0
                if position + 1 == head or times[position + 1] // day != times[position] // day:
                    days[window] -= 1.0
                tail[window] += 1
            active_days[snapshot, window] = days[window]
            for which in range(n_kinds):
                counts[snapshot, which, window] = running[which, window]
        for which in range(n_kinds):
            total[snapshot, which] = seen[which]
            if seen[which] > 0.0:
                days_since[snapshot, which] = (now - last[which]) / day
        for life in range(half_lives.shape[0]):
            decayed[snapshot, life] = warmth[life] * 0.5 ** ((now - warm_at) / half_lives[life])
