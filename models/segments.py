"""Calibration by segment: observed rates with their interval, each scorer's mean, and the gap that chance explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.calibration_error import wilson
from models.metrics import AnyArray, FloatArray, as_float, weighted_mean

_Z_95 = 1.959963984540054


@dataclass(frozen=True)
class SegmentEvaluation:
    """Observed rate and each scorer's mean probability on the rows that have one value of one segment.

    ``low`` and ``high`` are the 95 % interval of the observed rate over objects. ``chance`` is, for each scorer, how
    far the observed rate lies from the mean probability in 95 of 100 cases if every probability is exactly right.
    """

    segment: str
    value: str
    rows: int
    objects: int
    positives: int
    observed: float
    low: float
    high: float
    predicted: Mapping[str, float]
    chance: Mapping[str, float]

    def is_off(self, scorer: str) -> bool:
        """Say whether a scorer's mean lies farther from what was observed than chance explains."""
        return abs(self.predicted[scorer] - self.observed) > self.chance[scorer]


def segment_evaluations(
    segment: str,
    column: AnyArray,
    *,
    y_obs: FloatArray,
    weight: FloatArray,
    objects: AnyArray,
    scores: Mapping[str, AnyArray],
) -> list[SegmentEvaluation]:
    """Measure each value of a segment, the one with most rows first; a missing value is one of them."""
    words = np.array(["missing" if _is_missing(value) else str(value) for value in column], dtype=object)
    parts = []
    for value in sorted(set(words)):
        inside = words == value
        mass, members = weight[inside], np.asarray(objects)[inside]
        observed = weighted_mean(y_obs[inside], mass)
        distinct = len(np.unique(members))
        ends = wilson(rate=observed, trials=distinct) if observed == observed else None
        parts.append(
            SegmentEvaluation(
                segment=segment,
                value=value,
                rows=int(inside.sum()),
                objects=distinct,
                positives=int((y_obs[inside] > 0.0).sum()),
                observed=observed,
                low=float("nan") if ends is None else ends.low,
                high=float("nan") if ends is None else ends.high,
                predicted={name: weighted_mean(as_float(values)[inside], mass) for name, values in scores.items()},
                chance={
                    name: chance_gap(y_pred=as_float(values)[inside], weight=mass, objects=members)
                    for name, values in scores.items()
                },
            )
        )
    return sorted(parts, key=lambda part: -part.rows)


def chance_gap(*, y_pred: FloatArray, weight: FloatArray, objects: AnyArray) -> float:
    """Return how far the observed rate strays from the mean of right probabilities in 95 of 100 cases.

    The rows of an object share their outcome, so the variance is that of one draw for each object (normal
    approximation).

    >>> round(chance_gap(y_pred=np.full(100, 0.5), weight=np.ones(100), objects=np.arange(100)), 3)
    0.098
    """
    total = float(weight.sum())
    if not total > 0.0:
        return float("nan")
    code = np.unique(objects, return_inverse=True)[1]
    mass = np.bincount(code, weights=weight)
    mean = np.bincount(code, weights=weight * y_pred) / np.maximum(mass, 1e-300)
    return float(_Z_95 * np.sqrt(np.sum(mass**2 * mean * (1.0 - mean))) / total)


def _is_missing(value: object) -> bool:
    # NaN and NaT are the values that differ from themselves.
    return value is None or value != value or value == ""
