"""What drives the outcome: mean effects by family and feature, and how the effect runs along a feature's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalogue import FAMILY_WORDS, Feature
from models.boosting import FloatArray
from models.explanation import Effects

FEATURES_PER_FAMILY: Final = 6
BINS: Final = 5


def drivers(
    *,
    effects: Effects,
    features: pd.DataFrame,
    contract: Sequence[Feature],
    y_obs: FloatArray,
    weight: FloatArray,
) -> list[dict[str, Any]]:
    """Describe families and their largest features over a labelled population, largest first.

    ``mean_abs_effect`` is the mean absolute effect on the probability. Each bin of a feature tells its rows, its mean
    effect and the observed share of positives.
    """
    described = []
    for family in FAMILY_WORDS:
        own = [place for place, feature in enumerate(contract) if feature.family == family]
        if not own:
            continue
        size = {place: _mean_abs(effects.by_feature[:, place], weight) for place in own}
        largest = sorted(own, key=lambda place: (-size[place], contract[place].name))[:FEATURES_PER_FAMILY]
        described.append(
            {
                "family": family,
                "words": FAMILY_WORDS[family],
                "mean_abs_effect": _mean_abs(effects.by_feature[:, own].sum(axis=1), weight),
                "features": [
                    {
                        "feature": contract[place].name,
                        "words": contract[place].words,
                        "mean_abs_effect": size[place],
                        "bins": _bins(
                            contract[place],
                            values=features.iloc[:, place].to_numpy(dtype=np.float64),
                            effect=effects.by_feature[:, place],
                            y_obs=y_obs,
                            weight=weight,
                        ),
                    }
                    for place in largest
                    if size[place] > 0
                ],
            }
        )
    return sorted(described, key=lambda entry: (-entry["mean_abs_effect"], entry["family"]))


def _bins(
    feature: Feature, *, values: FloatArray, effect: FloatArray, y_obs: FloatArray, weight: FloatArray
) -> list[dict[str, Any]]:
    place, labels = _categories(feature, values) if feature.is_category else _ranges(feature, values)
    bins = []
    for number, label in enumerate(labels):
        rows = place == number
        if rows.any():
            bins.append(
                {
                    "label": label,
                    "rows": int(rows.sum()),
                    "effect": float(np.average(effect[rows], weights=weight[rows])),
                    "observed": float(np.average(y_obs[rows], weights=weight[rows])),
                }
            )
    return bins


def _categories(feature: Feature, values: FloatArray) -> tuple[NDArray[np.int64], list[str]]:
    missing = len(feature.levels)
    place = np.where(np.isnan(values), missing, values).astype(np.int64)
    return place, [*feature.levels, feature.format(np.nan)]


def _ranges(feature: Feature, values: FloatArray) -> tuple[NDArray[np.int64], list[str]]:
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) <= BINS:
        place = np.where(np.isnan(values), len(distinct), np.searchsorted(distinct, values)).astype(np.int64)
        return place, [*(feature.format(value) for value in distinct), feature.format(np.nan)]
    inner = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="higher"))
    inner = inner[inner > distinct[0]]
    place = np.where(np.isnan(values), len(inner) + 1, np.searchsorted(inner, values, side="right")).astype(np.int64)
    starts = [distinct[0], *inner]
    ends = [*(distinct[np.searchsorted(distinct, inner) - 1]), distinct[-1]]
    labels = [
        feature.format(low) if low == high else f"{feature.format(low)} to {feature.format(high)}"
        for low, high in zip(starts, ends, strict=True)
    ]
    return place, [*labels, feature.format(np.nan)]


def _mean_abs(values: FloatArray, weight: FloatArray) -> float:
    return float(np.average(np.abs(values), weights=weight)) if len(values) else 0.0
