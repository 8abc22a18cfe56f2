"""Accuracy and ranking of predicted probabilities, with row weights and exact ties; NaN where a metric is undefined."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
AnyArray = NDArray[Any]

PROBABILITY_CLIP: Final = 1e-15
"""Log loss takes a probability as at least this and at most one minus this, so that a wrong 0 or 1 costs 34.5."""

ROUNDING: Final = 1e-12
"""A variance of the outcomes below this is the rounding of weighted sums: there is one class only."""


def log_loss(*, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None) -> float:
    """Mean negative log likelihood (natural logarithm), probabilities clipped by ``PROBABILITY_CLIP``.

    >>> round(log_loss(y_obs=np.array([1, 0]), y_pred=np.array([0.5, 0.75])), 4)
    1.0397
    """
    return weighted_mean(row_log_loss(y_obs=y_obs, y_pred=y_pred), weight)


def brier(*, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None) -> float:
    """Mean squared difference of probability and outcome (Brier 1950).

    >>> brier(y_obs=np.array([1, 0]), y_pred=np.array([0.5, 0.5]))
    0.25
    """
    return weighted_mean(row_squared_error(y_obs=y_obs, y_pred=y_pred), weight)


def brier_skill(*, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None) -> float:
    """One minus the Brier score over that of the weighted mean of ``y_obs`` on the same rows; 0 is no skill."""
    rate = weighted_mean(as_float(y_obs), weight)
    reference = rate * (1.0 - rate)
    defined = reference > ROUNDING
    return 1.0 - brier(y_obs=y_obs, y_pred=y_pred, weight=weight) / reference if defined else float("nan")


def auc(*, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None) -> float:
    """Probability that a random positive scores above a random negative, a tie counting one half.

    >>> auc(y_obs=np.array([1, 0, 1, 0]), y_pred=np.array([0.9, 0.6, 0.6, 0.1]))
    0.875
    """
    return float(_ranked(y_obs, y_pred, weight).auc()[0])


def auc_within(*, y_obs: AnyArray, y_pred: AnyArray, strata: AnyArray, weight: AnyArray | None = None) -> float:
    """AUC over those pairs only that lie in the same stratum: concordant pairs over pairs, each summed over strata."""
    return float(_ranked(y_obs, y_pred, weight, strata=strata).auc()[0])


def pr_auc(*, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None) -> float:
    """Average precision: the precision at each distinct score, weighted by the gain in recall there."""
    return float(_ranked(y_obs, y_pred, weight).average_precision()[0])


def capture(*, y_obs: AnyArray, y_pred: AnyArray, share: float, weight: AnyArray | None = None) -> float:
    """Share of all positives held by the ``share`` (0..1) of rows with the highest scores.

    Rows with equal scores at the edge count by the expected value over all their orders, and so does a part of a row.

    >>> capture(y_obs=np.array([1, 0, 1, 0]), y_pred=np.array([0.9, 0.6, 0.6, 0.1]), share=0.5)
    0.75
    """
    return float(_ranked(y_obs, y_pred, weight).captured(np.array([share]))[0, 0])


def lift(*, y_obs: AnyArray, y_pred: AnyArray, share: float, weight: AnyArray | None = None) -> float:
    """Rate of positives among the ``share`` (0..1) of rows with the highest scores over the rate among all rows."""
    return capture(y_obs=y_obs, y_pred=y_pred, share=share, weight=weight) / share


def predicted_over_observed(*, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None) -> float:
    """Sum of the probabilities over the number of positives; above 1 the score promises too much."""
    rate = weighted_mean(as_float(y_obs), weight)
    return weighted_mean(as_float(y_pred), weight) / rate if rate > 0.0 else float("nan")


def row_log_loss(*, y_obs: AnyArray, y_pred: AnyArray) -> FloatArray:
    """Negative log likelihood of each row."""
    probability = np.clip(as_float(y_pred), PROBABILITY_CLIP, 1.0 - PROBABILITY_CLIP)
    return -np.where(as_float(y_obs) > 0.0, np.log(probability), np.log1p(-probability))


def row_squared_error(*, y_obs: AnyArray, y_pred: AnyArray) -> FloatArray:
    """Squared difference of probability and outcome of each row."""
    return np.square(as_float(y_pred) - as_float(y_obs))


def weighted_mean(values: FloatArray, weight: AnyArray | None = None) -> float:
    """Weighted mean, or NaN without weight."""
    weights = np.ones(len(values)) if weight is None else as_float(weight)
    total = float(weights.sum())
    return float(weights @ values) / total if total > 0.0 else float("nan")


def as_float(values: AnyArray) -> FloatArray:
    """Return the values as float64, without a copy where they are that already."""
    return np.asarray(values, dtype=np.float64)


def quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide, with NaN wherever the denominator is not positive."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    result = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=result, where=np.broadcast_to(denominator > 0.0, shape))
    return result


@dataclass(frozen=True)
class ScoreOrder:
    """Rows sorted once by falling score (inside strata, if any), so that many weightings of them are cheap.

    ``rows`` are the caller's row numbers in this order, ``positive`` their outcomes, ``starts`` the places where a
    new group of equal scores begins, ``stratum`` the number of each group's stratum.
    """

    rows: IntArray
    positive: FloatArray
    starts: IntArray
    stratum: IntArray

    @classmethod
    def build(
        cls, *, y_obs: AnyArray, y_pred: AnyArray, strata: AnyArray | None = None, keep: AnyArray | None = None
    ) -> ScoreOrder:
        """Sort the rows, or those that the boolean ``keep`` names."""
        chosen = np.arange(len(y_pred)) if keep is None else np.flatnonzero(keep)
        scores = as_float(y_pred)[chosen]
        codes = np.zeros(len(chosen), dtype=np.int64)
        if strata is not None:
            codes = np.unique(np.asarray(strata)[chosen].astype(str), return_inverse=True)[1].astype(np.int64)
        order = np.lexsort((-scores, codes))
        scores, codes = scores[order], codes[order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = (np.diff(scores) != 0.0) | (np.diff(codes) != 0)
        starts = np.flatnonzero(new)
        rows = chosen[order]
        return cls(rows=rows, positive=as_float(y_obs)[rows], starts=starts, stratum=codes[starts])

    def weigh(self, weights: FloatArray) -> RankedGroups:
        """Sum each of the weightings (weightings x the caller's rows) over the groups of equal scores."""
        sorted_weights = np.take(weights, self.rows, axis=1)
        positives = sorted_weights * self.positive
        if len(self.starts) < len(self.rows):
            sorted_weights = np.add.reduceat(sorted_weights, self.starts, axis=1)
            positives = np.add.reduceat(positives, self.starts, axis=1)
        return RankedGroups(total=sorted_weights, positive=positives, stratum=self.stratum)


@dataclass(frozen=True)
class RankedGroups:
    """Weight and positive weight of each group of equal scores, best first: weightings x groups.

    Each method returns one value for each weighting.
    """

    total: FloatArray
    positive: FloatArray
    stratum: IntArray

    @cached_property
    def _cumulated_total(self) -> FloatArray:
        return np.cumsum(self.total, axis=1)

    @cached_property
    def _cumulated_positive(self) -> FloatArray:
        return np.cumsum(self.positive, axis=1)

    def auc(self) -> FloatArray:
        """Concordant pairs over pairs inside the strata, a tie counting one half."""
        if not len(self.stratum):
            return np.full(len(self.total), np.nan)
        cumulated = self._cumulated_total - self._cumulated_positive
        last = np.flatnonzero(np.append(np.diff(self.stratum) != 0, True))
        ends = cumulated[:, last]
        stratum_negatives = np.diff(ends, axis=1, prepend=0.0)
        stratum_positives = np.diff(self._cumulated_positive[:, last], axis=1, prepend=0.0)
        end_of_group = ends if len(last) == 1 else np.repeat(ends, np.diff(last, prepend=-1), axis=1)
        negatives_below = end_of_group - cumulated + 0.5 * (self.total - self.positive)
        concordant = np.einsum("ij,ij->i", self.positive, negatives_below)
        return quotient(concordant, np.einsum("ij,ij->i", stratum_positives, stratum_negatives))

    def average_precision(self) -> FloatArray:
        """Average precision of the ranking without regard to strata; NaN where one class is missing."""
        if not len(self.stratum):
            return np.full(len(self.total), np.nan)
        # A group without weight has no positives either, so what its precision is taken to be does not matter.
        precision = self._cumulated_positive / np.maximum(self._cumulated_total, np.finfo(np.float64).tiny)
        positives = self._cumulated_positive[:, -1]
        precision_sum = np.einsum("ij,ij->i", self.positive, precision)
        return np.where(positives < self._cumulated_total[:, -1], quotient(precision_sum, positives), np.nan)

    def captured(self, shares: FloatArray) -> FloatArray:
        """Share of the positives in the best ``shares`` of the weight: weightings x shares."""
        result = np.full((len(self.total), len(shares)), np.nan)
        if len(self.stratum):
            for index, (reached, won) in enumerate(zip(self._cumulated_total, self._cumulated_positive, strict=True)):
                if won[-1] > 0.0:
                    # A straight line through a group of ties is the expected value over their orders.
                    held = np.interp(shares * reached[-1], np.append(0.0, reached), np.append(0.0, won))
                    result[index] = held / won[-1]
        return result


def _ranked(
    y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None, *, strata: AnyArray | None = None
) -> RankedGroups:
    weights = np.ones(len(y_pred)) if weight is None else as_float(weight)
    return ScoreOrder.build(y_obs=y_obs, y_pred=y_pred, strata=strata).weigh(weights[np.newaxis, :])
