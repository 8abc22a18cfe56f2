"""Behaviour before an as-of: counts, recency, decayed engagement, active days and answers, in one sorted pass.

Activities and snapshots of an object are walked together in time order with one moving pointer per window, so the
cost follows the number of activities plus the number of snapshots, not their product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from features.series import NO_DISCOUNT, Discount, SeriesPlan, discounted
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


@dataclass(frozen=True)
class ActivityStream:
    """Activities sorted by object and effective time.

    ``signature`` (see ``SeriesPlan``) runs parallel to the stream, whose ``rows`` are those of the table.
    """

    stream: FactStream
    signature: NDArray[np.integer]
    plan: SeriesPlan

    def kind_at(self, positions: Int64Array) -> NDArray[np.float64]:
        """Return the kind (place in the plan) at each position of the stream, NaN at -1."""
        kinds = np.full(len(positions), np.nan)
        known = positions >= 0
        kinds[known] = self.plan.kind_of(self.signature[positions[known]])
        return kinds


@dataclass(frozen=True)
class Behaviour:
    """What each snapshot's object had done, over snapshots (n), series (s), windows (w) and half-lives (h).

    ``counts`` (n, s, w) counts the activities of the windowed series with as_of - window <= time < as_of; ``total``
    (n, s) those of all time. ``days_since`` (n, s) is NaN where there was none. ``decayed`` (n, 1 or 3, h) sums
    0.5 ** (age / half-life) over all activities, and with directions over the inbound and the outbound ones.
    ``active_days`` (n, w) counts distinct UTC days with an activity in the window.

    An answer is the first activity of the other side after one or several of one's own; it took as long as the first
    of these had waited. ``answers`` (n, 6, or none without directions) tells days, NaN where there are none: their
    last and mean answer, our last and mean answer, how long we have been waiting for them, how long they for us.
    """

    counts: NDArray[np.float64]
    total: NDArray[np.float64]
    days_since: NDArray[np.float64]
    decayed: NDArray[np.float64]
    active_days: NDArray[np.float64]
    answers: NDArray[np.float64]


def contact_activities(
    *,
    activities: pd.DataFrame,
    contact_ids: pd.Index,
    kinds: tuple[str, ...] = (),
    plan: SeriesPlan | None = None,
    discount: Discount = NO_DISCOUNT,
) -> ActivityStream:
    """Sort activities by the contact they belong to; give the kinds to count, or a whole plan of series.

    Activities of contacts that ``contact_ids`` does not have belong to nobody.
    """
    return _activity_stream(
        activities=activities,
        rows=None,
        objects=codes(activities["contact_id"], index=contact_ids),
        not_before=None,
        plan=plan or SeriesPlan(kinds),
        discount=discount,
        object_count=len(contact_ids),
    )


def deal_activities(
    *, tables: CrmTables, deal_ids: pd.Index, plan: SeriesPlan, discount: Discount = NO_DISCOUNT
) -> ActivityStream:
    """Sort activities by deal: those of the deal itself and, where they name no deal, those of its contacts.

    What a contact did before it was created counts for its deals from its creation on: until then nobody knew
    whose it was.
    """
    activities, deal_contacts = tables["activities"], tables["deal_contacts"]
    own = codes(activities["deal_id"], index=deal_ids)
    linked = pd.Index(deal_contacts["contact_id"].unique())
    links = pd.DataFrame(
        {
            "contact": codes(deal_contacts["contact_id"], index=linked),
            "deal": codes(deal_contacts["deal_id"], index=deal_ids),
        }
    ).drop_duplicates()
    contact = np.where(activities["deal_id"].isna(), codes(activities["contact_id"], index=linked), -1)
    loose = np.flatnonzero(contact >= 0)
    through = pd.DataFrame({"contact": contact[loose], "row": loose}).merge(links, on="contact")
    created = created_times(pd.Series(linked), table=tables["contacts"], key="contact_id")[through["contact"]]
    mine = np.flatnonzero(own >= 0)
    rows = np.concatenate([mine, through["row"].to_numpy(dtype=np.int64)])
    sellers = pd.Index(sorted(activities["owner_id"].dropna().unique()), dtype="str")
    return _activity_stream(
        activities=activities,
        rows=rows,
        objects=np.concatenate([own[mine], through["deal"].to_numpy(dtype=np.int64)]),
        not_before=np.concatenate([np.full(len(mine), -NEVER), np.where(created == NEVER, -NEVER, created)]),
        plan=plan,
        discount=discount,
        object_count=len(deal_ids),
        # Who acted last is a feature of deals.
        ties=(codes(activities["owner_id"].iloc[rows], index=sellers),),
    )


def behaviour_before(
    *,
    activities: ActivityStream,
    objects: Int64Array,
    as_of: Int64Array,
    windows_days: tuple[float, ...],
    half_lives_days: tuple[float, ...],
) -> Behaviour:
    """Summarise each object's activities strictly before its as-of (microseconds); any order of snapshots."""
    plan = activities.plan
    rows, series, windows = len(objects), len(plan.names), len(windows_days)
    # Each column of a feature lies in one piece, since that is how they are used.
    counts = np.zeros((plan.windowed, windows, rows))
    total = np.zeros((series, rows))
    days_since = np.full((series, rows), np.nan)
    decayed = np.zeros((3 if plan.directed else 1, len(half_lives_days), rows))
    active_days = np.zeros((windows, rows))
    answers = np.full((6 if plan.directed else 0, rows), np.nan)
    member_starts, members = plan.members()
    _sweep(
        activities.stream.starts,
        activities.stream.times,
        activities.signature,
        member_starts,
        members,
        plan.side_of(np.arange(plan.signatures)) if plan.directed else np.zeros(plan.signatures, dtype=np.int64),
        np.lexsort((as_of, objects)),
        objects,
        as_of,
        np.round(np.array(windows_days, dtype=np.float64) * MICROSECONDS_PER_DAY).astype(np.int64),
        -1.0 / (np.array(half_lives_days, dtype=np.float64) * MICROSECONDS_PER_DAY),
        counts,
        total,
        days_since,
        decayed,
        active_days,
        answers,
    )
    return Behaviour(
        *(np.moveaxis(column, -1, 0) for column in (counts, total, days_since, decayed, active_days, answers))
    )


def _activity_stream(
    *,
    activities: pd.DataFrame,
    rows: Int64Array | None,
    objects: Int64Array,
    not_before: Int64Array | None,
    plan: SeriesPlan,
    discount: Discount,
    object_count: int,
    ties: tuple[Int64Array, ...] = (),
) -> ActivityStream:
    times = effective_time("activities", activities)
    occurred = microseconds(activities["occurred_at"])
    signature = plan.signatures_of(activities, occurred=occurred).astype(_narrowest(plan.signatures))
    if rows is not None:
        times, occurred, signature = times[rows], occurred[rows], signature[rows]
    if not_before is not None:
        times = np.maximum(times, not_before)
    # Of activities at the same instant the order must not hang on how the table was delivered.
    stream = fact_stream(
        objects=np.where(signature >= 0, objects, -1),
        times=times,
        object_count=object_count,
        ties=(occurred, signature, *ties),
    )
    if discount.discounts:
        stream = discounted(stream=stream, signature=signature, occurred=occurred, plan=plan, discount=discount)
    signature = signature[stream.rows]
    if rows is not None:
        stream = FactStream(starts=stream.starts, times=stream.times, rows=rows[stream.rows])
    return ActivityStream(stream=stream, signature=signature, plan=plan)


def _narrowest(signatures: int) -> type[np.signedinteger]:
    return np.int16 if signatures <= np.iinfo(np.int16).max else np.int32


@njit(cache=True, nogil=True)
def _sweep(  # type: ignore[no-untyped-def]  # compiled by Numba
    starts,
    times,
    signature,
    member_starts,
    members,
    side_of,
    order,
    objects,
    as_of,
    windows,
    fading,
    counts,
    total,
    days_since,
    decayed,
    active_days,
    answers,
):
    day = 86_400_000_000
    n_series = total.shape[0]
    n_windowed, n_windows = counts.shape[0], counts.shape[1]
    n_groups, n_lives = decayed.shape[0], decayed.shape[1]
    # What an object has done so far, and of that what has left each window: the difference is in the window.
    seen = np.zeros(n_series, dtype=np.int64)
    gone = np.zeros((n_windows, n_series), dtype=np.int64)
    last = np.zeros(n_series, dtype=np.int64)
    tail = np.zeros(n_windows, dtype=np.int64)
    days = np.zeros(n_windows, dtype=np.int64)
    warmth = np.zeros((n_groups, n_lives))
    warm_at = np.zeros(n_groups, dtype=np.int64)
    answer_last = np.zeros(3)
    answer_sum = np.zeros(3)
    answer_count = np.zeros(3)
    head = np.int64(0)
    current = np.int64(-1)
    side = np.int64(0)
    waiting_since = np.int64(0)
    for place in range(order.shape[0]):
        snapshot = order[place]
        item = objects[snapshot]
        if item < 0:
            continue
        if item != current:
            current = item
            head = starts[item]
            seen[:] = 0
            gone[:] = 0
            tail[:] = head
            days[:] = 0
            warmth[:] = 0.0
            warm_at[:] = as_of[snapshot]
            answer_count[:] = 0.0
            answer_sum[:] = 0.0
            side = np.int64(0)
        now = as_of[snapshot]
        while head < starts[item + 1] and times[head] < now:
            at = times[head]
            what = signature[head]
            for member in range(member_starts[what], member_starts[what + 1]):
                seen[members[member]] += 1
                last[members[member]] = at
            new_day = head == starts[item] or times[head - 1] // day != at // day
            for window in range(n_windows):
                if new_day or head == tail[window]:
                    days[window] += 1
            who = side_of[what]
            if head == starts[item]:
                warm_at[:] = at
            for life in range(n_lives):
                warmth[0, life] = warmth[0, life] * np.exp2((at - warm_at[0]) * fading[life]) + 1.0
            warm_at[0] = at
            if who > 0:
                for life in range(n_lives):
                    warmth[who, life] = warmth[who, life] * np.exp2((at - warm_at[who]) * fading[life]) + 1.0
                warm_at[who] = at
                if side != who:
                    if side > 0:
                        answer_last[who] = at - waiting_since
                        answer_sum[who] += at - waiting_since
                        answer_count[who] += 1.0
                    side = who
                    waiting_since = at
            head += 1
        for window in range(n_windows):
            limit = now - windows[window]
            while tail[window] < head and times[tail[window]] < limit:
                position = tail[window]
                what = signature[position]
                for member in range(member_starts[what], member_starts[what + 1]):
                    gone[window, members[member]] += 1
                if position + 1 == head or times[position + 1] // day != times[position] // day:
                    days[window] -= 1
                tail[window] += 1
            active_days[window, snapshot] = days[window]
            for which in range(n_windowed):
                counts[which, window, snapshot] = seen[which] - gone[window, which]
        for which in range(n_series):
            total[which, snapshot] = seen[which]
            if seen[which] > 0:
                days_since[which, snapshot] = (now - last[which]) / day
        for group in range(n_groups):
            for life in range(n_lives):
                decayed[group, life, snapshot] = warmth[group, life] * np.exp2((now - warm_at[group]) * fading[life])
        for who in range(1, n_groups):
            if answer_count[who] > 0.0:
                answers[2 * who - 2, snapshot] = answer_last[who] / day
                answers[2 * who - 1, snapshot] = answer_sum[who] / answer_count[who] / day
        if side > 0:
            # Whoever acted last waits for the other.
            answers[6 - side, snapshot] = (now - waiting_since) / day
