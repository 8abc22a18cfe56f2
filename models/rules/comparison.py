"""How well points put the later buyers first, with intervals over contacts, and one sheet against another, paired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.boosting import FloatArray
from models.bootstrap import cluster_weights, interval
from models.evaluation import Estimate
from models.metrics import AnyArray, ScoreOrder

METRICS: Final = ("auc", "auc_no_open_deal", "lift", "capture", "lift_10", "capture_20")
"""``lift`` and ``capture`` are those at the team's capacity, ``auc_no_open_deal`` is over the rows without one."""


@dataclass(frozen=True)
class OrderComparison:
    """Every scorer's metrics on the same rows, and its lead over the reference (scorer minus reference)."""

    metrics: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, Mapping[str, Estimate]]


def compare_orders(
    *,
    scores: Mapping[str, FloatArray],
    y_obs: FloatArray,
    objects: AnyArray,
    open_deal: AnyArray,
    share: float,
    replicates: int,
    seed: int,
    reference: str | None = None,
) -> OrderComparison:
    """Measure each scorer at the best ``share`` of the rows; NaN scores rank last, together.

    Intervals are 95 % percentiles over contacts drawn with replacement, the same draws for every scorer.
    """
    cold = ~np.asarray(open_deal, dtype=bool)
    orders = {
        name: (
            ScoreOrder.build(y_obs=y_obs, y_pred=known_last(values)),
            ScoreOrder.build(y_obs=y_obs, y_pred=known_last(values), keep=cold),
        )
        for name, values in scores.items()
    }
    exact = {name: _measured(order, np.ones((1, len(y_obs))), share=share) for name, order in orders.items()}
    blocks: dict[str, list[dict[str, FloatArray]]] = {name: [] for name in scores}
    for weights in cluster_weights(cluster=objects, replicates=replicates, seed=seed):
        for name, order in orders.items():
            blocks[name].append(_measured(order, weights, share=share))
    draws = {
        name: {metric: np.concatenate([part[metric] for part in parts]) for metric in METRICS}
        for name, parts in blocks.items()
    }
    return OrderComparison(
        metrics={
            name: {metric: estimate(values[metric], draws[name][metric]) for metric in METRICS}
            for name, values in exact.items()
        },
        differences={
            name: {
                metric: estimate(
                    exact[name][metric] - exact[reference][metric], draws[name][metric] - draws[reference][metric]
                )
                for metric in METRICS
            }
            for name in scores
            if reference is not None and name != reference
        },
    )


def known_last(points: FloatArray) -> FloatArray:
    """Put unknown points (NaN) below all others, so that they can be sorted."""
    lowest = np.nanmin(points) if np.isfinite(points).any() else 0.0
    return np.where(np.isnan(points), lowest - 1.0, points)


def estimate(value: FloatArray, draws: FloatArray) -> Estimate:
    """Return a value with the percentile interval of its replicates."""
    ends = interval(draws)
    return Estimate(value=float(value[0]), low=ends.low, high=ends.high)


def _measured(orders: tuple[ScoreOrder, ScoreOrder], weights: FloatArray, *, share: float) -> dict[str, FloatArray]:
    everyone, cold = orders
    groups = everyone.weigh(weights)
    captured = groups.captured(np.array([share, 0.1, 0.2]))
    return {
        "auc": groups.auc(),
        "auc_no_open_deal": cold.weigh(weights).auc(),
        "lift": captured[:, 0] / share,
        "capture": captured[:, 0],
        "lift_10": captured[:, 1] / 0.1,
        "capture_20": captured[:, 2],
    }
