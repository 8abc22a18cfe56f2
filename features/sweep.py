"""Behaviour before an as-of: counts, recency, decayed engagement, active days and answers, in one sorted pass.

Activities and snapshots of an object are walked together in time order with one moving pointer per window, so the
cost follows the number of activities plus the number of snapshots, not their product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.activity_stream import ActivityStream
from features.compiled import in_threads, processors, spans
from features.fact_stream import MICROSECONDS_PER_DAY, Int64Array, fact_stream

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


class Memory:
    """Arrays that are used again: fresh memory can cost more than what is then written into it."""

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[Any]] = {}

    def array(self, name: str, *shape: int, dtype: type[np.generic]) -> NDArray[Any]:
        """Return an array with anything in it, the one of this name again if that is large enough."""
        size = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or kept.size < size:
            kept = self._kept[name] = np.empty(size, dtype=dtype)
        return kept[:size].reshape(shape)


def behaviour_before(
    *,
    activities: ActivityStream,
    objects: Int64Array,
    as_of: Int64Array,
    windows_days: tuple[float, ...],
    half_lives_days: tuple[float, ...],
    active_days: bool = True,
    threads: int | None = None,
    memory: Memory | None = None,
) -> Behaviour:
    """Summarise each object's activities strictly before its as-of (microseconds); any order of snapshots.

    An object of -1 has done nothing. Without ``active_days`` these are left out. Of several ``threads``, by default
    one for each processor, each takes some of the objects. With a ``memory`` the result holds until that is used again.
    """
    plan, stream = activities.plan, activities.stream
    rows, windows = len(objects), len(windows_days)
    # Each column of a feature lies in one piece, since that is how they are used.
    array, series = (memory or Memory()).array, len(plan.names)
    counts = array("counts", plan.windowed, windows, rows, dtype=np.int32)
    total = array("total", series, rows, dtype=np.int32)
    days_since = array("days_since", series, rows, dtype=np.float64)
    decayed = array("decayed", 3 if plan.directed else 1, len(half_lives_days), rows, dtype=np.float64)
    active = array("active_days", windows if active_days else 0, rows, dtype=np.int32)
    answers = array("answers", 6 if plan.directed else 0, rows, dtype=np.float64)
    asked = fact_stream(objects=objects, times=as_of, object_count=len(stream.starts) - 1)
    if len(asked.rows) < rows:
        for column, nothing in ((counts, 0), (total, 0), (active, 0), (decayed, 0.0), (days_since, np.nan)):
            column.fill(nothing)
        answers.fill(np.nan)
    member_starts, members = plan.members()
    sides = plan.side_of(np.arange(plan.signatures)) if plan.directed else np.zeros(plan.signatures, dtype=np.int64)
    span = np.round(np.array(windows_days, dtype=np.float64) * MICROSECONDS_PER_DAY).astype(np.int64)
    fading = -1.0 / (np.array(half_lives_days, dtype=np.float64) * MICROSECONDS_PER_DAY)

    def sweep(low: int, high: int) -> None:
        walk = (low, high, stream.starts, stream.times, asked.starts, asked.times, asked.rows)
        _sweep_series(*walk, activities.signature, member_starts, members, span, counts, total, days_since)
        if plan.directed or half_lives_days:
            _sweep_sides(*walk, activities.signature, sides, fading, decayed, answers)
        if len(active):
            _sweep_days(*walk, span, active)

    several = 1 if rows < _WORTH_A_THREAD else threads or processors()
    in_threads(sweep, spans(stream.starts + asked.starts, parts=several))
    return Behaviour(
        counts=np.moveaxis(counts, -1, 0),
        total=total.T,
        days_since=days_since.T,
        decayed=np.moveaxis(decayed, -1, 0),
        active_days=active.T,
        answers=answers.T,
    )


@njit(cache=True, nogil=True)
def _sweep_series(  # type: ignore[no-untyped-def]  # compiled by Numba
    low,
    high,
    starts,
    times,
    asked_starts,
    asked_times,
    asked_rows,
    signature,
    member_starts,
    members,
    windows,
    counts,
    total,
    days_since,
):
    """Count each series in each window and altogether, and the days since its last activity."""
    n_series, n_windowed, n_windows = total.shape[0], counts.shape[0], counts.shape[1]
    # What an object has done so far, and of that what has left each window: the difference is in the window.
    seen = np.zeros(n_series, dtype=np.int32)
    gone = np.zeros((n_windows, n_series), dtype=np.int32)
    last = np.zeros(n_series, dtype=np.int64)
    tail = np.zeros(n_windows, dtype=np.int64)
    # The kind comes first, and is nearly always there alone.
    kind = np.empty(member_starts.shape[0] - 1, dtype=np.uint32)
    for what in range(kind.shape[0]):
        kind[what] = members[member_starts[what]]
    for item in range(low, high):
        head, end = starts[item], starts[item + 1]
        seen[:] = 0
        gone[:] = 0
        tail[:] = head
        for place in range(asked_starts[item], asked_starts[item + 1]):
            snapshot, now = asked_rows[place], asked_times[place]
            while head < end and times[head] < now:
                what = signature[head]
                seen[kind[what]] += 1
                last[kind[what]] = times[head]
                for further in range(member_starts[what] + 1, member_starts[what + np.uint32(1)]):
                    seen[members[further]] += 1
                    last[members[further]] = times[head]
                head += 1
            for window in range(n_windows):
                limit = now - windows[window]
                position = tail[window]
                while position < head and times[position] < limit:
                    what = signature[position]
                    gone[window, kind[what]] += 1
                    for further in range(member_starts[what] + 1, member_starts[what + np.uint32(1)]):
                        gone[window, members[further]] += 1
                    position += 1
                tail[window] = position
                for which in range(n_windowed):
                    counts[which, window, snapshot] = seen[which] - gone[window, which]
            for which in range(n_series):
                total[which, snapshot] = seen[which]
                days_since[which, snapshot] = (now - last[which]) / 86_400_000_000 if seen[which] > 0 else np.nan


@njit(cache=True, nogil=True)
def _sweep_sides(  # type: ignore[no-untyped-def]  # compiled by Numba
    low,
    high,
    starts,
    times,
    asked_starts,
    asked_times,
    asked_rows,
    signature,
    side_of,
    fading,
    decayed,
    answers,
):
    """Let all activities, and those of each side, fade with each half-life, and time the answers."""
    day = 86_400_000_000
    n_groups, n_lives = decayed.shape[0], decayed.shape[1]
    warmth = np.zeros((n_groups, n_lives))
    warm_at = np.zeros(n_groups, dtype=np.int64)
    answer_last = np.zeros(3)
    answer_sum = np.zeros(3)
    answer_count = np.zeros(3)
    for item in range(low, high):
        if asked_starts[item] == asked_starts[item + 1]:
            continue
        head, end = starts[item], starts[item + 1]
        warmth[:] = 0.0
        warm_at[:] = times[head] if head < end else asked_times[asked_starts[item]]
        answer_count[:] = 0.0
        answer_sum[:] = 0.0
        side = np.int64(0)
        waiting_since = np.int64(0)
        for place in range(asked_starts[item], asked_starts[item + 1]):
            snapshot, now = asked_rows[place], asked_times[place]
            while head < end and times[head] < now:
                at = times[head]
                who = side_of[signature[head]]
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
            for group in range(n_groups):
                for life in range(n_lives):
                    # A warmth of 0 is 0 at any time, even before the first activity.
                    since = max(now - warm_at[group], 0)
                    decayed[group, life, snapshot] = warmth[group, life] * np.exp2(since * fading[life])
            for who in range(1, n_groups):
                answered = answer_count[who] > 0.0
                answers[2 * who - 2, snapshot] = answer_last[who] / day if answered else np.nan
                answers[2 * who - 1, snapshot] = answer_sum[who] / answer_count[who] / day if answered else np.nan
                answers[3 + who, snapshot] = np.nan
            if side > 0:
                # Whoever acted last waits for the other.
                answers[6 - side, snapshot] = (now - waiting_since) / day


@njit(cache=True, nogil=True)
def _sweep_days(  # type: ignore[no-untyped-def]  # compiled by Numba
    low, high, starts, times, asked_starts, asked_times, asked_rows, windows, active_days
):
    """Count the days of the calendar (UTC) with an activity in each window."""
    day = 86_400_000_000
    for window in range(windows.shape[0]):
        for item in range(low, high):
            head, end = starts[item], starts[item + 1]
            tail = head
            days = np.int32(0)
            for place in range(asked_starts[item], asked_starts[item + 1]):
                now = asked_times[place]
                while head < end and times[head] < now:
                    if head == tail or times[head - 1] // day != times[head] // day:
                        days += 1
                    head += 1
                while tail < head and times[tail] < now - windows[window]:
                    if tail + 1 == head or times[tail + 1] // day != times[tail] // day:
                        days -= 1
                    tail += 1
                active_days[window, asked_rows[place]] = days
