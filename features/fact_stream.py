"""Facts sorted by object and time, and how many of them lie before an instant.

Sources deliver in the order of time, so a stable counting sort by object is nearly always all the sorting there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.threads import in_threads, processors, spans

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
    *,
    objects: NDArray[np.signedinteger],
    times: Int64Array,
    object_count: int,
    ties: tuple[NDArray[np.signedinteger], ...] = (),
) -> FactStream:
    """Sort facts by object and time; facts whose object is -1 or whose time is ``NEVER`` are left out.

    ``ties``, at most three, order the facts of one object at the same instant, the first of them before the next.
    Only the facts of objects that the counting sort leaves out of order are compared with each other.
    """
    threads = 1 if len(objects) < _WORTH_A_THREAD else processors()
    starts = np.zeros(object_count + 1, dtype=np.int64)
    _count(objects, times, starts)
    starts = np.cumsum(starts)
    order = np.empty(starts[-1], dtype=np.int64)
    sorted_times = np.empty(starts[-1], dtype=np.int64)
    free = starts[:-1].copy()
    none = np.zeros(0, dtype=np.int64)
    first, second, third = (*ties, none, none, none)[:3]

    def sort(objects_from: int, objects_to: int) -> None:
        _place(objects, times, objects_from, objects_to, starts, free, order, sorted_times)
        _settle(objects_from, objects_to, starts, order, times, sorted_times, first, second, third)

    in_threads(sort, spans(starts, parts=threads))
    return FactStream(starts=starts, times=sorted_times, rows=order)


@njit(cache=True, nogil=True)
def _count(objects, times, starts):  # type: ignore[no-untyped-def]  # compiled by Numba
    for row in range(objects.shape[0]):
        if objects[row] >= 0 and times[row] != NEVER:
            starts[objects[row] + 1] += 1


@njit(cache=True, nogil=True)
def _place(objects, times, low, high, starts, free, order, sorted_times):  # type: ignore[no-untyped-def]  # Numba
    """Sort the facts of some objects by object, keeping the order of rows."""
    for row in range(objects.shape[0]):
        item = objects[row]
        if low <= item < high and times[row] != NEVER:
            place = free[item]
            order[place] = row
            sorted_times[place] = times[row]
            free[item] = place + 1


@njit(cache=True, nogil=True)
def _settle(low, high, starts, order, times, sorted_times, first, second, third):  # type: ignore[no-untyped-def]  # Numba
    """Sort the facts of each object that are out of order by time, then by what orders them at the same instant."""
    for item in range(low, high):
        begin, end = starts[item], starts[item + 1]
        rows = order[begin:end]
        if _in_order(rows, times, first, second, third):
            continue
        rows[:] = _sorted_by(rows, times)
        if not _in_order(rows, times, first, second, third):
            # Each sort keeps the order of the one before among equals.
            if third.shape[0]:
                rows[:] = _sorted_by(rows, third)
            if second.shape[0]:
                rows[:] = _sorted_by(rows, second)
            rows[:] = _sorted_by(rows, first)
            rows[:] = _sorted_by(rows, times)
        for place in range(begin, end):
            sorted_times[place] = times[order[place]]


@njit(cache=True, nogil=True)
def _in_order(rows, times, first, second, third):  # type: ignore[no-untyped-def]  # compiled by Numba
    for place in range(1, rows.shape[0]):
        before, here = rows[place - 1], rows[place]
        if times[before] != times[here]:
            if times[before] > times[here]:
                return False
        elif first.shape[0] and first[before] != first[here]:
            if first[before] > first[here]:
                return False
        elif second.shape[0] and second[before] != second[here]:
            if second[before] > second[here]:
                return False
        elif third.shape[0] and third[before] > third[here]:
            return False
    return True


@njit(cache=True, nogil=True)
def _sorted_by(rows, values):  # type: ignore[no-untyped-def]  # compiled by Numba
    keys = np.empty(rows.shape[0], dtype=np.int64)
    for place in range(rows.shape[0]):
        keys[place] = values[rows[place]]
    return rows[np.argsort(keys, kind="mergesort")]


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
