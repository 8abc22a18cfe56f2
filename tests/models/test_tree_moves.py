"""What each feature contributed to the move of a raw score, against the definition of a Shapley value."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from models.boosting import FloatArray
from models.tree_moves import tree_moves
from models.trees import tree_table
from tests.models.boosters import make_booster, make_features
from tests.models.test_trees import awkward_rows


def raw(booster: Any, rows: FloatArray, weight: tuple[float, ...]) -> FloatArray:
    scores: FloatArray = np.asarray(booster.predict(rows, raw_score=True)).reshape(len(rows), -1) @ np.array(weight)
    return scores


@pytest.mark.parametrize(("classes", "weight"), [(2, (1.0,)), (3, (0.5, 0.0, -2.0))])
def test_contributions_are_mean_gains_over_all_orders_in_which_features_change(
    classes: int, weight: tuple[float, ...]
) -> None:
    booster = make_booster(classes=classes)
    before = np.vstack([awkward_rows(), make_features(40, seed=3).to_numpy()])
    after = np.roll(before, 7, axis=0)

    moves = tree_moves(tree_table(booster), before=before, after=after, weight=weight)

    expected = np.zeros_like(moves)
    for order in permutations(range(4)):
        now = before.copy()
        for column in order:
            was = raw(booster, now, weight)
            now[:, column] = after[:, column]
            expected[:, column] += (raw(booster, now, weight) - was) / 24
    assert moves == pytest.approx(expected, abs=1e-12)
    assert moves.sum(axis=1) == pytest.approx(raw(booster, after, weight) - raw(booster, before, weight), abs=1e-12)


def test_what_stayed_has_contributed_exactly_nothing() -> None:
    before = make_features(60, seed=3).to_numpy()
    after = before.copy()
    after[:30, 1] = 5.0
    after[:10, 3] = np.nan

    moves = tree_moves(tree_table(make_booster(classes=2)), before=before, after=after)

    same = (before == after) | (np.isnan(before) & np.isnan(after))
    assert (moves[same] == 0.0).all()
    assert (moves[:30, 1] != 0.0).any()


def test_a_booster_that_knows_one_leaf_only_moves_nothing() -> None:
    rows = make_features(5).to_numpy()

    moves = tree_moves(tree_table(make_booster(classes=2, rows=9, trees=2)), before=rows, after=rows[::-1])

    assert (moves == 0.0).all()
