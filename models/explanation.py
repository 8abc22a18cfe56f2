"""Reasons: why a probability lies where it lies, in business families that add up to it.

Additive models (log-odds that are a sum) are explained by TreeSHAP in calibrated log-odds, brought to probability by
the secant. The deal model is a sum over future buckets, so it is explained by exact Shapley values over families on
the published probability itself. Both are then centred: effects are told against the average of a named population,
so that the base is that population's mean probability and not an artefact of the method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.catalogue import FAMILY_WORDS, Feature
from models.boosting import FloatArray
from models.calibration import Calibrator, sigmoid
from models.landmark import LandmarkModel, with_bucket
from models.reasons import Compared, write_reasons
from models.tree_parts import booster_contributions, contributor
from models.trees import coalition_wins, shapley_from_values, tree_table

WON_LESS_LOST: Final = (0.0, 1.0, -1.0)


class Reference(BaseModel):
    """The population that effects are told against: its mean probability and each feature's mean raw effect."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_rate: float
    mean_effects: tuple[float, ...]


@dataclass(frozen=True)
class Effects:
    """Effects (n, features) in probability: base_rate + each row's sum = its published probability."""

    base_rate: float
    by_feature: FloatArray


def additive_effects(*, parts: FloatArray, start: float) -> tuple[float, FloatArray]:
    """Bring additive parts of calibrated log-odds to probability by the secant slope (p - p0) / (z - z0).

    ``parts`` (n, features) plus ``start`` are the log-odds. Returns (p0, effects); they add up exactly.
    """
    total = parts.sum(axis=1)
    p0 = float(sigmoid(np.array([start]))[0])
    moved = np.abs(total) > 1e-12
    slope = np.full(len(parts), p0 * (1 - p0))
    slope[moved] = (sigmoid(start + total[moved]) - p0) / total[moved]
    return p0, parts * slope[:, None]


def booster_parts(*, booster: Any, features: pd.DataFrame, calibrator: Calibrator) -> tuple[FloatArray, float]:
    """Return TreeSHAP contributions in calibrated log-odds (n, features) and their starting point.

    A calibrator that is no line in the log-odds is followed by its secant from the starting point to the row.
    """
    parts, base = booster_contributions(booster, features.to_numpy(dtype=np.float64))
    start, moved = np.array([base]), parts.sum(axis=1)
    begin, end = calibrator.apply_logit(start), calibrator.apply_logit(start + moved)
    far = np.abs(moved) > 1e-12
    secant = np.full(len(parts), calibrator.slopes[0])
    secant[far] = (end[far] - begin) / moved[far]
    return parts * secant[:, None], float(begin[0])


def family_codes(features: Sequence[Feature]) -> tuple[list[str], np.ndarray]:
    """Return the families present, in the order of their words, and each feature's place among them."""
    families = [name for name in FAMILY_WORDS if any(feature.family == name for feature in features)]
    return families, np.array([families.index(feature.family) for feature in features], dtype=np.int64)


def landmark_effects(
    *,
    model: LandmarkModel,
    calibrator: Calibrator,
    features: pd.DataFrame,
    background: FloatArray,
    contract: Sequence[Feature],
) -> tuple[float, FloatArray]:
    """Return (mean probability of the background, effects (n, features)) on the calibrated win probability.

    Family totals are exact interventional Shapley values over all coalitions; inside a family they are shared out
    in proportion to each feature's TreeSHAP contribution to winning rather than losing.
    """
    families, family = family_codes(contract)
    trees = tree_table(model.booster)
    rows = features.to_numpy(dtype=np.float64)
    values = coalition_wins(
        trees=trees,
        rows=np.column_stack([rows, np.zeros(len(rows))]),
        background=np.column_stack([background, np.zeros(len(background))]),
        buckets=len(model.buckets.shared),
        family=np.append(family, -1),
        families=len(families),
        slope=calibrator.slopes[0],
        slope_no=calibrator.slopes[1],
        intercept=calibrator.intercept,
    )
    totals = shapley_from_values(values)
    base = float(values[0, 0]) if len(values) else np.nan
    return base, share_out(totals, shares=win_contributions(model, rows), family=family)


def reference_of(*, probability: FloatArray, effects: FloatArray, weight: FloatArray) -> Reference:
    """Describe the population whose rows these are."""
    return Reference(
        base_rate=float(np.average(probability, weights=weight)),
        mean_effects=tuple(np.average(effects, axis=0, weights=weight).tolist()),
    )


def centred(*, effects: FloatArray, reference: Reference) -> Effects:
    """Tell effects against the average of the reference population instead of the method's own base."""
    return Effects(base_rate=reference.base_rate, by_feature=effects - np.array(reference.mean_effects))


def reasons_json(
    *,
    effects: Effects,
    features: pd.DataFrame,
    contract: Sequence[Feature],
    probability: FloatArray,
    compared: Compared | None = None,
) -> list[str]:
    """Write each row's reasons: families by size, in each its three largest features and ``other`` for the rest."""
    families, family = family_codes(contract)
    return write_reasons(
        effects=effects.by_feature,
        base_rate=effects.base_rate,
        probability=probability,
        values=features.to_numpy(dtype=np.float64),
        contract=contract,
        families=families,
        family=family,
        compared=compared,
    )


def win_contributions(model: LandmarkModel, rows: FloatArray) -> FloatArray:
    """Return, per feature, TreeSHAP for winning less TreeSHAP for losing, averaged over the buckets."""
    count = len(model.buckets.shared)
    contributions = contributor(model.booster)
    summed = np.zeros(rows.shape)
    for bucket in range(count):
        parts, _ = contributions(with_bucket(rows, np.array([bucket])), weight=WON_LESS_LOST)
        summed += parts[:, :-1]
    return summed / count


def share_out(
    totals: FloatArray, *, shares: FloatArray, family: np.ndarray, otherwise: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Split each family's effect over its features in proportion to ``shares``.

    Where a family's shares largely cancel, proportion would blow them up; there the effect is split by the size of
    the shares instead, and where there are none evenly, over the features marked in ``otherwise`` if any are.
    """
    effects = np.zeros_like(shares)
    for place in range(totals.shape[1]):
        own = family == place
        part = shares[:, own]
        signed, size = part.sum(axis=1, keepdims=True), np.abs(part).sum(axis=1, keepdims=True)
        agree = np.abs(signed) > 0.3 * size
        even = np.full(part.shape, 1.0 / own.sum())
        if otherwise is not None:
            marked = otherwise[:, own]
            count = marked.sum(axis=1, keepdims=True)
            even = np.where(count > 0, marked / np.maximum(count, 1), even)
        with np.errstate(divide="ignore", invalid="ignore"):
            split = np.where(agree, part / signed, np.abs(part) / size)
        split = np.where(size > 0, split, even)
        effects[:, own] = totals[:, [place]] * split
    return effects
