"""Behaviour before an as-of: counts, recency, decayed engagement, active days and answers, in one sorted pass.

Activities and snapshots of an object are walked together in time order with one moving pointer per window, so the
cost follows the number of activities plus the number of snapshots, not their product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.activity_stream import ActivityStream
from features.fact_stream import MICROSECONDS_PER_DAY, Int64Array, fact_stream
from features.threads import in_threads, processors, spans

_WORTH_A_THREAD = 20_000
"""Fewer snapshots than this are done before another thread has begun."""


@dataclass(frozen=True)
class Behaviour:
    """What each snapshot's object had done, over snapshots (n), series (s), windows (w) and half-lives (h).

    ``counts`` (n, s, w) counts the activities of the windowed series with as_of - window <= time < as_of; ``total``
    (n, s) those of all time. ``days_since`` (n, s) is NaN where there was none. ``decayed`` (n, 1 or 3, h) sums
    0.5 ** (age / half-life) over all activities, and with directions over the inbound and the outbound ones.
    ``active_days`` (n, w) counts distinct UTC days with an activity in the window. Counts are whole numbers of 32 bits.

    An answer is the first activity of the other side after one or several of one's own; it took as long as the first
    of these had waited. ``answers`` (n, 6, or none without directions) tells days, NaN where there are none: their
    last and mean answer, our last and mean answer, how long we have been waiting for them, how long they for us.
    """

    counts: NDArray[np.int32]
    total: NDArray[np.int32]
    days_since: NDArray[np.float64]
    decayed: NDArray[np.float64]
    active_days: NDArray[np.int32]
    answers: NDArray[np.float64]


def behaviour_before(
    *,
    activities: ActivityStream,
    objects: Int64Array,
    as_of: Int64Array,
    windows_days: tuple[float, ...],
    half_lives_days: tuple[float, ...],
    active_days: bool = True,
    threads: int | None = None,
) -> Behaviour:
    """Summarise each object's activities strictly before its as-of (microseconds); any order of snapshots.

    An object of -1 has done nothing. Without ``active_days`` these are left out. Of several ``threads``, by default
    one for each processor, each takes some of the objects.
    """
    plan = activities.plan
    rows, series, windows = len(objects), len(plan.names), len(windows_days)
    # Each column of a feature lies in one piece, since that is how they are used.
    counts = np.empty((plan.windowed, windows, rows), dtype=np.int32)
    total = np.empty((series, rows), dtype=np.int32)
    days_since = np.empty((series, rows))
    decayed = np.empty((3 if plan.directed else 1, len(half_lives_days), rows))
    active = np.empty((windows if active_days else 0, rows), dtype=np.int32)
    answers = np.empty((6 if plan.directed else 0, rows))
    found = (counts, total, days_since, decayed, active, answers)
    asked = fact_stream(objects=objects, times=as_of, object_count=len(activities.stream.starts) - 1)
    if len(asked.rows) < rows:
        for column in found:
            column.fill(np.nan if column.dtype == np.float64 else 0)
        decayed.fill(0.0)
    member_starts, members = plan.members()
    sides = plan.side_of(np.arange(plan.signatures)) if plan.directed else np.zeros(plan.signatures, dtype=np.int64)
    span = np.round(np.array(windows_days, dtype=np.float64) * MICROSECONDS_PER_DAY).astype(np.int64)
    fading = -1.0 / (np.array(half_lives_days, dtype=np.float64) * MICROSECONDS_PER_DAY)

    def sweep(first: int, end: int) -> None:
        _sweep(
            first,
            end,
            activities.stream.starts,
            activities.stream.times,
            activities.signature,
            member_starts,
            members,
            sides,
            asked.starts,
            asked.times,
            asked.rows,
            span,
            fading,
            *found,
        )

    several = 1 if rows < _WORTH_A_THREAD else threads or processors()
    in_threads(sweep, spans(activities.stream.starts + asked.starts, parts=several))
    return Behaviour(
        counts=np.moveaxis(counts, -1, 0),
        total=total.T,
        days_since=days_since.T,
        decayed=np.moveaxis(decayed, -1, 0),
        active_days=active.T,
        answers=answers.T,
    )


@njit(cache=True, nogil=True)
def _sweep(  # type: ignore[no-untyped-def]  # compiled by Numba
    first_object,
    end_object,
    starts,
    times,
    signature,
    member_starts,
    members,
    side_of,
    asked_starts,
    asked_times,
    asked_rows,
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
    with_days = active_days.shape[0] > 0
    # What an object has done so far, and of that what has left each window: the difference is in the window.
    seen = np.zeros(n_series, dtype=np.int32)
    gone = np.zeros((n_windows, n_series), dtype=np.int32)
    last = np.zeros(n_series, dtype=np.int64)
    tail = np.zeros(n_windows, dtype=np.int64)
    days = np.zeros(n_windows, dtype=np.int32)
    warmth = np.zeros((n_groups, n_lives))
    warm_at = np.zeros(n_groups, dtype=np.int64)
    answer_last = np.zeros(3)
    answer_sum = np.zeros(3)
    answer_count = np.zeros(3)
    for item in range(first_object, end_object):
        if asked_starts[item] == asked_starts[item + 1]:
            continue
        head, end = starts[item], starts[item + 1]
        seen[:] = 0
        gone[:] = 0
        tail[:] = head
        days[:] = 0
        warmth[:] = 0.0
        warm_at[:] = asked_times[asked_starts[item]]
        answer_count[:] = 0.0
        answer_sum[:] = 0.0
        side = np.int64(0)
        waiting_since = np.int64(0)
        for place in range(asked_starts[item], asked_starts[item + 1]):
            snapshot = asked_rows[place]
            now = asked_times[place]
            while head < end and times[head] < now:
                at = times[head]
                what = signature[head]
                for member in range(member_starts[what], member_starts[what + 1]):
                    seen[members[member]] += 1
                    last[members[member]] = at
                if with_days:
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
                    if with_days and (position + 1 == head or times[position + 1] // day != times[position] // day):
                        days[window] -= 1
                    tail[window] += 1
                if with_days:
                    active_days[window, snapshot] = days[window]
                for which in range(n_windowed):
                    counts[which, window, snapshot] = seen[which] - gone[window, which]
            for which in range(n_series):
                total[which, snapshot] = seen[which]
                days_since[which, snapshot] = (now - last[which]) / day if seen[which] > 0 else np.nan
            for group in range(n_groups):
                for life in range(n_lives):
                    decayed[group, life, snapshot] = warmth[group, life] * np.exp2(
                        (now - warm_at[group]) * fading[life]
                    )
            for who in range(1, n_groups):
                answered = answer_count[who] > 0.0
                answers[2 * who - 2, snapshot] = answer_last[who] / day if answered else np.nan
                answers[2 * who - 1, snapshot] = answer_sum[who] / answer_count[who] / day if answered else np.nan
                answers[3 + who, snapshot] = np.nan
            if side > 0:
                # Whoever acted last waits for the other.
                answers[6 - side, snapshot] = (now - waiting_since) / day
