"""The deal model: landmark discrete-time competing risks.

A row is a deal's snapshot and one future bucket of time; its label is none, won or lost in that bucket. Features are
frozen at the snapshot. Summing survival times hazard over the buckets gives P(won by each date), and with it the
probability of winning and the close-date curve from one model (landmarking in competing risks: Nicolaie et al.,
Statistics in Medicine 2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.episodes import LOST, OPEN, WON
from models.boosting import BoosterSettings, FloatArray, fit_booster

BUCKET: Final = "bucket"
CLASSES: Final = 3
_BASELINE: Final = BoosterSettings(trees=10, learning_rate=0.5, min_leaf_rows=1, l2=0.0, feature_share=1.0)
_BASELINE_ROWS: Final = 5_000
_SHRINKAGE: Final = 10.0


class LandmarkSettings(BaseModel):
    """How the future is cut into buckets, and the booster on top, with the smaller one for little data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantiles: tuple[float, ...] = Field(
        default=(0.15, 0.3, 0.45, 0.6, 0.75, 0.88, 0.96),
        description="Where the buckets end: quantiles of the remaining time of closed deals.",
    )
    max_share_of_history: float = Field(
        default=0.25, gt=0, le=0.5, description="No bucket reaches farther than this share of the history."
    )
    min_pipeline_closings: int = Field(
        default=60, ge=1, description="A pipeline with fewer closed deals shares the buckets of all pipelines."
    )
    stale_factor: float = Field(
        default=1.5, gt=1, description="A deal open this many times longer than the slowest win is stale: not scored."
    )
    booster: BoosterSettings = BoosterSettings(trees=140, learning_rate=0.06)
    small_booster: BoosterSettings = BoosterSettings(trees=70, leaves=4, learning_rate=0.06)


@dataclass(frozen=True)
class Buckets:
    """Where the future buckets of each pipeline end, in days after the snapshot; all pipelines have as many."""

    edges: dict[str, tuple[float, ...]]
    shared: tuple[float, ...]

    def of(self, pipelines: NDArray[np.object_]) -> FloatArray:
        """Return the edges (n, buckets) of each snapshot's pipeline."""
        known = {name: np.array(edges) for name, edges in self.edges.items()}
        return np.array([known.get(name, np.array(self.shared)) for name in pipelines]).reshape(
            len(pipelines), len(self.shared)
        )

    @property
    def longest_days(self) -> float:
        """Return the farthest horizon of any pipeline."""
        return max([*(edges[-1] for edges in self.edges.values()), self.shared[-1]])

    def support_days(self, pipelines: NDArray[np.object_]) -> FloatArray:
        """Return how far ahead the history supports a statement for each snapshot's pipeline."""
        return self.of(pipelines)[:, -1]


@dataclass(frozen=True)
class WinCurve:
    """P(won by) and P(lost by) at each bucket's end, shape (n, buckets), and those ends in days."""

    won: FloatArray
    lost: FloatArray
    edges: FloatArray

    def won_within(self, days: FloatArray | float) -> FloatArray:
        """Return P(won within ``days``), linear inside a bucket, and never beyond the last one."""
        ends = np.hstack([np.zeros((len(self.edges), 1)), self.edges])
        values = np.hstack([np.zeros((len(self.won), 1)), self.won])
        wanted = np.broadcast_to(np.asarray(days, dtype=np.float64), len(ends))
        return np.array([np.interp(w, end, value) for w, end, value in zip(wanted, ends, values, strict=True)])

    def win_quantile_days(self, share: float) -> FloatArray:
        """Return the day by which this share of the probability of winning has come in."""
        ends = np.hstack([np.zeros((len(self.edges), 1)), self.edges])
        values = np.hstack([np.zeros((len(self.won), 1)), self.won])
        wanted = share * self.won[:, -1]
        return np.array([np.interp(w, v, e) for w, v, e in zip(wanted, values, ends, strict=True)])


def learn_buckets(
    *,
    pipeline: NDArray[np.object_],
    remaining_days: FloatArray,
    weight: FloatArray,
    deal: NDArray[np.int64],
    history_days: float,
    settings: LandmarkSettings,
) -> Buckets:
    """Set the buckets from the remaining time of snapshots whose deals have closed, pipeline by pipeline."""
    longest = history_days * settings.max_share_of_history
    shared = _edges(remaining_days, weight, longest=longest, quantiles=settings.quantiles)
    edges = {}
    for name in sorted(set(pipeline)):
        own = pipeline == name
        if len(np.unique(deal[own])) >= settings.min_pipeline_closings:
            edges[str(name)] = _edges(remaining_days[own], weight[own], longest=longest, quantiles=settings.quantiles)
    return Buckets(edges=edges, shared=shared)


@dataclass(frozen=True)
class LandmarkModel:
    """A fitted model: a booster over the features plus the bucket's number."""

    booster: Any
    buckets: Buckets

    def hazards(self, features: pd.DataFrame) -> FloatArray:
        """Return P(none, won, lost in the bucket | open at its start), shape (n, buckets, 3)."""
        count = len(self.buckets.shared)
        rows = with_bucket(features.to_numpy(dtype=np.float64), np.arange(count))
        return np.asarray(self.booster.predict(rows)).reshape(len(features), count, CLASSES)

    def curve(self, *, features: pd.DataFrame, pipelines: NDArray[np.object_]) -> WinCurve:
        """Return the win curve of each snapshot."""
        won, lost = accumulate(self.hazards(features))
        return WinCurve(won=won, lost=lost, edges=self.buckets.of(pipelines))


def accumulate(hazards: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sum survival x hazard over the buckets: cumulative P(won) and P(lost), each (n, buckets).

    >>> won, lost = accumulate(np.array([[[0.5, 0.3, 0.2], [0.6, 0.4, 0.0]]]))
    >>> won.round(6).tolist(), lost.round(6).tolist()
    ([[0.3, 0.5]], [[0.2, 0.2]])
    """
    survival = np.cumprod(hazards[:, :, 0], axis=1)
    still_open = np.hstack([np.ones((len(hazards), 1)), survival[:, :-1]])
    return np.cumsum(still_open * hazards[:, :, 1], axis=1), np.cumsum(still_open * hazards[:, :, 2], axis=1)


def with_bucket(features: FloatArray, buckets: NDArray[np.int64]) -> FloatArray:
    """Repeat each row once per bucket and add the bucket's number as the last column."""
    return np.column_stack([np.repeat(features, len(buckets), axis=0), np.tile(buckets, len(features))])


def fit_landmark(
    *,
    features: pd.DataFrame,
    categories: list[str],
    pipelines: NDArray[np.object_],
    outcome: NDArray[np.int8],
    days_to_outcome: FloatArray,
    days_known: FloatArray,
    weight: FloatArray,
    buckets: Buckets,
    settings: LandmarkSettings,
) -> LandmarkModel:
    """Fit on every (snapshot, bucket) that lies wholly before the cut-off.

    ``outcome`` and ``days_to_outcome`` tell each snapshot's first standing closing (``OPEN`` and NaN if none);
    ``days_known`` is the time from the snapshot to the cut-off. A bucket that the cut-off cuts through is left out
    whether or not something happened in its visible part: keeping only the eventful ones would bias the hazard.
    """
    edges = buckets.of(pipelines)
    row, bucket, label = landmark_rows(
        edges=edges, outcome=outcome, days_to_outcome=days_to_outcome, days_known=days_known
    )
    stacked = features.iloc[row].assign(**{BUCKET: bucket.astype(np.float64)})
    booster = fit_booster(
        features=stacked,
        label=label,
        weight=weight[row],
        categories=categories,
        settings=settings.booster,
        classes=CLASSES,
        start=_baseline(
            list(stacked.columns), bucket=bucket, label=label, weight=weight[row], threads=settings.booster.threads
        ),
    )
    return LandmarkModel(booster=booster, buckets=buckets)


def _baseline(
    columns: list[str], *, bucket: NDArray[np.int64], label: FloatArray, weight: FloatArray, threads: int
) -> Any:
    """Fit the trees that come first: what happens in each bucket, whoever it happens to.

    Later trees look at few features each, and most not at the bucket: alone, they would draw the buckets together. The
    shares of a bucket are drawn towards those of all buckets by ten rows.
    """
    happened = np.zeros((int(bucket.max(initial=0)) + 1, CLASSES))
    np.add.at(happened, (bucket, label.astype(np.int64)), weight)
    if len(happened) < 2 or not happened.sum() > 0:
        return None
    happened += _SHRINKAGE * happened.sum(axis=0) / happened.sum()
    place, kind = np.nonzero(happened)
    # LightGBM counts rows, not weights, before it makes a leaf.
    times = np.ceil(_BASELINE_ROWS * happened[place, kind] / happened.sum()).astype(np.int64)
    features = np.full((int(times.sum()), len(columns)), np.nan)
    features[:, -1] = np.repeat(place, times)
    return fit_booster(
        features=pd.DataFrame(features, columns=columns),
        label=np.repeat(kind, times).astype(np.float64),
        weight=np.repeat(happened[place, kind] / times, times),
        categories=[],
        settings=_BASELINE.model_copy(update={"leaves": len(happened), "threads": threads}),
        classes=CLASSES,
    )


def landmark_rows(
    *, edges: FloatArray, outcome: NDArray[np.int8], days_to_outcome: FloatArray, days_known: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return (snapshot row, bucket, label 0 none / 1 won / 2 lost) of every fully observed bucket at risk."""
    starts = np.hstack([np.zeros((len(edges), 1)), edges[:, :-1]])
    waited = np.where(outcome == OPEN, np.inf, days_to_outcome)[:, None]
    at_risk = (waited >= starts) & (edges <= days_known[:, None])
    row, bucket = np.nonzero(at_risk)
    ends_here = (waited[row, 0] < edges[row, bucket]) & (outcome[row] != OPEN)
    label = np.where(ends_here, np.select([outcome[row] == WON, outcome[row] == LOST], [1.0, 2.0], 0.0), 0.0)
    return row, bucket, label


def _edges(
    remaining: FloatArray, weight: FloatArray, *, longest: float, quantiles: tuple[float, ...]
) -> tuple[float, ...]:
    order = np.argsort(remaining, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    raw = remaining[order][np.minimum(np.searchsorted(share, quantiles), len(order) - 1)]
    scale = min(1.0, longest / raw[-1])
    spread = np.maximum.accumulate(np.maximum(raw * scale, 1e-3))
    return tuple(float(edge) for edge in spread * (1 + 1e-9 * np.arange(len(spread))))
