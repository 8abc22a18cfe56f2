"""How far probabilities are from observed frequencies: ECE, ICI, slope, null bands, reliability bins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.special import expit, logit

from models.bootstrap import Interval
from models.metrics import ROUNDING, AnyArray, FloatArray, IntArray, as_float, quotient, weighted_mean

LOGIT_CLIP: Final = 1e-6
"""Probabilities are kept this far from 0 and 1 before a logit: a score of exactly 0 must not steer the whole fit."""

ECE_BINS: Final = 10
KNOT_QUANTILES: Final = (0.05, 0.35, 0.65, 0.95)
"""Places of four knots (Harrell, Regression Modeling Strategies, 2nd ed., table 2.3)."""

_FINE_BINS: Final = 1000
_KNOT_DISTANCE: Final = 1e-3
_RIDGE: Final = 1e-6
_INTERCEPT_RIDGE: Final = 1e-9
_NEWTON_STEPS: Final = 200
_LONGEST_STEP: Final = 6.0
_TOLERANCE: Final = 1e-8
_Z_95: Final = 1.959963984540054


@dataclass(frozen=True)
class Recalibration:
    """Intercept and slope of a logistic regression of the outcome on the logit of the probability; ideal is 0 and 1."""

    intercept: float
    slope: float


@dataclass(frozen=True)
class IntegratedCalibration:
    """Mean (ICI), median (E50) and 90th percentile (E90) of |probability - smoothed observed frequency|."""

    ici: float
    e50: float
    e90: float


@dataclass(frozen=True)
class NullBands:
    """95th percentiles of ECE and ICI for the same probabilities if they were exactly right."""

    ece_95: float
    ici_95: float


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of about equal mass: mean probability, observed rate and its interval, number of rows."""

    predicted: float
    observed: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class CalibrationErrors:
    """Calibration errors, one value for each weighting."""

    ece: FloatArray
    ici: FloatArray
    slope: FloatArray


def ece(*, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None, bins: int = ECE_BINS) -> float:
    """Expected calibration error: mass-weighted mean over equal-mass bins of |mean probability - observed rate|.

    Equal probabilities are never split, so heavy ties leave fewer bins.

    >>> round(ece(y_obs=np.array([0, 1, 1, 1]), y_pred=np.array([0.2, 0.2, 0.9, 0.9]), bins=2), 3)
    0.2
    """
    weights = _weights(y_pred, weight)
    if weights.sum() <= 0.0:
        return float("nan")
    bin_of_row = equal_mass_bins(y_pred=y_pred, weight=weights, bins=bins)
    gaps = np.bincount(bin_of_row, weights=weights * (as_float(y_pred) - as_float(y_obs)))
    return float(np.abs(gaps).sum() / weights.sum())


def recalibration(*, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None) -> Recalibration:
    """Fit the logistic recalibration (Cox 1958); NaN with one class or one probability only.

    A slope below 1 means probabilities too extreme, above 1 too timid.
    """
    if not _both_classes(y_obs, weight):
        return Recalibration(intercept=float("nan"), slope=float("nan"))
    order = CalibrationOrder.build(y_pred=y_pred, weight=weight, fine_bins=None)
    if not order.varied:
        return Recalibration(intercept=float("nan"), slope=float("nan"))
    groups = order.weigh(weights=_weights(y_pred, weight)[np.newaxis, :], y_obs=y_obs)
    intercept, slope = order.line(groups)[0]
    return Recalibration(intercept=float(intercept), slope=float(slope))


def integrated_calibration(
    *, y_obs: AnyArray, y_pred: AnyArray, weight: AnyArray | None = None
) -> IntegratedCalibration:
    """ICI, E50 and E90 (Austin & Steyerberg 2019, doi:10.1002/sim.8281); NaN with one class only.

    The observed frequency is smoothed by a logistic regression on a restricted cubic spline of the logit with four
    knots, not by LOWESS, which on rare events reports several times the error that there is. Fewer than four distinct
    probabilities take a straight line.
    """
    if not _both_classes(y_obs, weight):
        return IntegratedCalibration(ici=float("nan"), e50=float("nan"), e90=float("nan"))
    order = CalibrationOrder.build(y_pred=y_pred, weight=weight, fine_bins=None)
    groups = order.weigh(weights=_weights(y_pred, weight)[np.newaxis, :], y_obs=y_obs)
    gaps, mass = order.gaps(groups)[0], groups.total[0]
    e50, e90 = _weighted_quantiles(gaps, mass, np.array([0.5, 0.9]))
    return IntegratedCalibration(ici=float(gaps @ mass / mass.sum()), e50=float(e50), e90=float(e90))


def null_bands(
    *,
    y_pred: AnyArray,
    weight: AnyArray | None = None,
    cluster: AnyArray | None = None,
    draws: int = 200,
    seed: int,
) -> NullBands:
    """Simulate outcomes from the probabilities themselves: how large ECE and ICI are when nothing is wrong.

    Each row is drawn as won with its own probability. Rows of the same ``cluster`` share their chance, as snapshots
    of one deal share its outcome; drawn independently, such rows would give a band that is too narrow.
    """
    weights = _weights(y_pred, weight)
    if weights.sum() <= 0.0:
        return NullBands(ece_95=float("nan"), ici_95=float("nan"))
    order = CalibrationOrder.build(y_pred=y_pred, weight=weight)
    probability, mass = as_float(y_pred)[order.rows], weights[order.rows]
    owner = np.arange(len(order.rows)) if cluster is None else np.unique(cluster, return_inverse=True)[1][order.rows]
    generator = np.random.default_rng(seed)
    positive = np.empty((draws, len(order.starts)))
    for draw in positive:
        chance = generator.random(int(owner.max()) + 1)[owner]
        draw[:] = np.add.reduceat(np.where(chance < probability, mass, 0.0), order.starts)
    total = np.broadcast_to(np.add.reduceat(mass, order.starts), positive.shape)
    groups = OutcomeGroups(total=total, positive=positive)
    return NullBands(
        ece_95=float(np.quantile(order.ece(groups), 0.95)), ici_95=float(np.quantile(order.ici(groups), 0.95))
    )


def reliability(
    *,
    y_obs: AnyArray,
    y_pred: AnyArray,
    weight: AnyArray | None = None,
    cluster: AnyArray | None = None,
    bins: int = ECE_BINS,
) -> tuple[ReliabilityBin, ...]:
    """Mean probability and observed rate in at most ``bins`` bins of equal mass, lowest first.

    The interval is Wilson's with the number of distinct clusters in the bin as the number of trials: repeated rows
    of one object count once, and a bin without positives still has an upper end.
    """
    weights = _weights(y_pred, weight)
    bin_of_row = equal_mass_bins(y_pred=y_pred, weight=weights, bins=bins)
    outcomes, probabilities = as_float(y_obs), as_float(y_pred)
    result = []
    for number in np.unique(bin_of_row):
        inside = (bin_of_row == number) & (weights > 0.0)
        mass = weights[inside]
        trials = int(inside.sum()) if cluster is None else len(np.unique(np.asarray(cluster)[inside]))
        observed = float(mass @ outcomes[inside] / mass.sum())
        ends = wilson(rate=observed, trials=trials)
        predicted = float(mass @ probabilities[inside] / mass.sum())
        result.append(ReliabilityBin(predicted, observed, ends.low, ends.high, int(inside.sum())))
    return tuple(result)


def wilson(*, rate: float, trials: float) -> Interval:
    """95 % interval of a proportion (Wilson 1927).

    >>> round(wilson(rate=0.0, trials=10).high, 4)
    0.2775
    """
    spread = _Z_95**2 / trials
    centre = (rate + spread / 2.0) / (1.0 + spread)
    half = np.sqrt(rate * (1.0 - rate) * spread + spread**2 / 4.0) / (1.0 + spread)
    return Interval(low=float(max(0.0, centre - half)), high=float(min(1.0, centre + half)))


def equal_mass_bins(*, y_pred: AnyArray, weight: AnyArray, bins: int) -> IntArray:
    """Number each row's bin, 0 for the lowest probabilities; rows with equal probability share one.

    A group of ties goes where the middle of its mass lies; rows without weight go with their neighbours.

    >>> equal_mass_bins(y_pred=np.array([0.1, 0.4, 0.2, 0.3]), weight=np.ones(4), bins=2).tolist()
    [0, 1, 0, 1]
    """
    _, group = np.unique(as_float(y_pred), return_inverse=True)
    mass = np.bincount(group, weights=as_float(weight))
    if not mass.sum() > 0.0:
        return np.zeros(len(y_pred), dtype=np.int64)
    middle = (np.cumsum(mass) - mass / 2.0) / mass.sum()
    numbers: IntArray = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return numbers[group]


def spline_basis(values: FloatArray, knots: FloatArray) -> FloatArray:
    """Columns of a restricted cubic spline (linear beyond the outer knots): the value, then knots - 2 curved terms.

    Truncated-power form, scaled by the squared distance of the outer knots (Harrell, eq. 2.25).
    """
    columns = [values]
    if len(knots) > 2:
        scale = (knots[-1] - knots[0]) ** 2
        last, before = knots[-1], knots[-2]
        for knot in knots[:-2]:
            curved = (
                _cubed(values - knot)
                - _cubed(values - before) * (last - knot) / (last - before)
                + _cubed(values - last) * (before - knot) / (last - before)
            )
            columns.append(curved / scale)
    return np.column_stack(columns)


def fit_logistic(*, design: FloatArray, positive: FloatArray, total: FloatArray) -> FloatArray:
    """Fit one logistic regression for each row of ``positive`` and ``total`` (fits x groups), by Newton's method.

    ``design`` (groups x columns) gets an intercept in front. A ridge of a millionth of the total weight keeps separated
    data finite. Returns fits x (1 + columns).
    """
    columns = np.column_stack([np.ones(len(design)), design])
    width = columns.shape[1]
    products = (columns[:, :, np.newaxis] * columns[:, np.newaxis, :]).reshape(len(columns), width * width)
    # The intercept is held only enough to stay finite when no group has a positive.
    ridge = total.sum(axis=1, keepdims=True) * np.append(_INTERCEPT_RIDGE, np.full(width - 1, _RIDGE))
    fitted = np.zeros((len(total), width))
    fitted[:, 0] = logit((positive.sum(axis=1) + 0.5) / (total.sum(axis=1) + 1.0))
    running = np.arange(len(total))
    for _ in range(_NEWTON_STEPS):
        if not len(running):
            break
        current, won, mass, penalty = fitted[running], positive[running], total[running], ridge[running]
        chance = expit(current @ columns.T)
        gradient = (won - mass * chance) @ columns - penalty * current
        curvature = ((mass * chance * (1.0 - chance)) @ products).reshape(-1, width, width)
        curvature += penalty[:, np.newaxis, :] * np.eye(width)
        step = np.linalg.solve(curvature, gradient[:, :, np.newaxis])[:, :, 0]
        # A full Newton step from far away can overshoot without end; well inside, it never needs shortening.
        step *= np.minimum(1.0, _LONGEST_STEP / np.maximum(np.abs(step @ columns.T).max(axis=1), 1e-300))[:, np.newaxis]
        fitted[running] = current + step
        running = running[np.abs(step).max(axis=1) > _TOLERANCE]
    return fitted


@dataclass(frozen=True)
class OutcomeGroups:
    """Weight and positive weight of groups of rows: weightings x groups."""

    total: FloatArray
    positive: FloatArray


@dataclass(frozen=True)
class CalibrationOrder:
    """Rows sorted once by probability and cut into groups, so that many weightings of them are cheap.

    Without ``fine_bins`` a group is one distinct probability and every result is exact. With it there are about so
    many groups of equal mass at most, and inside a group the probability counts as its mean.
    """

    rows: IntArray
    starts: IntArray
    probability: FloatArray
    logit_probability: FloatArray
    ece_starts: IntArray
    knots: FloatArray

    @classmethod
    def build(
        cls, *, y_pred: AnyArray, weight: AnyArray | None = None, fine_bins: int | None = _FINE_BINS
    ) -> CalibrationOrder:
        """Sort and cut the rows that have weight; there must be one."""
        scores, weights = as_float(y_pred), _weights(y_pred, weight)
        kept = np.flatnonzero(weights > 0.0)
        rows = kept[np.argsort(scores[kept], kind="stable")]
        scores, mass = scores[rows], weights[rows]
        logits = logit(np.clip(scores, LOGIT_CLIP, 1.0 - LOGIT_CLIP))
        ece_bin = equal_mass_bins(y_pred=scores, weight=mass, bins=ECE_BINS)
        starts = _changes(scores)
        knots = _knots(logits, mass) if len(starts) >= len(KNOT_QUANTILES) else np.empty(0)
        if fine_bins is not None and len(starts) > fine_bins:
            # Each bin of the ECE must be a union of groups.
            starts = _changes(equal_mass_bins(y_pred=scores, weight=mass, bins=fine_bins) + fine_bins * ece_bin)
        group_mass = np.add.reduceat(mass, starts)
        return cls(
            rows=rows,
            starts=starts,
            probability=np.add.reduceat(mass * scores, starts) / group_mass,
            logit_probability=np.add.reduceat(mass * logits, starts) / group_mass,
            ece_starts=_changes(ece_bin[starts]),
            knots=knots,
        )

    @property
    def varied(self) -> bool:
        """Whether there is more than one probability."""
        return len(self.starts) > 1

    @cached_property
    def _curve(self) -> FloatArray:
        if not self.varied:
            return np.empty((len(self.starts), 0))
        return spline_basis(self.logit_probability, self.knots)

    def weigh(self, *, weights: FloatArray, y_obs: AnyArray) -> OutcomeGroups:
        """Sum each of the weightings (weightings x the caller's rows) over the groups."""
        total = np.take(weights, self.rows, axis=1)
        positive = total * as_float(y_obs)[self.rows]
        return OutcomeGroups(
            total=np.add.reduceat(total, self.starts, axis=1), positive=np.add.reduceat(positive, self.starts, axis=1)
        )

    def line(self, groups: OutcomeGroups) -> FloatArray:
        """Intercept and slope of the logistic recalibration, for each weighting."""
        design = self.logit_probability[:, np.newaxis]
        return fit_logistic(design=design, positive=groups.positive, total=groups.total)

    def gaps(self, groups: OutcomeGroups) -> FloatArray:
        """|probability - smoothed observed frequency| of each group, for each weighting."""
        fitted = fit_logistic(design=self._curve, positive=groups.positive, total=groups.total)
        return np.abs(self.probability - expit(fitted[:, :1] + fitted[:, 1:] @ self._curve.T))

    def ici(self, groups: OutcomeGroups) -> FloatArray:
        """Integrated calibration index, for each weighting."""
        return quotient(np.einsum("ij,ij->i", self.gaps(groups), groups.total), groups.total.sum(axis=1))

    def ece(self, groups: OutcomeGroups) -> FloatArray:
        """Expected calibration error over the bins cut once by ``build``, for each weighting."""
        gaps = np.add.reduceat(groups.positive - groups.total * self.probability, self.ece_starts, axis=1)
        return quotient(np.abs(gaps).sum(axis=1), groups.total.sum(axis=1))

    def errors(self, *, weights: FloatArray, y_obs: AnyArray) -> CalibrationErrors:
        """ECE, ICI and slope for each weighting; ICI and slope are NaN where it leaves one class only."""
        groups = self.weigh(weights=weights, y_obs=y_obs)
        mean = quotient(groups.positive.sum(axis=1), groups.total.sum(axis=1))
        both = mean * (1.0 - mean) > ROUNDING
        kept = OutcomeGroups(total=groups.total[both], positive=groups.positive[both])
        ici, slope = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
        ici[both] = self.ici(kept)
        if self.varied:
            slope[both] = self.line(kept)[:, 1]
        return CalibrationErrors(ece=self.ece(groups), ici=ici, slope=slope)


def _weights(y_pred: AnyArray, weight: AnyArray | None) -> FloatArray:
    return np.ones(len(y_pred)) if weight is None else as_float(weight)


def _both_classes(y_obs: AnyArray, weight: AnyArray | None) -> bool:
    rate = weighted_mean(as_float(y_obs), weight)
    return rate * (1.0 - rate) > ROUNDING


def _changes(labels: AnyArray) -> IntArray:
    return np.flatnonzero(np.append(True, np.diff(labels) != 0))


def _cubed(values: FloatArray) -> FloatArray:
    return as_float(np.maximum(values, 0.0) ** 3)


def _knots(logits: FloatArray, mass: FloatArray) -> FloatArray:
    places = _weighted_quantiles(logits, mass, np.array(KNOT_QUANTILES))
    # Ties can put knots on top of each other; the division by their distance needs them apart.
    apart = np.diff(places, prepend=-np.inf) > _KNOT_DISTANCE * (places[-1] - places[0])
    return as_float(places[apart])


def _weighted_quantiles(values: FloatArray, weight: FloatArray, levels: FloatArray) -> FloatArray:
    order = np.argsort(values, kind="stable")
    mass = weight[order]
    places: FloatArray = (np.cumsum(mass) - mass / 2.0) / mass.sum()
    return as_float(np.interp(levels, places, values[order]))
