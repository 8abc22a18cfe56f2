"""Coalition scores against the booster itself, and Shapley values against their definition."""

from __future__ import annotations

from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.boosting import BoosterSettings, FloatArray, fit_booster
from models.landmark import accumulate, with_bucket
from models.trees import TreeTable, _coalition_scores, coalition_wins, shapley_from_values, shapley_weights, tree_table
from tests.models.boosters import make_booster, make_features

FAMILY = np.array([0, 1, 2, 0])

booster_of = cache(make_booster)


def hybrids(rows: FloatArray, background: FloatArray, *, coalition: int) -> FloatArray:
    """Return, for each (row, background row), the row with the features outside the coalition from the background."""
    mine = np.array([family < 0 or bool(coalition >> family & 1) for family in FAMILY])
    return np.array([np.where(mine, row, other) for row, other in product(rows, background)])


def coalition_scores(
    *, trees: TreeTable, rows: FloatArray, background: FloatArray, family: np.ndarray, families: int
) -> FloatArray:
    """Return the raw scores of every coalition, shape (rows, background, outputs, 2 ** families)."""
    scores = np.zeros((len(rows), len(background), trees.outputs, 2**families))
    stack = np.empty((len(trees.left) + 1, 3), dtype=np.int64)
    nodes = (trees.roots, trees.feature, trees.threshold, trees.categories, trees.is_category, trees.missing_left)
    for row, other in product(range(len(rows)), range(len(background))):
        _coalition_scores(
            *nodes,
            trees.left,
            trees.right,
            trees.leaf,
            rows[row],
            background[other],
            family,
            scores[row, other],
            stack,
        )
    return scores


def raw_scores(booster: Any, rows: FloatArray) -> FloatArray:
    scores = np.asarray(booster.predict(rows, raw_score=True))
    return scores.reshape(len(rows), -1)


def awkward_rows() -> FloatArray:
    """Return rows with missing values, unseen and impossible categories, zeros and huge numbers."""
    rows = make_features(12, seed=9).to_numpy().copy()
    rows[0] = np.nan
    rows[1] = [0.0, 0.0, 0.0, 0.0]
    rows[2] = [1e300, -1e300, 79.0, 1e9]
    rows[3, 2] = 500.0
    rows[4, 2] = -1.0
    rows[5, 2] = 64.0
    rows[6, 2] = 80.0
    return rows


@pytest.mark.parametrize("classes", [2, 3])
def test_every_coalition_scores_as_the_booster_scores_its_hybrid_rows(classes: int) -> None:
    booster = booster_of(classes=classes)
    rows, background = awkward_rows(), make_features(5, seed=11).to_numpy()

    found = coalition_scores(trees=tree_table(booster), rows=rows, background=background, family=FAMILY, families=3)

    for coalition in range(8):
        expected = raw_scores(booster, hybrids(rows, background, coalition=coalition))
        assert found[:, :, :, coalition].reshape(expected.shape) == pytest.approx(expected, abs=1e-12)


def test_a_feature_of_no_family_always_comes_from_the_row() -> None:
    booster = booster_of(classes=2)
    rows, background = awkward_rows(), make_features(3, seed=11).to_numpy()

    found = coalition_scores(
        trees=tree_table(booster), rows=rows, background=background, family=np.array([-1, -1, -1, -1]), families=1
    )

    expected = np.repeat(raw_scores(booster, rows), 3, axis=0).reshape(12, 3, 1, 1)
    assert found == pytest.approx(np.repeat(expected, 2, axis=3), abs=1e-12)


def test_missing_values_count_as_zero_where_the_booster_never_saw_any() -> None:
    features = make_features(800).fillna(0.0)
    label = (features["number"].to_numpy() > -0.3).astype(float)
    booster = fit_booster(
        features=features,
        label=label,
        weight=None,
        categories=["category"],
        settings=BoosterSettings(trees=10, min_leaf_rows=5, threads=1),
    )
    rows = awkward_rows()

    found = coalition_scores(
        trees=tree_table(booster), rows=rows, background=rows[:1], family=np.zeros(4, dtype=np.int64), families=1
    )

    assert found[:, 0, 0, 1] == pytest.approx(raw_scores(booster, rows)[:, 0], abs=1e-12)


def test_a_booster_that_found_nothing_is_one_leaf() -> None:
    features = make_features(50)
    booster = fit_booster(
        features=features,
        label=np.tile([0.0, 1.0], 25),
        weight=None,
        categories=[],
        settings=BoosterSettings(trees=3, min_leaf_rows=100, threads=1),
    )
    rows = awkward_rows()

    found = coalition_scores(trees=tree_table(booster), rows=rows, background=rows, family=FAMILY, families=3)

    assert found == pytest.approx(np.full((12, 12, 1, 8), raw_scores(booster, rows)[0, 0]), abs=1e-12)


def test_a_tree_deeper_than_any_fixed_stack_is_walked_whole() -> None:
    rows = np.arange(1000, dtype=float)[:, None]
    booster = fit_booster(
        features=pd.DataFrame(rows, columns=["number"]),
        label=np.arange(1000) % 2.0,
        weight=None,
        categories=[],
        settings=BoosterSettings(trees=2, leaves=900, min_leaf_rows=1, l2=0.0, threads=1),
    )

    found = coalition_scores(
        trees=tree_table(booster), rows=rows, background=rows[:2], family=np.array([0]), families=1
    )

    assert found[:, 0, 0, 1] == pytest.approx(raw_scores(booster, rows)[:, 0], abs=1e-12)


@pytest.mark.parametrize(("slope", "slope_no", "intercept"), [(1.0, 1.0, 0.0), (0.8, 0.8, -0.4), (0.7, 1.3, 0.2)])
def test_coalition_wins_are_the_mean_win_probability_of_the_hybrid_rows(
    slope: float, slope_no: float, intercept: float
) -> None:
    booster = bucket_booster()
    rows, background = awkward_rows()[:6], make_features(4, seed=11).to_numpy()

    found = coalition_wins(
        trees=tree_table(booster),
        rows=np.column_stack([rows, np.zeros(6)]),
        background=np.column_stack([background, np.zeros(4)]),
        buckets=3,
        family=np.append(FAMILY, -1),
        families=3,
        slope=slope,
        slope_no=slope_no,
        intercept=intercept,
    )

    for coalition in range(8):
        mixed = hybrids(rows, background, coalition=coalition)
        hazards = np.asarray(booster.predict(with_bucket(mixed, np.arange(3)))).reshape(len(mixed), 3, 3)
        won = accumulate(hazards)[0][:, -1]
        expected = 1 / (1 + np.exp(-(intercept + slope * np.log(won) - slope_no * np.log(1 - won))))
        assert found[:, coalition] == pytest.approx(expected.reshape(6, 4).mean(axis=1), abs=1e-12)


@cache
def bucket_booster() -> Any:
    features = make_features(1200)
    generator = np.random.default_rng(4)
    bucket = generator.integers(0, 3, 1200).astype(float)
    hot = features["number"].fillna(0.0).to_numpy() + features["count"].fillna(0.0).to_numpy() / 4 + bucket / 2 > 1.5
    label = np.where(generator.random(1200) < 0.4, 0.0, np.where(hot, 1.0, 2.0))
    return fit_booster(
        features=features.assign(bucket=bucket),
        label=label,
        weight=None,
        categories=["category"],
        settings=BoosterSettings(trees=20, min_leaf_rows=10, threads=1),
        classes=3,
    )


def brute_force(values: FloatArray, families: int) -> FloatArray:
    """Average each family's gain over all orders of arrival: the definition."""
    effects = np.zeros((len(values), families))
    orders = list(permutations(range(families)))
    for order in orders:
        present = 0
        for member in order:
            effects[:, member] += values[:, present | 1 << member] - values[:, present]
            present |= 1 << member
    return effects / len(orders)


@pytest.mark.parametrize("families", [1, 2, 3, 5])
def test_shapley_values_are_the_mean_over_all_orders_of_arrival(families: int) -> None:
    values = np.random.default_rng(3).normal(size=(7, 2**families))

    assert shapley_from_values(values) == pytest.approx(brute_force(values, families), abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(-5.0, 5.0), min_size=8, max_size=8))
def test_effects_add_up_to_the_full_coalition_less_the_empty_one(values: list[float]) -> None:
    effects = shapley_from_values(np.array([values]))

    assert effects.sum() == pytest.approx(values[7] - values[0], abs=1e-12)


def test_families_that_bring_the_same_to_every_coalition_have_the_same_effect() -> None:
    # v({a}) = v({b}) = 1, v({a, b}) = 3, and c adds 10 to each of them.
    values = np.array([[0.0, 1.0, 1.0, 3.0, 10.0, 11.0, 11.0, 13.0]])

    assert shapley_from_values(values)[0] == pytest.approx([1.5, 1.5, 10.0])


def test_a_family_that_never_changes_anything_has_no_effect() -> None:
    generator = np.random.default_rng(1)
    without = generator.normal(size=4)

    effects = shapley_from_values(np.concatenate([without, without])[None, :])

    assert effects[0, 2] == 0.0


def test_the_weights_of_all_coalitions_without_a_family_add_up_to_one() -> None:
    # Without one of four families: 1, 3, 3 and 1 coalitions of size 0 to 3.
    assert shapley_weights(4) @ np.array([1, 3, 3, 1]) == pytest.approx(1.0)
