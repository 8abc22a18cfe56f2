"""Series of activities: what is counted together, and what counts at all.

An activity belongs to several series at once: its kind, its direction, its kind with its outcome, working hours. All
activities that belong to the same series share a signature, a small number, so that the kernel finds the series of an
activity in one table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.fact_stream import MICROSECONDS_PER_DAY, FactStream, Int64Array
from features.words import Words

OTHER_KIND: Final = "other"
DIRECTIONS: Final = ("inbound", "outbound")
WORKING_HOURS: Final = "working_hours"
_FIRST_HOUR, _LAST_HOUR = 8, 18
_SATURDAY: Final = 5
_MICROSECONDS_PER_HOUR: Final = MICROSECONDS_PER_DAY // 24
_SIDES: Final = 1 + len(DIRECTIONS)
_NOBODY: Final = np.zeros(0, dtype=np.int32)
_NO_HOURS: Final = np.iinfo(np.int64).min


class Discount(BaseModel):
    """Which activities are machines at work and do not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    burst_kinds: tuple[str, ...] = Field(
        default=("open", "click", "view"), description="Kinds whose name holds one of these words may come in bursts."
    )
    burst_seconds: float = Field(
        default=2.0,
        ge=0,
        description="Of such a kind, one that follows another this soon is not counted; 0 counts all.",
    )
    max_per_day: int = Field(
        default=1000, ge=0, description="Of a contact's or deal's activities of one day no more count; 0 counts all."
    )

    @property
    def discounts(self) -> bool:
        """Say whether there can be any activity that does not count."""
        return self.max_per_day > 0 or (self.burst_seconds > 0 and bool(self.burst_kinds))


NO_DISCOUNT: Final = Discount(burst_kinds=(), burst_seconds=0.0, max_per_day=0)


@dataclass(frozen=True)
class SeriesPlan:
    """The series to count, in this order: kinds, directions, outcomes (a kind with an outcome), working hours.

    ``utc_offset_hours`` moves the clock that working hours are read from; None leaves them out.
    """

    kinds: tuple[str, ...]
    directed: bool = False
    outcomes: tuple[tuple[str, str], ...] = ()
    utc_offset_hours: float | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of all series, in order."""
        return (
            *self.kinds,
            *(DIRECTIONS if self.directed else ()),
            *(f"{kind}_{outcome}" for kind, outcome in self.outcomes),
            *((WORKING_HOURS,) if self.utc_offset_hours is not None else ()),
        )

    @property
    def inbound(self) -> int:
        """Return the place of the inbound series; the outbound one follows. -1 without directions."""
        return len(self.kinds) if self.directed else -1

    @property
    def windowed(self) -> int:
        """Return how many series, the first ones, are counted in windows."""
        return len(self.kinds) + len(DIRECTIONS) * self.directed

    @property
    def signatures(self) -> int:
        """Return how many signatures there are."""
        return len(self.kinds) * _SIDES * (len(self.outcomes) + 1) * 2

    def signatures_of(
        self, *, kind: Words, direction: Words | None, outcome: Words | None, occurred: Int64Array
    ) -> NDArray[np.signedinteger]:
        """Return the signature of each activity, -1 for a kind that is not counted; unlisted kinds are ``OTHER_KIND``.

        Of the columns only those are read that the plan asks for; ``occurred`` is in microseconds.
        """
        kinds = kind.among(self.kinds)
        if OTHER_KIND in self.kinds:
            kinds = np.where(kinds >= 0, kinds, np.int32(self.kinds.index(OTHER_KIND)))
        sides, places, outcomes = _NOBODY, np.zeros((len(self.kinds) + 1, 1), dtype=np.int64), _NOBODY
        if self.directed and direction is not None:
            sides = 1 + direction.among(DIRECTIONS)
        if self.outcomes and outcome is not None:
            ended = sorted({name for _, name in self.outcomes})
            outcomes = outcome.among(ended)
            places = np.zeros((len(self.kinds) + 1, len(ended) + 1), dtype=np.int64)
            for number, (name, how) in enumerate(self.outcomes, start=1):
                places[self.kinds.index(name), ended.index(how)] = number
        narrow = np.int16 if self.signatures <= np.iinfo(np.int16).max else np.int32
        found: NDArray[np.signedinteger] = np.empty(len(kind.places), dtype=narrow)
        _write_signatures(
            kind.places,
            kinds,
            direction.places if direction is not None and len(sides) else _NOBODY,
            sides,
            outcome.places if outcome is not None and len(outcomes) else _NOBODY,
            outcomes,
            places,
            len(self.outcomes) + 1,
            occurred,
            _NO_HOURS if self.utc_offset_hours is None else int(self.utc_offset_hours * _MICROSECONDS_PER_HOUR),
            found,
        )
        return found

    def kind_of(self, signature: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the kind (place in ``kinds``) behind each signature."""
        return signature // (_SIDES * (len(self.outcomes) + 1) * 2)

    def side_of(self, signature: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return who acted behind each signature: 0 nobody knows, 1 they did, 2 we did."""
        return signature // ((len(self.outcomes) + 1) * 2) % _SIDES

    def members(self) -> tuple[Int64Array, Int64Array]:
        """Return the series of each signature: those of signature i lie from ``starts[i]`` to ``starts[i + 1]``."""
        lists = [list(self._series_of(*parts)) for parts in product(*map(range, self._shape))]
        starts = np.append(0, np.cumsum([len(members) for members in lists]))
        return starts.astype(np.int64), np.array([place for members in lists for place in members], dtype=np.int64)

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return len(self.kinds), _SIDES, len(self.outcomes) + 1, 2

    def _series_of(self, kind: int, side: int, outcome: int, working: int) -> Iterator[int]:
        yield kind
        if self.directed and side:
            yield len(self.kinds) + side - 1
        if outcome:
            yield self.windowed + outcome - 1
        if self.utc_offset_hours is not None and working:
            yield len(self.names) - 1


def discounted(
    *, stream: FactStream, signature: NDArray[np.integer], occurred: Int64Array, plan: SeriesPlan, discount: Discount
) -> FactStream:
    """Return the stream without the activities that do not count; ``signature`` and ``occurred`` are of its rows.

    Whether one counts depends only on what came before it in the stream, so nothing later can change it.
    """
    bursty = np.array([any(word in kind for word in discount.burst_kinds) for kind in plan.kinds], dtype=bool)
    keep = _counting(
        stream.starts,
        plan.kind_of(np.arange(plan.signatures)).astype(np.int64),
        signature[stream.rows],
        occurred[stream.rows],
        bursty & (discount.burst_seconds > 0),
        int(discount.burst_seconds * 1_000_000),
        discount.max_per_day,
    )
    if keep.all():
        return stream
    before = np.append(0, np.cumsum(keep))
    return FactStream(starts=before[stream.starts], times=stream.times[keep], rows=stream.rows[keep])


@njit(cache=True, nogil=True)
def _write_signatures(  # type: ignore[no-untyped-def]  # compiled by Numba
    kind_words, kinds, side_words, sides, outcome_words, outcomes, places, n_outcomes, occurred, offset, found
):
    hour = 3_600_000_000
    for row in range(kind_words.shape[0]):
        kind = kinds[kind_words[row]]
        if kind < 0:
            found[row] = -1
            continue
        side = sides[side_words[row]] if side_words.shape[0] else 0
        place = places[kind, outcomes[outcome_words[row]]] if outcome_words.shape[0] else 0
        working = 0
        if offset != _NO_HOURS:
            hours = (occurred[row] + offset) // hour
            # 1 January 1970 was a Thursday.
            weekday = (hours // 24 + 3) % 7
            working = weekday < _SATURDAY and _FIRST_HOUR <= hours % 24 < _LAST_HOUR
        found[row] = ((kind * _SIDES + side) * n_outcomes + place) * 2 + working


@njit(cache=True)
def _counting(starts, kind_of, signature, occurred, bursty, burst, max_per_day):  # type: ignore[no-untyped-def]  # Numba
    day = 86_400_000_000
    keep = np.ones(signature.shape[0], dtype=np.bool_)
    latest = np.zeros(bursty.shape[0], dtype=np.int64)
    owner = np.full(bursty.shape[0], -1, dtype=np.int64)
    for item in range(starts.shape[0] - 1):
        first, end = starts[item], starts[item + 1]
        for position in range(first, end):
            at = occurred[position]
            kind = kind_of[signature[position]]
            if bursty[kind]:
                if owner[kind] == item and abs(at - latest[kind]) <= burst:
                    keep[position] = False
                owner[kind] = item
                latest[kind] = at
        if 0 < max_per_day < end - first:
            # What became known late stands between later days.
            days = occurred[first:end] // day
            today = np.int64(0)
            counted = 0
            for place in np.argsort(days, kind="mergesort"):
                if days[place] != today:
                    today = days[place]
                    counted = 0
                if keep[first + place]:
                    counted += 1
                    keep[first + place] = counted <= max_per_day
    return keep
