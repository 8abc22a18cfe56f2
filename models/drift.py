"""Drift: how far each feature's distribution lies from the training past, and how much of it is missing.

The population stability index over bins is ``sum((q - p) * ln(q / p))``, with p the bin's share in the past and q its
share now: the symmetric divergence of Kullback and Leibler (1951), known under this name from credit scoring (Siddiqi,
Credit Risk Scorecards, 2006). The usual reading, also from there: below 0.1 none, below 0.25 some, from 0.25 on large.
Without any drift the index of B bins is about (1/n + 1/m) times chi-squared with B - 1 degrees of freedom (Yurdakul,
2018), n and m the independent objects behind the shares; what chance alone reaches in 5 % of cases is stated beside it,
and an index within it is read as none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from scipy.stats import chi2

from features.catalogue import Feature
from models.metrics import AnyArray, FloatArray, as_float

Level = Literal["none", "some", "large"]

BINS: Final = 10
SOME_FROM: Final = 0.1
LARGE_FROM: Final = 0.25
LEAST_SHARE: Final = 1e-4
"""An empty bin counts as this share, so that one new value does not make the index infinite."""
_CHANCE: Final = 0.95


class FeatureShares(BaseModel):
    """A feature's distribution in the training past: what a later one is compared with.

    ``edges`` are the upper ends of all bins but the last (numbers); a category has a bin for each level. The last
    share is that of missing values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    words: str = ""
    edges: tuple[float, ...] = ()
    levels: int = 0
    shares: tuple[float, ...]


class DriftReference(BaseModel):
    """The distributions of all features in the training past, and on how many objects they rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: int
    features: tuple[FeatureShares, ...]


@dataclass(frozen=True)
class FeatureDrift:
    """One feature now against the past. ``chance`` is what the index may reach without any drift."""

    name: str
    words: str
    psi: float
    chance: float
    missing_then: float
    missing_now: float

    @property
    def level(self) -> Level:
        """Read the index: none, some or large."""
        if self.psi < SOME_FROM or self.psi <= self.chance:
            return "none"
        return "some" if self.psi < LARGE_FROM else "large"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        numbers = {name: round(value, 6) if isinstance(value, float) else value for name, value in vars(self).items()}
        return {**numbers, "level": self.level}


def drift_reference(
    *, features: Sequence[Feature], matrix: pd.DataFrame, objects: AnyArray, weight: AnyArray | None = None
) -> DriftReference:
    """Learn the bins (ten of equal mass; fewer where values are tied) and their shares from the training past."""
    weights = np.ones(len(matrix)) if weight is None else as_float(weight)
    learnt = []
    for feature in features:
        values = matrix[feature.name].to_numpy(dtype=np.float64)
        known = ~np.isnan(values)
        edges: tuple[float, ...] = ()
        if not feature.is_category and known.any():
            inner = np.quantile(values[known], np.arange(1, BINS) / BINS, method="inverted_cdf")
            # An edge at the greatest value would leave nothing above it.
            edges = tuple(float(edge) for edge in np.unique(inner) if edge < values[known].max())
        shares = _shares(values, weights, edges=edges, levels=len(feature.levels))
        learnt.append(
            FeatureShares(
                name=feature.name,
                words=feature.words,
                edges=edges,
                levels=len(feature.levels),
                shares=tuple(shares.tolist()),
            )
        )
    return DriftReference(objects=_count(objects), features=tuple(learnt))


def drift(
    *, reference: DriftReference, matrix: pd.DataFrame, objects: AnyArray, weight: AnyArray | None = None
) -> list[FeatureDrift]:
    """Compare each feature with the training past, the most drifted first; nothing where either side has no rows."""
    weights = np.ones(len(matrix)) if weight is None else as_float(weight)
    now_objects = _count(objects)
    if not now_objects or not reference.objects:
        return []
    found = []
    for then in reference.features:
        values = matrix[then.name].to_numpy(dtype=np.float64)
        now = _shares(values, weights, edges=then.edges, levels=then.levels)
        past = np.array(then.shares)
        bins = int(np.sum((past > 0) | (now > 0)))
        limit = float(chi2.ppf(_CHANCE, bins - 1)) if bins > 1 else 0.0
        found.append(
            FeatureDrift(
                name=then.name,
                words=then.words,
                psi=psi(past=past, now=now),
                chance=limit * (1 / reference.objects + 1 / now_objects),
                missing_then=float(past[-1]),
                missing_now=float(now[-1]),
            )
        )
    return sorted(found, key=lambda one: (-one.psi, one.name))


def psi(*, past: FloatArray, now: FloatArray) -> float:
    """Return the population stability index of two distributions over the same bins.

    >>> round(psi(past=np.array([0.5, 0.5]), now=np.array([0.8, 0.2])), 4)
    0.4159
    """
    before, after = np.maximum(past, LEAST_SHARE), np.maximum(now, LEAST_SHARE)
    return float(np.sum((after - before) * np.log(after / before)))


def drift_summary(found: Sequence[FeatureDrift], *, most: int | None = None) -> dict[str, Any]:
    """Return a comparison as plain data: how many features drifted, and the ``most`` drifted of them, or all."""
    return {
        "some": sum(one.level == "some" for one in found),
        "large": sum(one.level == "large" for one in found),
        "features": [one.to_dict() for one in found[:most]],
    }


def _shares(values: FloatArray, weight: FloatArray, *, edges: Sequence[float], levels: int) -> FloatArray:
    bins = levels or len(edges) + 1
    missing = np.isnan(values)
    place = np.searchsorted(np.array(edges), values, side="left") if not levels else np.nan_to_num(values)
    place = np.where(missing, bins, place).astype(np.int64)
    mass = as_float(np.bincount(place, weights=weight, minlength=bins + 1))
    return mass / mass.sum() if mass.sum() > 0 else mass


def _count(objects: AnyArray) -> int:
    return int(pd.Series(np.asarray(objects)).nunique())
