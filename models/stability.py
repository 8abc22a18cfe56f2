"""Stability: would the same data, drawn again, have led to the same order and the same reasons?

Whole contacts or deals are drawn with replacement and the booster is fitted anew; each refit is compared with the first
fit on the same rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from models.bootstrap import cluster_weights
from models.explanation import family_codes
from models.metrics import AnyArray, FloatArray, IntArray
from models.refit import Refitted, Refitter

TOP_SHARE: Final = 0.2
SAMPLE_ROWS: Final = 1000


@dataclass(frozen=True)
class Stability:
    """Means over the refits, each from 0 to 1.

    Of the best fifth of the list, ``top_family`` is the share whose weightiest family of reasons stays the same,
    ``top_feature`` the same for single features, ``top_list`` the share that stays in the best fifth; ``order`` is the
    rank correlation (Spearman) of all scores. Reasons are asked of the best fifth only: where hardly anything speaks
    for anybody, the first of many small reasons is chance.
    """

    refits: int
    rows: int
    top_family: float
    top_feature: float
    order: float
    top_list: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def stability(
    *, refitter: Refitter, sample: pd.DataFrame, pipelines: AnyArray | None, refits: int, seed: int
) -> Stability:
    """Refit on redrawn objects and compare on the features of ``sample``, at most ``SAMPLE_ROWS`` of them."""
    places = np.unique(np.linspace(0, len(sample) - 1, min(len(sample), SAMPLE_ROWS)).astype(np.int64))
    seen, where = sample.iloc[places], None if pipelines is None else pipelines[places]
    _, family = family_codes(refitter.catalogue)
    before = _View.of(refitter.fitted, seen, where)
    found = []
    for block in cluster_weights(cluster=refitter.objects, replicates=refits, seed=seed):
        for drawn in block:
            rows = np.repeat(np.arange(len(drawn)), drawn.astype(np.int64))
            found.append(_agreement(before, _View.of(refitter.fit(rows), seen, where), family=family))
    means = np.mean(found, axis=0)
    return Stability(
        refits=refits,
        rows=len(seen),
        top_family=float(means[0]),
        top_feature=float(means[1]),
        order=float(means[2]),
        top_list=float(means[3]),
    )


@dataclass(frozen=True)
class _View:
    score: FloatArray
    contributions: FloatArray

    @classmethod
    def of(cls, fitted: Refitted, features: pd.DataFrame, pipelines: AnyArray | None) -> _View:
        contributions = fitted.contributions(features)
        # Told against the average, as published reasons are.
        return cls(fitted.probability(features, pipelines), contributions - contributions.mean(axis=0))

    def by_family(self, family: IntArray) -> FloatArray:
        codes = range(int(family.max()) + 1)
        return np.stack([self.contributions[:, family == code].sum(axis=1) for code in codes], axis=1)


def _agreement(before: _View, after: _View, *, family: IntArray) -> tuple[float, float, float, float]:
    most = max(1, round(TOP_SHARE * len(before.score)))
    best, later = (np.argsort(-view.score, kind="stable")[:most] for view in (before, after))
    same_family = _top(before.by_family(family)) == _top(after.by_family(family))
    same_feature = _top(before.contributions) == _top(after.contributions)
    return (
        float(np.mean(same_family[best])),
        float(np.mean(same_feature[best])),
        _rank_correlation(before.score, after.score),
        len(np.intersect1d(best, later)) / most,
    )


def _top(contributions: FloatArray) -> IntArray:
    return np.asarray(np.abs(contributions).argmax(axis=1), dtype=np.int64)


def _rank_correlation(first: FloatArray, second: FloatArray) -> float:
    ranks = rankdata(first), rankdata(second)
    if np.ptp(ranks[0]) == 0.0 or np.ptp(ranks[1]) == 0.0:
        return float(np.ptp(ranks[0]) == np.ptp(ranks[1]))
    return float(np.corrcoef(*ranks)[0, 1])
