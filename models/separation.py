"""How well single columns separate winners from the rest: AUC with clustered intervals, missing values included.

The rows are drawn anew (whole objects, as in ``models.bootstrap``) once for all columns, and each column is sorted
once; one pass over the sorted rows then gives the AUC of every replicate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from models.bootstrap import cluster_weights, interval
from models.metrics import AnyArray, FloatArray, IntArray, as_float, quotient

FOLDS: Final = 5
SHRINK_TOWARDS_MEAN: Final = 5.0
"""The rate of a level counts as many rows of the mean rate beside its own."""
_SALT: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Separation:
    """An AUC without direction (0.5 is none, 1 separates perfectly) with its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


UNDEFINED: Final = Separation(value=float("nan"), low=float("nan"), high=float("nan"))


@dataclass(frozen=True)
class Separator:
    """Outcomes of some rows and how often each replicate draws them (rows x replicates; the first draws each once)."""

    positive: NDArray[np.bool_]
    drawn: NDArray[np.float32]
    fold: IntArray

    @classmethod
    def build(
        cls, *, y_obs: AnyArray, objects: AnyArray, weight: AnyArray | None = None, replicates: int = 0, seed: int = 7
    ) -> Separator:
        """Draw the replicates: whole objects with replacement. Folds, too, keep the rows of an object together."""
        weights = np.ones(len(y_obs)) if weight is None else as_float(weight)
        blocks = [weights[np.newaxis, :]]
        if replicates:
            blocks += cluster_weights(cluster=objects, replicates=replicates, seed=seed, weight=weights)
        return cls(
            positive=as_float(y_obs) > 0.0,
            drawn=np.ascontiguousarray(np.concatenate(blocks).T, dtype=np.float32),
            fold=fold_of(objects),
        )

    def of_numbers(self, values: AnyArray, *, strata: AnyArray | None = None) -> Separation:
        """Measure a number, a missing one taken as lower or higher than all others, whichever separates more.

        With ``strata`` (whole numbers) only rows of the same stratum are compared.

        >>> rows = Separator.build(y_obs=np.array([0, 0, 1, 1]), objects=np.arange(4))
        >>> rows.of_numbers(np.array([3.0, 1.0, 2.0, np.nan])).value
        0.75
        """
        stratum = np.zeros(len(self.positive), dtype=np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
        numbers = as_float(values)
        missing = np.isnan(numbers)
        orders = [self._order(np.where(missing, -np.inf, numbers), stratum=stratum)]
        if missing.any():
            orders.append(self._order(np.where(missing, np.inf, numbers), stratum=stratum))
        best = max(orders, key=lambda order: _folded(self._auc(order, replicates=1)[0]))
        draws = self._auc(best)
        return _separation(draws if not draws[0] < 0.5 else 1.0 - draws)

    def of_levels(self, codes: AnyArray, *, strata: AnyArray | None = None) -> Separation:
        """Measure a category (codes from 0, missing is a level too) by each level's rate among the other folds.

        Only rows of the same fold are compared, for the rates of different folds are not on one scale. Rates that
        did not hold in the other folds are no skill, so the result is never below 0.5.
        """
        levels = np.where(np.isnan(as_float(codes)), -1, as_float(codes)).astype(np.int64) + 1
        rate = level_rates(levels=levels, positive=self.positive, weight=self.drawn[:, 0], fold=self.fold)
        stratum = self.fold if strata is None else self.fold + FOLDS * np.asarray(strata, dtype=np.int64)
        return _separation(np.maximum(self._auc(self._order(rate, stratum=stratum)), 0.5))

    def _order(self, scores: FloatArray, *, stratum: IntArray) -> _Order:
        rows = np.lexsort((scores, stratum))
        new_stratum = np.append(True, np.diff(stratum[rows]) != 0) if len(rows) else np.zeros(0, dtype=bool)
        # Not by difference: two infinite scores are equal, and their difference is not zero.
        new_score = np.append(True, scores[rows][1:] != scores[rows][:-1]) if len(rows) else np.zeros(0, dtype=bool)
        return _Order(rows=rows, new_score=new_score | new_stratum, new_stratum=new_stratum)

    def _auc(self, order: _Order, *, replicates: int | None = None) -> FloatArray:
        drawn = self.drawn if replicates is None else self.drawn[:, :replicates]
        concordant, pairs = _concordance(order.rows, order.new_score, order.new_stratum, self.positive, drawn)
        return quotient(concordant, pairs)


def level_rates(
    *, levels: IntArray, positive: NDArray[np.bool_], weight: AnyArray, fold: IntArray, folds: int = FOLDS
) -> FloatArray:
    """Return for each row the rate of positives of its level among the rows of all other folds.

    The rate is drawn towards the mean of those rows; a level that they do not hold has the mean itself.
    """
    count = int(levels.max(initial=0)) + 1
    cell = fold * count + levels
    total = np.bincount(cell, weights=weight, minlength=folds * count).reshape(folds, count)
    won = np.bincount(cell, weights=as_float(weight) * positive, minlength=folds * count).reshape(folds, count)
    others, others_won = total.sum(axis=0) - total, won.sum(axis=0) - won
    rows = others.sum(axis=1, keepdims=True)
    mean = np.divide(others_won.sum(axis=1, keepdims=True), rows, out=np.zeros_like(rows), where=rows > 0)
    rates = (others_won + SHRINK_TOWARDS_MEAN * mean) / (others + SHRINK_TOWARDS_MEAN)
    # Rounded, so that two levels without any rows have exactly the same rate whatever was summed up.
    return np.asarray(np.round(rates, 12)[fold, levels], dtype=np.float64)


def fold_of(objects: AnyArray) -> IntArray:
    """Return the fold of each row: by a hash of its object, whatever the order of the rows."""
    return np.asarray(hashes(objects) % np.uint64(FOLDS), dtype=np.int64)


def hashes(objects: AnyArray) -> NDArray[np.uint64]:
    """Return a hash of each object's number or id."""
    values = pd.Series(np.asarray(objects)).astype(str).to_numpy(dtype=object)
    hashed = pd.util.hash_array(values, categorize=True)
    with np.errstate(over="ignore"):
        return np.asarray((hashed * _SALT) >> np.uint64(11), dtype=np.uint64)


@dataclass(frozen=True)
class _Order:
    rows: IntArray
    new_score: NDArray[np.bool_]
    new_stratum: NDArray[np.bool_]


def _folded(value: float) -> float:
    return max(value, 1.0 - value) if value == value else 0.0


def _separation(draws: FloatArray) -> Separation:
    ends = interval(draws[1:])
    return Separation(value=float(draws[0]), low=ends.low, high=ends.high)


@njit(cache=True)
def _concordance(rows, new_score, new_stratum, positive, drawn):  # type: ignore[no-untyped-def]  # compiled by Numba
    count = drawn.shape[1]
    concordant = np.zeros(count)
    pairs = np.zeros(count)
    negatives_below = np.zeros(count)
    positives_seen = np.zeros(count)
    negatives_tied = np.zeros(count)
    positives_tied = np.zeros(count)
    for place in range(rows.shape[0] + 1):
        ends = place == rows.shape[0]
        if ends or new_score[place]:
            for k in range(count):
                concordant[k] += positives_tied[k] * (negatives_below[k] + 0.5 * negatives_tied[k])
                negatives_below[k] += negatives_tied[k]
                positives_seen[k] += positives_tied[k]
                negatives_tied[k] = 0.0
                positives_tied[k] = 0.0
        if ends or new_stratum[place]:
            for k in range(count):
                pairs[k] += positives_seen[k] * negatives_below[k]
                negatives_below[k] = 0.0
                positives_seen[k] = 0.0
        if ends:
            break
        row = rows[place]
        if positive[row]:
            for k in range(count):
                positives_tied[k] += drawn[row, k]
        else:
            for k in range(count):
                negatives_tied[k] += drawn[row, k]
    return concordant, pairs
