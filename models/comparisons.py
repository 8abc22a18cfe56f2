"""What to compare a value with: how those stood who won later, and how the others did, in the past learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from features.catalogue import Feature, Question
from models.boosting import FloatArray
from models.rules.replay import Points

WINNERS: Final[dict[Question, str]] = {"contacts": "contacts who bought", "deals": "deals that were won"}
LEAST_ROWS: Final = 10
"""With fewer snapshots on one side nothing is typical of it."""


class Comparison(BaseModel):
    """How a feature stood before a win, and otherwise.

    Of a count, a number or a criterion one value each: the mean, the median (None where most had none), or the share of
    those for whom the criterion held. Of a category the share of each level, and last of those without a value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    won: tuple[float | None, ...]
    others: tuple[float | None, ...]


def compare_features(
    features: Sequence[Feature], *, values: FloatArray, y_obs: FloatArray, weight: FloatArray
) -> tuple[Comparison, ...]:
    """Describe each feature (a column of ``values``) among the rows that won and the others; nothing with too few."""
    won = y_obs == 1.0
    if min(won.sum(), (~won).sum()) < LEAST_ROWS:
        return ()
    return tuple(
        Comparison(
            won=_typical(feature, values[won, place], weight[won]),
            others=_typical(feature, values[~won, place], weight[~won]),
        )
        for place, feature in enumerate(features)
    )


def compare_criteria(points: Points, *, y_obs: FloatArray) -> tuple[Comparison, ...]:
    """Say for how many of those that won, and of the others, each criterion held where it could be judged."""
    won = y_obs == 1.0
    if min(won.sum(), (~won).sum()) < LEAST_ROWS:
        return ()
    held = np.where(points.judged, points.times > 0, np.nan)
    return tuple(
        Comparison(won=(_share(held[won, place]),), others=(_share(held[~won, place]),))
        for place in range(held.shape[1])
    )


def feature_words(feature: Feature, comparison: Comparison, value: float, *, question: Question) -> str:
    """Say what is typical beside a value.

    >>> pages = Feature(name="pages_14d", family="their_activity", unit="count", words="pages in the last 14 days")
    >>> feature_words(pages, Comparison(won=(3.0,), others=(0.0,)), 4.0, question="contacts")
    'on average 3.0 among contacts who bought, 0.0 among others'
    """
    who = WINNERS[question]
    if feature.is_category:
        place = len(feature.levels) if value != value else int(value)
        had, others = comparison.won[place] or 0.0, comparison.others[place] or 0.0
        return f"so it was for {had:.0%} of {who}, {others:.0%} of others"
    had, others = (_missing_as_nan(one[0]) for one in (comparison.won, comparison.others))
    if _is_counted(feature) and None not in (*comparison.won, *comparison.others):
        return f"on average {had:,.1f} among {who}, {others:,.1f} among others"
    return f"typically {feature.format(had)} among {who}, {feature.format(others)} among others"


def criterion_words(comparison: Comparison, *, question: Question) -> str:
    """Say for how many a criterion held; nothing where it could be judged for none.

    >>> criterion_words(Comparison(won=(0.41,), others=(0.06,)), question="contacts")
    'held for 41% of contacts who bought, 6% of others'
    """
    (had,), (others,) = comparison.won, comparison.others
    if had is None or others is None:
        return ""
    return f"held for {had:.0%} of {WINNERS[question]}, {others:.0%} of others"


def _typical(feature: Feature, values: FloatArray, weight: FloatArray) -> tuple[float | None, ...]:
    missing = np.isnan(values)
    if feature.is_category:
        place = np.where(missing, len(feature.levels), values).astype(np.int64)
        counts = np.bincount(place, weights=weight, minlength=len(feature.levels) + 1)
        return tuple((counts / counts.sum()).tolist())
    if _is_counted(feature) and not missing.all():
        return (float(np.average(values[~missing], weights=weight[~missing])),)
    if weight[missing].sum() > weight.sum() / 2:
        return (None,)
    known, share = values[~missing], weight[~missing]
    order = np.argsort(known, kind="stable")
    reached = np.cumsum(share[order])
    return (float(known[order][np.searchsorted(reached, reached[-1] / 2)]),)


def _is_counted(feature: Feature) -> bool:
    """Most counts are 0 for nearly everybody, whose median would say nothing."""
    return feature.unit == "count"


def _share(held: FloatArray) -> float | None:
    known = held[~np.isnan(held)]
    return float(known.mean()) if len(known) else None


def _missing_as_nan(value: float | None) -> float:
    return float("nan") if value is None else value
