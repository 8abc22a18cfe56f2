"""How sure a probability is: Venn-Abers intervals from out-of-time scores and outcomes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.boosting import FloatArray

GRID_POINTS: Final = 100
MAX_SCORES: Final = 20_000
"""With more distinct scores, neighbours are taken together."""


class VennAbers(BaseModel):
    """Lower and upper probability over a grid of scores (Vovk and Petej, UAI 2014).

    Between grid points both are interpolated; an empty grid knows nothing and answers 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def interval(self, probability: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (low, high) around each probability; it always lies inside its interval."""
        if not self.score:
            return np.zeros_like(probability), np.ones_like(probability)
        low = np.interp(probability, self.score, self.low)
        high = np.interp(probability, self.score, self.high)
        return np.minimum(low, probability), np.maximum(high, probability)


def fit_venn_abers(
    *, probability: FloatArray, y_obs: FloatArray, weight: FloatArray, objects: NDArray[np.int64]
) -> VennAbers:
    """Fit the grid: at each score, isotonic regression with one more object there, once lost and once won.

    The rows of an object (contact or deal) share their outcome, so an added object weighs as much as one does on
    average: a thousand looks at ten deals tell no more than ten deals.
    """
    from sklearn.isotonic import isotonic_regression

    if not len(probability):
        return VennAbers()
    distinct, place = np.unique(probability, return_inverse=True)
    pool = place // -(-len(distinct) // MAX_SCORES)
    mass = np.bincount(pool, weights=weight)
    won = np.bincount(pool, weights=weight * y_obs)
    score = np.bincount(pool, weights=weight * probability) / mass
    one_more = float(mass.sum()) / len(np.unique(objects))
    grid = np.unique(np.linspace(0, len(score) - 1, GRID_POINTS).astype(np.int64))
    bounds = np.empty((2, len(grid)))
    for point, at in enumerate(grid):
        heavier = mass.copy()
        heavier[at] += one_more
        for added in (0.0, 1.0):
            observed = won / mass
            observed[at] = (won[at] + added * one_more) / heavier[at]
            bounds[int(added), point] = isotonic_regression(observed, sample_weight=heavier)[at]
    return VennAbers(score=tuple(score[grid].tolist()), low=tuple(bounds[0].tolist()), high=tuple(bounds[1].tolist()))
