"""Calibration: bring a model's probabilities into line with out-of-time outcomes, or leave them alone.

A small, regularised booster often needs none. A calibrator is chosen only if it wins on outcomes later than those
it was fitted on.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.boosting import FloatArray

Kind = Literal["none", "intercept", "platt"]
_EDGE: Final = 1e-9


class CalibrationSettings(BaseModel):
    """When and how strongly to recalibrate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_positive_objects: int = Field(
        default=100,
        ge=1,
        description="With fewer positive contacts or deals the model's probabilities stay as they are.",
    )
    slope_spread: float = Field(default=0.25, gt=0, description="How far from 1 the slope may plausibly lie.")
    intercept_spread: float = Field(default=1.0, gt=0, description="How far from 0 the intercept may plausibly lie.")


class Calibrator(BaseModel):
    """p -> sigmoid(intercept + slope * logit(p)); strictly increasing, so it never changes the order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = "none"
    slope: float = Field(default=1.0, gt=0)
    intercept: float = 0.0

    def apply(self, probability: FloatArray) -> FloatArray:
        """Return calibrated probabilities."""
        return probability if self.kind == "none" else sigmoid(self.apply_logit(logit(probability)))

    def apply_logit(self, log_odds: FloatArray) -> FloatArray:
        """Return calibrated log-odds."""
        return self.intercept + self.slope * log_odds


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
    precision = np.array([settings.intercept_spread**-2, settings.slope_spread**-2 if free_slope else 1e12])
    target = np.array([0.0, 1.0])
    design = np.column_stack([np.ones_like(log_odds), log_odds])
    beta = target.copy()
    for _ in range(50):
        fitted = sigmoid(design @ beta)
        gradient = design.T @ (weight * (y_obs - fitted)) - precision * (beta - target)
        curvature = (design * (weight * fitted * (1 - fitted))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    kind: Kind = "platt" if free_slope else "intercept"
    return Calibrator(kind=kind, intercept=float(beta[0]), slope=max(float(beta[1]), 0.05))


def choose_calibrator(
    *,
    probability: FloatArray,
    y_obs: FloatArray,
    weight: FloatArray,
    objects: NDArray[np.int64],
    as_of: NDArray[np.int64],
    settings: CalibrationSettings,
) -> Calibrator:
    """Fit each kind on the earlier half, and keep one only if it beats none on the later half by a standard error.

    The chosen kind is then fitted on both halves.
    """
    if len(np.unique(objects[y_obs > 0])) < settings.min_positive_objects:
        return Calibrator()
    log_odds = logit(probability)
    early = as_of < np.median(as_of)
    if not early.any():
        return Calibrator()
    best, best_gain = None, 0.0
    for free_slope in (False, True):
        candidate = fit_platt(
            log_odds=log_odds[early],
            y_obs=y_obs[early],
            weight=weight[early],
            settings=settings,
            free_slope=free_slope,
        )
        gain = log_loss_rows(y_obs[~early], probability[~early]) - log_loss_rows(
            y_obs[~early], candidate.apply(probability[~early])
        )
        mean, error = _clustered_mean(gain, weight=weight[~early], objects=objects[~early])
        if mean > error and mean > best_gain:
            best, best_gain = free_slope, mean
    if best is None:
        return Calibrator()
    return fit_platt(log_odds=log_odds, y_obs=y_obs, weight=weight, settings=settings, free_slope=best)


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
