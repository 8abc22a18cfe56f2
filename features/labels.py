"""Labels: what became of a snapshot, from facts before the end of its horizon and no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.episodes import OPEN, WON, Closings
from features.visibility import MICROSECONDS_PER_DAY, NEVER, Int64Array, instant, microseconds


def won_within(
    *,
    wins: Closings,
    objects: Int64Array,
    as_of: pd.Series,
    days: NDArray[np.float64] | float,
    known_until: pd.Timestamp,
) -> NDArray[np.float64]:
    """Label each snapshot 1.0 if its first standing closing in [as_of, as_of + days) is a win, else 0.0.

    NaN where the horizon ends after ``known_until``: such a label is not yet ripe, and never "no".
    """
    start = microseconds(as_of)
    end = start + _span(days, count=len(start))
    outcome, _ = wins.first_standing(objects=objects, start=start, end=end)
    return np.where(end <= instant(known_until), (outcome == WON).astype(np.float64), np.nan)


def closing_within(
    *, closings: Closings, objects: Int64Array, as_of: pd.Series, days: NDArray[np.float64] | float
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return (outcome, days until it) of each snapshot's first standing closing in [as_of, as_of + days).

    The outcome is ``episodes.OPEN`` and the time NaN where there is none.
    """
    start = microseconds(as_of)
    outcome, closed = closings.first_standing(objects=objects, start=start, end=start + _span(days, count=len(start)))
    waited = np.where(closed == NEVER, 0, closed - start) / MICROSECONDS_PER_DAY
    return outcome, np.where(outcome == OPEN, np.nan, waited)


def _span(days: NDArray[np.float64] | float, *, count: int) -> Int64Array:
    return np.round(np.broadcast_to(np.asarray(days, dtype=np.float64), count) * MICROSECONDS_PER_DAY).astype(np.int64)
