"""The signature of each activity: a small number that says which series it belongs to."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.compiled import fixed
from features.fact_stream import Int64Array
from features.series import DIRECTIONS, OTHER_KIND, SIDES, SeriesPlan
from features.words import Words

_NOBODY: Final = np.zeros(0, dtype=np.int32)
_NO_HOURS: Final = np.iinfo(np.int64).min
_FIRST_HOUR, _LAST_HOUR = 8, 18
_SATURDAY: Final = 5
_MICROSECONDS_PER_HOUR: Final = 3_600_000_000


def signatures_of(
    plan: SeriesPlan, *, kind: Words, direction: Words | None, outcome: Words | None, occurred: Int64Array
) -> NDArray[np.signedinteger]:
    """Return the signature of each activity, -1 for a kind that is not counted; unlisted kinds are ``OTHER_KIND``.

    Of the columns only those are read that the plan asks for; ``occurred`` is in microseconds.
    """
    kinds = kind.among(plan.kinds)
    if OTHER_KIND in plan.kinds:
        kinds = np.where(kinds >= 0, kinds, np.int32(plan.kinds.index(OTHER_KIND)))
    sides, places, outcomes = _NOBODY, np.zeros((len(plan.kinds) + 1, 1), dtype=np.int64), _NOBODY
    if plan.directed and direction is not None:
        sides = 1 + direction.among(DIRECTIONS)
    if plan.outcomes and outcome is not None:
        ended = sorted({name for _, name in plan.outcomes})
        outcomes = outcome.among(ended)
        places = np.zeros((len(plan.kinds) + 1, len(ended) + 1), dtype=np.int64)
        for number, (name, how) in enumerate(plan.outcomes, start=1):
            places[plan.kinds.index(name), ended.index(how)] = number
    narrow = np.int16 if plan.signatures <= np.iinfo(np.int16).max else np.int32
    found: NDArray[np.signedinteger] = np.empty(len(kind.places), dtype=narrow)
    _write_signatures(
        fixed(kind.places),
        kinds,
        fixed(direction.places if direction is not None and len(sides) else _NOBODY),
        sides,
        fixed(outcome.places if outcome is not None and len(outcomes) else _NOBODY),
        outcomes,
        places,
        len(plan.outcomes) + 1,
        fixed(occurred),
        _NO_HOURS if plan.utc_offset_hours is None else int(plan.utc_offset_hours * _MICROSECONDS_PER_HOUR),
        found,
    )
    return found


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
        found[row] = ((kind * SIDES + side) * n_outcomes + place) * 2 + working
