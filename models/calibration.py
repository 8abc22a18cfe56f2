"""Calibration: bring a model's probabilities into line with out-of-time outcomes, or leave them alone.

A small, regularised booster often needs none. A calibrator is chosen only if it wins on outcomes later than all those
it was fitted on: the labels of the earlier rows are ripe before the later rows begin.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.boosting import FloatArray

Kind = Literal["none", "drift", "intercept", "platt", "beta"]
_EDGE: Final = 1e-9
_LEAST_SLOPE: Final = 0.05
_CUTS: Final = 39
_MICROSECONDS_PER_WEEK: Final = 7 * 86_400_000_000


class CalibrationSettings(BaseModel):
    """When and how strongly to recalibrate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_positive_objects: int = Field(
        default=100,
        ge=1,
        description="With fewer positive contacts or deals no line or curve is fitted to the probabilities.",
    )
    slope_spread: float = Field(default=0.25, gt=0, description="How far from 1 the slope may plausibly lie.")
    intercept_spread: float = Field(default=1.0, gt=0, description="How far from 0 the intercept may plausibly lie.")
    drift_weeks: float = Field(
        default=13.0, gt=0, description="The drift correction looks at the last weeks whose outcomes are known."
    )
    drift_pseudo_wins: float = Field(
        default=30.0, gt=0, description="Observed / expected counts so many wins more on both sides."
    )


class Calibrator(BaseModel):
    """p -> sigmoid(intercept + slope * ln p - slope_no * ln(1 - p)); strictly increasing, so it keeps the order.

    Without ``slope_no`` both slopes are one: a line in the log-odds (Platt 1999). With it, it is beta calibration
    (Kull, Silva Filho and Flach, AISTATS 2017).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = "none"
    slope: float = Field(default=1.0, gt=0)
    intercept: float = 0.0
    slope_no: float | None = Field(default=None, gt=0)

    @property
    def slopes(self) -> tuple[float, float]:
        """Return the slopes of ln p and of -ln(1 - p)."""
        return self.slope, self.slope if self.slope_no is None else self.slope_no

    def apply(self, probability: FloatArray) -> FloatArray:
        """Return calibrated probabilities."""
        if self.kind == "none":
            return probability
        inside = np.clip(probability, _EDGE, 1 - _EDGE)
        won, lost = self.slopes
        return sigmoid(self.intercept + won * np.log(inside) - lost * np.log1p(-inside))

    def apply_logit(self, log_odds: FloatArray) -> FloatArray:
        """Return calibrated log-odds."""
        won, lost = self.slopes
        # ln p and ln(1 - p) from the log-odds, without overflow.
        return self.intercept - won * np.logaddexp(0.0, -log_odds) + lost * np.logaddexp(0.0, log_odds)


@dataclass(frozen=True)
class Tried:
    """A kind of calibration on the later rows: its gain in log loss over none, and the standard error of that."""

    kind: Kind
    gain: float
    error: float


@dataclass(frozen=True)
class DriftFactor:
    """Observed over expected wins of the last ripened weeks, in contacts or deals, and the shrunken ``factor``."""

    observed: float
    expected: float
    weeks: float
    factor: float


@dataclass(frozen=True)
class CalibrationChoice:
    """The calibrator that was chosen, what was tried, and why nothing was where nothing could be."""

    calibrator: Calibrator
    tried: tuple[Tried, ...] = ()
    drift: DriftFactor | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            **self.calibrator.model_dump(mode="json"),
            "tried": [asdict(one) for one in self.tried],
            "drift": None if self.drift is None else asdict(self.drift),
            "note": self.note,
        }


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-z)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def logit(probability: FloatArray) -> FloatArray:
    """Return log(p / (1 - p)), p held inside [1e-9, 1 - 1e-9]."""
    inside = np.clip(probability, _EDGE, 1 - _EDGE)
    return np.log(inside) - np.log1p(-inside)


def fit_platt(
    *,
    log_odds: FloatArray,
    y_obs: FloatArray,
    weight: FloatArray,
    settings: CalibrationSettings,
    free_slope: bool = True,
) -> Calibrator:
    """Fit intercept and slope by penalised logistic regression, shrunk towards 0 and 1 (Platt 1999; shrinkage ours)."""
    spread = settings.slope_spread if free_slope else 1e-6
    intercept, slope = _penalised(
        np.column_stack([np.ones_like(log_odds), log_odds]),
        y_obs=y_obs,
        weight=weight,
        target=(0.0, 1.0),
        spread=(settings.intercept_spread, spread),
    )
    return Calibrator(kind="platt" if free_slope else "intercept", intercept=intercept, slope=max(slope, _LEAST_SLOPE))


def fit_beta(
    *, probability: FloatArray, y_obs: FloatArray, weight: FloatArray, settings: CalibrationSettings
) -> Calibrator:
    """Fit beta calibration by penalised logistic regression on ln p and -ln(1 - p), shrunk towards no change."""
    inside = np.clip(probability, _EDGE, 1 - _EDGE)
    intercept, slope, slope_no = _penalised(
        np.column_stack([np.ones_like(inside), np.log(inside), -np.log1p(-inside)]),
        y_obs=y_obs,
        weight=weight,
        target=(0.0, 1.0, 1.0),
        spread=(settings.intercept_spread, settings.slope_spread, settings.slope_spread),
    )
    return Calibrator(
        kind="beta", intercept=intercept, slope=max(slope, _LEAST_SLOPE), slope_no=max(slope_no, _LEAST_SLOPE)
    )


def drift_factor(
    *,
    probability: FloatArray,
    y_obs: FloatArray,
    weight: FloatArray,
    objects: NDArray[np.int64],
    as_of: NDArray[np.int64],
    settings: CalibrationSettings,
) -> DriftFactor:
    """Compare observed with expected wins over the last ``drift_weeks`` of the rows, shrunk by pseudo-wins.

    Wins are counted in objects: rows repeat a contact or deal, and a repeated win is one win.
    """
    latest = as_of >= as_of.max() - settings.drift_weeks * _MICROSECONDS_PER_WEEK
    mass = weight[latest]
    scale = len(np.unique(objects[latest])) / mass.sum()
    observed, expected = (float(scale * (mass @ values[latest])) for values in (y_obs, probability))
    pseudo = settings.drift_pseudo_wins
    return DriftFactor(
        observed=observed,
        expected=expected,
        weeks=settings.drift_weeks,
        factor=(observed + pseudo) / (expected + pseudo),
    )


def choose_calibrator(
    *,
    probability: FloatArray,
    y_obs: FloatArray,
    weight: FloatArray,
    objects: NDArray[np.int64],
    as_of: NDArray[np.int64],
    ripe_at: NDArray[np.int64],
    settings: CalibrationSettings,
) -> CalibrationChoice:
    """Fit each kind on the earlier rows, and keep the best only if it beats none on the later by a standard error.

    ``as_of`` and ``ripe_at`` (microseconds) say when a row was seen and when its label was known; the earlier rows are
    ripe before the later ones begin. The chosen kind is then fitted on all rows. Beside the drift correction, which
    rests on one shrunken number, every kind needs ``min_positive_objects``.
    """
    split = _split(y_obs=y_obs, objects=objects, as_of=as_of, ripe_at=ripe_at)
    if split is None:
        return CalibrationChoice(Calibrator(), note="the window is too short to test a recalibration on later outcomes")
    early, later = split
    used = early | later
    enough = len(np.unique(objects[used & (y_obs > 0)])) >= settings.min_positive_objects
    kinds: tuple[Kind, ...] = ("drift", "intercept", "platt", "beta") if enough else ("drift",)

    def fitted(kind: Kind, rows: NDArray[np.bool_]) -> Calibrator:
        given: dict[str, Any] = {"y_obs": y_obs[rows], "weight": weight[rows], "settings": settings}
        if kind == "drift":
            found = drift_factor(probability=probability[rows], objects=objects[rows], as_of=as_of[rows], **given)
            return Calibrator(kind="drift", intercept=float(np.log(found.factor)))
        if kind == "beta":
            return fit_beta(probability=probability[rows], **given)
        return fit_platt(log_odds=logit(probability[rows]), free_slope=kind == "platt", **given)

    plain = log_loss_rows(y_obs[later], probability[later])
    tried = []
    for kind in kinds:
        gain = plain - log_loss_rows(y_obs[later], fitted(kind, early).apply(probability[later]))
        mean, error = _clustered_mean(gain, weight=weight[later], objects=objects[later])
        tried.append(Tried(kind=kind, gain=mean, error=error))
    everything = np.ones(len(y_obs), dtype=bool)
    drift = drift_factor(
        probability=probability, y_obs=y_obs, weight=weight, objects=objects, as_of=as_of, settings=settings
    )
    best = max((one for one in tried if one.gain > one.error), key=lambda one: one.gain, default=None)
    calibrator = Calibrator() if best is None else fitted(best.kind, everything)
    return CalibrationChoice(calibrator=calibrator, tried=tuple(tried), drift=drift)


def log_loss_rows(y_obs: FloatArray, probability: FloatArray) -> FloatArray:
    """Return each row's log loss."""
    inside = np.clip(probability, 1e-15, 1 - 1e-15)
    return -np.where(y_obs > 0, np.log(inside), np.log1p(-inside))


def _clustered_mean(values: FloatArray, *, weight: FloatArray, objects: NDArray[np.int64]) -> tuple[float, float]:
    """Return the weighted mean and its standard error over objects (ratio estimator)."""
    total = weight.sum()
    mean = float((values * weight).sum() / total)
    _, cluster = np.unique(objects, return_inverse=True)
    residual = np.bincount(cluster, weights=weight * (values - mean))
    return mean, float(np.sqrt((residual**2).sum()) / total)


def _penalised(
    design: FloatArray,
    *,
    y_obs: FloatArray,
    weight: FloatArray,
    target: tuple[float, ...],
    spread: tuple[float, ...],
) -> list[float]:
    """Fit a logistic regression whose coefficients are drawn towards ``target``, by Newton's method."""
    precision, aim = np.array(spread) ** -2.0, np.array(target)
    beta = aim.copy()
    for _ in range(50):
        chance = sigmoid(design @ beta)
        gradient = design.T @ (weight * (y_obs - chance)) - precision * (beta - aim)
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    return [float(value) for value in beta]


def _split(
    *, y_obs: FloatArray, objects: NDArray[np.int64], as_of: NDArray[np.int64], ripe_at: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Cut where both sides hold as many positive objects as possible; None where one of them would hold none."""
    best, most = None, 0
    for cut in np.unique(np.quantile(as_of, np.linspace(0.0, 1.0, _CUTS + 2)[1:-1]).astype(np.int64)):
        early, later = ripe_at <= cut, as_of >= cut
        fewest = min(len(np.unique(objects[side & (y_obs > 0)])) for side in (early, later))
        if fewest > most:
            best, most = (early, later), fewest
    return best
