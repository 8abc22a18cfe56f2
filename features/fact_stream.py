"""Facts sorted by object and time, and how many of them lie before an instant.

Sources deliver in the order of time, so a stable counting sort by object is nearly always all the sorting there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.compiled import fixed, in_threads, processors, spans

Int64Array = NDArray[np.int64]

NEVER: Final = np.iinfo(np.int64).max
MICROSECONDS_PER_DAY: Final = 86_400_000_000
_WORTH_A_THREAD: Final = 200_000
"""Fewer rows than this are done before another thread has begun."""


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

    ``ties`` order the facts of one object at the same instant, the first of them before the next. Only the facts of
    objects that the counting sort leaves out of order are compared with each other.
    """
    objects, times = fixed(objects), fixed(times)
    starts = np.zeros(object_count + 1, dtype=np.int64)
    _count(objects, times, starts)
    starts = np.cumsum(starts)
    order = np.empty(starts[-1], dtype=np.int64)
    sorted_times = np.empty(starts[-1], dtype=np.int64)
    unordered = np.zeros(object_count, dtype=np.bool_)
    free = starts[:-1].copy()

    def sort(low: int, high: int) -> None:
        _place(objects, times, low, high, starts, free, order, sorted_times, bool(ties), unordered)

    in_threads(sort, spans(starts, parts=1 if len(objects) < _WORTH_A_THREAD else processors()))
    if unordered.any():
        where = np.flatnonzero(unordered[objects[order]])
        chosen = order[where]
        order[where] = chosen[np.lexsort((*(tie[chosen] for tie in reversed(ties)), times[chosen], objects[chosen]))]
        sorted_times[where] = times[order[where]]
    return FactStream(starts=starts, times=sorted_times, rows=order)


@njit(cache=True, nogil=True)
def _count(objects, times, starts):  # type: ignore[no-untyped-def]  # compiled by Numba
    for row in range(objects.shape[0]):
        if objects[row] >= 0 and times[row] != NEVER:
            starts[objects[row] + 1] += 1


@njit(cache=True, nogil=True)
def _place(  # type: ignore[no-untyped-def]  # compiled by Numba
    objects, times, low, high, starts, free, order, sorted_times, with_ties, unordered
):
    """Bring the facts of some objects together, in the order of their rows, and mark whose are then not in order."""
    for row in range(objects.shape[0]):
        item = objects[row]
        if low <= item < high and times[row] != NEVER:
            place = free[item]
            free[item] = place + 1
            order[place] = row
            sorted_times[place] = times[row]
            if place > starts[item]:
                earlier = sorted_times[place - 1]
                unordered[item] |= times[row] < earlier or (with_ties and times[row] == earlier)


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
