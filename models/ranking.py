"""Ranks beside probabilities: tiers, agreement with the points, and the trend since the last batch."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.boosting import FloatArray

TIERS: Final = ("very_high", "high", "medium", "low")
HIGH_SHARE: Final = 0.2
"""Without a threshold of the rules' own, the top fifth of a list counts as high."""
STEADY: Final = 0.005
"""A probability that moved by less than half a percentage point has not moved."""


def tiers(probability: FloatArray, *, ids: pd.Series) -> NDArray[np.object_]:
    """Divide the scored into four equal quarters, best first; equals are ordered by id.

    >>> tiers(np.array([0.1, 0.4, 0.2, 0.3]), ids=pd.Series(list("abcd"))).tolist()
    ['low', 'very_high', 'medium', 'high']
    """
    place = _places(probability, ids=ids)
    return np.array(TIERS, dtype=object)[place * len(TIERS) // max(1, len(place))]


def agreement(
    probability: FloatArray, *, points: FloatArray, high_from: float | None, ids: pd.Series
) -> NDArray[np.object_]:
    """Say who ranks each one high: both, only the model, only the points, or neither.

    High by the model is the top fifth; high by points is ``high_from`` and more, or the top fifth as well.
    """
    most = int(np.ceil(HIGH_SHARE * len(probability)))
    by_model = _places(probability, ids=ids) < most
    by_points = points >= high_from if high_from is not None else _places(points, ids=ids) < most
    return np.select(
        [by_model & by_points, by_model, by_points], ["both_high", "model_only", "points_only"], "both_low"
    ).astype(object)


def trends(probability: FloatArray, previous: FloatArray) -> NDArray[np.object_]:
    """Say where a probability went since the previous batch; None where there is none."""
    moved = probability - previous
    words = np.select([moved > STEADY, moved < -STEADY], ["up", "down"], "steady").astype(object)
    words[np.isnan(previous)] = None
    return words


def _places(values: FloatArray, *, ids: pd.Series) -> NDArray[np.int64]:
    order = np.lexsort((ids.to_numpy(dtype=object).astype(str), -values))
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.arange(len(values))
    return place
