"""Small features and boosters for tests: numbers, a category, missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import Feature
from models.boosting import BoosterSettings, FloatArray, fit_booster

LEVELS = 80
"""More than fit into one word of a bit set."""

CONTRACT = (
    Feature(name="number", family="stage", unit="number", words="the number"),
    Feature(name="count", family="pace", unit="count", words="the count"),
    Feature(name="category", family="stage", unit="category", words="kind", levels=tuple(f"k{i}" for i in range(81))),
    Feature(name="days_since_call", family="people", unit="days", words="days since the last call"),
)


def make_features(rows: int, *, seed: int = 1) -> pd.DataFrame:
    """Return features in which every kind of value occurs, missing ones included."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": generator.normal(size=rows).round(3),
            "count": generator.integers(0, 9, rows).astype(float),
            "category": generator.integers(0, LEVELS, rows).astype(float),
            "days_since_call": generator.exponential(20.0, rows),
        }
    )
    return frame.mask(generator.random(frame.shape) < 0.1)


def make_booster(*, classes: int, rows: int = 1500, trees: int = 25) -> Any:
    """Fit a booster whose trees split on all features of ``make_features``."""
    features = make_features(rows)
    filled = features.fillna(0.0)
    score: FloatArray = (
        filled["number"].to_numpy()
        + 0.3 * filled["count"].to_numpy()
        + (filled["category"].to_numpy() % 3 - 1)
        - 0.05 * filled["days_since_call"].to_numpy()
    )
    noise = np.random.default_rng(2).normal(size=rows)
    label = np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score + noise).astype(float)
    return fit_booster(
        features=features,
        label=label,
        weight=None,
        categories=["category"],
        settings=BoosterSettings(
            trees=trees, leaves=12, min_leaf_rows=5, l2=0.1, feature_share=1.0, learning_rate=0.2, threads=1
        ),
        classes=classes,
    )


def make_landmark_booster(*, rows: int = 1500, trees: int = 5) -> Any:
    """Fit a booster as the deal model has it: none, won and lost in one of two future buckets, the last column."""
    features = make_features(rows)
    generator = np.random.default_rng(4)
    bucket = generator.integers(0, 2, rows).astype(float)
    score: FloatArray = (
        features["number"].fillna(0.0).to_numpy() + features["count"].fillna(0.0).to_numpy() / 4 + bucket / 2
    )
    score = score + (features["category"].fillna(0.0).to_numpy() % 3 - 1)
    return fit_booster(
        features=features.assign(bucket=bucket),
        label=np.where(generator.random(rows) < 0.4, 0.0, np.where(score > 1.0, 1.0, 2.0)),
        weight=None,
        categories=["category"],
        settings=BoosterSettings(trees=trees, leaves=9, min_leaf_rows=10, threads=1),
        classes=3,
    )
