"""Contributions by look-up against LightGBM's own, row by row."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from models.boosting import BoosterSettings, FloatArray, fit_booster
from models.tree_parts import MOST_SPLITS, booster_contributions, parts_table
from models.trees import tree_table
from tests.models.boosters import make_booster, make_features, make_landmark_booster
from tests.models.test_trees import awkward_rows

booster_of = cache(make_booster)


def small_booster(*, leaves: int, trees: int = 20, features: Any = None) -> Any:
    features = make_features(900) if features is None else features
    score = features["number"].fillna(0.0) + 0.3 * features["count"].fillna(0.0) + features["category"].fillna(0.0) % 3
    return fit_booster(
        features=features,
        label=(score > 2).to_numpy().astype(float),
        weight=None,
        categories=["category"],
        settings=BoosterSettings(
            trees=trees, leaves=leaves, min_leaf_rows=5, l2=0.1, feature_share=1.0, learning_rate=0.2, threads=1
        ),
    )


def by_lightgbm(booster: Any, rows: FloatArray) -> FloatArray:
    found: FloatArray = np.asarray(booster.predict(rows, pred_contrib=True))
    return found.reshape(len(rows), booster.num_model_per_iteration(), -1)


@pytest.mark.parametrize("leaves", [2, 3, 7, MOST_SPLITS + 1])
def test_contributions_are_those_of_lightgbm(leaves: int) -> None:
    booster = small_booster(leaves=leaves)
    rows = np.vstack([awkward_rows(), make_features(700, seed=9).to_numpy()])
    assert parts_table(tree_table(booster)) is not None

    parts, start = booster_contributions(booster, rows)

    expected = by_lightgbm(booster, rows)[:, 0]
    assert parts == pytest.approx(expected[:, :-1], abs=1e-12)
    assert start == pytest.approx(expected[0, -1], abs=1e-12)
    assert start + parts.sum(axis=1) == pytest.approx(booster.predict(rows, raw_score=True), abs=1e-12)


def test_missing_values_count_as_zero_where_the_booster_never_saw_any() -> None:
    booster = small_booster(leaves=7, features=make_features(900).fillna(0.0))
    rows = awkward_rows()

    parts, _ = booster_contributions(booster, rows)

    assert parts == pytest.approx(by_lightgbm(booster, rows)[:, 0, :-1], abs=1e-12)


def test_several_outputs_are_weighted() -> None:
    booster = make_landmark_booster()
    rows = make_features(50, seed=3).assign(bucket=np.arange(50) % 2).to_numpy()

    parts, start = booster_contributions(booster, rows, weight=(0.0, 1.0, -1.0))

    expected = by_lightgbm(booster, rows)
    assert parts == pytest.approx(expected[:, 1, :-1] - expected[:, 2, :-1], abs=1e-12)
    assert start == pytest.approx(expected[0, 1, -1] - expected[0, 2, -1], abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_booster_with_too_many_splits_is_left_to_lightgbm(classes: int) -> None:
    booster = booster_of(classes=classes)  # twelve leaves
    rows = make_features(30, seed=3).to_numpy()
    weight = (1.0,) if classes == 2 else (0.5, 0.0, 2.0)
    assert parts_table(tree_table(booster)) is None

    parts, start = booster_contributions(booster, rows, weight=weight)

    expected = np.einsum("rok,o->rk", by_lightgbm(booster, rows), np.array(weight))
    assert parts.tolist() == expected[:, :-1].tolist()
    assert start == expected[0, -1]
    assert booster_contributions(booster, rows[:0], weight=weight)[0].shape == (0, 4)


def test_trees_that_never_split_contribute_only_to_the_start() -> None:
    """Labels that no feature tells apart: LightGBM stops after a tree of one leaf."""
    features = make_features(60)
    booster = fit_booster(
        features=features,
        label=np.arange(60) % 3 / 2 > 0.6,
        weight=None,
        categories=["category"],
        settings=BoosterSettings(trees=3, min_leaf_rows=60, threads=1),
    )
    rows = make_features(5).to_numpy()

    parts, start = booster_contributions(booster, rows)

    assert parts.tolist() == np.zeros((5, 4)).tolist()
    assert start == pytest.approx(booster.predict(rows, raw_score=True)[0])


def test_no_rows_have_no_contributions() -> None:
    booster = small_booster(leaves=7)

    parts, start = booster_contributions(booster, np.zeros((0, 4)))

    assert parts.shape == (0, 4)
    assert start == booster_contributions(booster, np.zeros((1, 4)))[1]
