"""What points meant in the past: a probability for each number of points."""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.boosting import FloatArray
from models.calibration import logit, sigmoid

_PSEUDO_ROWS: Final = 20.0
"""How many rows at the base rate the rate of those without points is shrunk by."""


class PointsMap(BaseModel):
    """Points -> probability: sigmoid(intercept + slope * points / 10), with a slope that is never negative.

    ``unknown`` are the log-odds of those whose points cannot be known; without any in the past, the intercept's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: float
    slope: float = Field(ge=0)
    unknown: float | None = None

    def predict(self, points: FloatArray) -> FloatArray:
        """Return the probability that the past gives these points; NaN points are unknown."""
        return sigmoid(self.log_odds(points))

    def log_odds(self, points: FloatArray) -> FloatArray:
        """Return the log-odds of these points."""
        unknown = self.intercept if self.unknown is None else self.unknown
        return np.where(np.isnan(points), unknown, self.intercept + self.slope * points / 10.0)


def fit_points_map(*, points: FloatArray, y_obs: FloatArray, weight: FloatArray) -> PointsMap:
    """Fit the logistic map; points that point the wrong way get slope 0 and with it the base rate."""
    base = float(np.clip(np.average(y_obs, weights=weight), 1e-6, 1 - 1e-6))
    known = ~np.isnan(points)
    unknown = None
    if not known.all():
        without = weight * ~known
        rate = (float(without @ y_obs) + base * _PSEUDO_ROWS) / (float(without.sum()) + _PSEUDO_ROWS)
        unknown = float(logit(np.array([rate]))[0])
        if weight[known].sum() == 0:
            return PointsMap(intercept=float(np.log(base / (1 - base))), slope=0.0, unknown=unknown)
        points, y_obs, weight = points[known], y_obs[known], weight[known]
        base = float(np.clip(np.average(y_obs, weights=weight), 1e-6, 1 - 1e-6))
    flat = PointsMap(intercept=float(np.log(base / (1 - base))), slope=0.0, unknown=unknown)
    if np.ptp(points) == 0:
        return flat
    design = np.column_stack([np.ones_like(points), points / 10.0])
    beta = np.array([flat.intercept, 0.0])
    for _ in range(100):
        fitted = sigmoid(design @ beta)
        gradient = design.T @ (weight * (y_obs - fitted)) - np.array([0.0, 1e-3 * beta[1]])
        curvature = (design * (weight * fitted * (1 - fitted))[:, None]).T @ design + np.diag([1e-9, 1e-3])
        step = np.clip(np.linalg.solve(curvature, gradient), -1.0, 1.0)
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    if beta[1] <= 0:
        return flat
    return PointsMap(intercept=float(beta[0]), slope=float(beta[1]), unknown=unknown)
