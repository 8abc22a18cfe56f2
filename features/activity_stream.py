"""Activities sorted by who they belong to and when they count from, with those left out that do not count.

They come in batches of columns of numbers and are brought into order by one stable counting sort, which leaves what a
source delivers in the order of time nothing else to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from features.compiled import fixed, in_threads, processors, spans
from features.fact_stream import NEVER, FactStream, Int64Array
from features.series import SeriesPlan
from features.signatures import signatures_of
from features.words import Words

if TYPE_CHECKING:
    from features.discounting import Discount

_WORTH_A_THREAD: Final = 200_000
_NOT_ASKED: Final = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Facts:
    """Some activities: whose each is (-1 nobody's), from when it counts, when it happened, and its signature.

    Times are microseconds since 1970; ``occurred`` and ``times`` are the same array where nothing became known late.
    ``actor`` orders what is alike in all of this.
    """

    objects: NDArray[np.signedinteger]
    times: Int64Array
    occurred: Int64Array
    signature: NDArray[np.signedinteger]
    actor: Int64Array | None = None


@dataclass(frozen=True)
class CodedBatch:
    """Some activities as columns of numbers: places in lists of words, and times as in ``Facts``.

    Directions and outcomes may be left out where no plan asks for them.
    """

    contact: NDArray[np.int32]
    kind: NDArray[np.int32]
    occurred: Int64Array
    times: Int64Array
    direction: NDArray[np.int32] | None = None
    outcome: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class CodedActivities:
    """Activities of contacts in batches, and the lists of words that their columns have in common."""

    batches: Sequence[CodedBatch]
    contacts: pa.Array
    kinds: pa.Array
    directions: pa.Array | None = None
    outcomes: pa.Array | None = None

    def signatures(self, batch: CodedBatch, plan: SeriesPlan) -> NDArray[np.signedinteger]:
        """Return the signature of each activity of a batch, -1 for one of a kind that is not counted."""
        return signatures_of(
            plan,
            kind=Words(batch.kind, self.kinds),
            direction=None if batch.direction is None else Words(batch.direction, self.directions),
            outcome=None if batch.outcome is None else Words(batch.outcome, self.outcomes),
            occurred=batch.occurred,
        )

    def of_contacts(
        self, contact_ids: pa.Array, *, plan: SeriesPlan, discount: Discount | None = None
    ) -> ActivityStream:
        """Sort the activities by the place of their contact in ``contact_ids``; those of others belong to nobody."""
        place = Words(np.zeros(0, dtype=np.int32), self.contacts).among(contact_ids)

        def facts() -> Iterable[Facts]:
            for batch in self.batches:
                signature = self.signatures(batch, plan)
                yield Facts(place[batch.contact], batch.times, batch.occurred, signature)

        return activity_stream(facts, plan=plan, discount=discount, object_count=len(contact_ids))


@dataclass(frozen=True)
class ActivityStream:
    """Activities sorted by object and effective time.

    ``signature`` (see ``SeriesPlan``) runs parallel to the stream, whose ``rows`` count through all batches, and are
    empty unless they were asked for.
    """

    stream: FactStream
    signature: NDArray[np.unsignedinteger]
    plan: SeriesPlan

    def kind_at(self, positions: Int64Array) -> NDArray[np.float64]:
        """Return the kind (place in the plan) at each position of the stream, NaN at -1."""
        kinds = np.full(len(positions), np.nan)
        known = positions >= 0
        kinds[known] = self.plan.kind_of(self.signature[positions[known]])
        return kinds


def activity_stream(
    facts: Callable[[], Iterable[Facts]],
    *,
    plan: SeriesPlan,
    discount: Discount | None,
    object_count: int,
    with_rows: bool = False,
) -> ActivityStream:
    """Sort activities and leave out what does not count; ``facts`` is called twice or more, for the same batches.

    At the same instant the earlier occurrence comes first, then the lower signature, then the lower actor: the order
    must not hang on how the table was delivered.
    """
    starts = np.zeros(object_count + 1, dtype=np.int64)
    late, actors = False, False
    for some in facts():
        _count(fixed(some.objects), fixed(some.times), fixed(some.signature), starts)
        late |= some.occurred is not some.times
        actors |= some.actor is not None
    starts = np.cumsum(starts)
    total = int(starts[-1])
    times = np.empty(total, dtype=np.int64)
    narrow: type[np.unsignedinteger] = np.uint16 if plan.signatures <= 1 << 16 else np.uint32
    signature = np.empty(total, dtype=narrow)
    occurred = np.empty(total, dtype=np.int64) if late else _NOT_ASKED
    actor = np.empty(total, dtype=np.int64) if actors else _NOT_ASKED
    rows = np.empty(total, dtype=np.int64) if with_rows else _NOT_ASKED
    free = starts[:-1].copy()

    def sort(low: int, high: int) -> None:
        first = 0
        for some in facts():
            _place(
                fixed(some.objects),
                fixed(some.times),
                fixed(some.signature),
                fixed(some.occurred),
                fixed(_NOT_ASKED if some.actor is None else some.actor),
                first,
                low,
                high,
                free,
                times,
                signature,
                occurred,
                actor,
                rows,
            )
            first += len(some.times)
        _settle(low, high, starts, times, signature, occurred, actor, rows)

    in_threads(sort, spans(starts, parts=1 if total < _WORTH_A_THREAD else processors()))
    found = ActivityStream(FactStream(starts, times, rows), signature, plan)
    if discount is None or not discount.discounts:
        return found
    from features.discounting import counting

    keep = counting(found.stream.starts, signature, occurred if late else times, plan=plan, discount=discount)
    return found if keep.all() else _kept(found, keep)


def _kept(activities: ActivityStream, keep: NDArray[np.bool_]) -> ActivityStream:
    stream = activities.stream
    before = np.append(0, np.cumsum(keep))
    rows = stream.rows[keep] if len(stream.rows) else stream.rows
    kept = FactStream(starts=before[stream.starts], times=stream.times[keep], rows=rows)
    return replace(activities, stream=kept, signature=activities.signature[keep])


@njit(cache=True, nogil=True)
def _count(objects, times, signature, starts):  # type: ignore[no-untyped-def]  # compiled by Numba
    for row in range(objects.shape[0]):
        if objects[row] >= 0 and signature[row] >= 0 and times[row] != NEVER:
            starts[objects[row] + 1] += 1


@njit(cache=True, nogil=True)
def _place(  # type: ignore[no-untyped-def]  # compiled by Numba
    objects,
    times,
    signature,
    occurred,
    actor,
    first,
    low,
    high,
    free,
    to_times,
    to_signature,
    to_occurred,
    to_actor,
    to_rows,
):
    """Bring the activities of some objects together, in the order of their rows."""
    for row in range(objects.shape[0]):
        item = objects[row]
        if low <= item < high and signature[row] >= 0 and times[row] != NEVER:
            place = free[item]
            free[item] = place + 1
            to_times[place] = times[row]
            to_signature[place] = signature[row]
            if to_occurred.shape[0]:
                to_occurred[place] = occurred[row]
            if to_actor.shape[0]:
                to_actor[place] = actor[row]
            if to_rows.shape[0]:
                to_rows[place] = first + row


@njit(cache=True, nogil=True)
def _settle(low, high, starts, times, signature, occurred, actor, rows):  # type: ignore[no-untyped-def]  # Numba
    """Sort those of each object that are out of order by time, and at one instant by what orders them there."""
    for item in range(low, high):
        begin, end = starts[item], starts[item + 1]
        if _in_order(begin, end, times, signature, occurred, actor):
            continue
        # Each sort keeps the order of the one before among equals.
        order = np.arange(begin, end)
        if actor.shape[0]:
            order = _sorted_by(order, actor)
        order = _sorted_by(order, signature)
        if occurred.shape[0]:
            order = _sorted_by(order, occurred)
        order = _sorted_by(order, times)
        times[begin:end] = times[order]
        signature[begin:end] = signature[order]
        if occurred.shape[0]:
            occurred[begin:end] = occurred[order]
        if actor.shape[0]:
            actor[begin:end] = actor[order]
        if rows.shape[0]:
            rows[begin:end] = rows[order]


@njit(cache=True, nogil=True)
def _in_order(begin, end, times, signature, occurred, actor):  # type: ignore[no-untyped-def]  # compiled by Numba
    for here in range(begin + 1, end):
        before = here - 1
        if times[before] != times[here]:
            if times[before] > times[here]:
                return False
        elif occurred.shape[0] and occurred[before] != occurred[here]:
            if occurred[before] > occurred[here]:
                return False
        elif signature[before] != signature[here]:
            if signature[before] > signature[here]:
                return False
        elif actor.shape[0] and actor[before] > actor[here]:
            return False
    return True


@njit(cache=True, nogil=True)
def _sorted_by(order, values):  # type: ignore[no-untyped-def]  # compiled by Numba
    return order[np.argsort(values[order].astype(np.int64), kind="mergesort")]
