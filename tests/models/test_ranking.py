"""Tiers, agreement with the points, and trends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from models.ranking import TIERS, agreement, tiers, trends

IDS = pd.Series(list("abcdefghij"))


def test_each_quarter_of_the_list_is_a_tier() -> None:
    probability = np.array([0.8, 0.1, 0.7, 0.2, 0.6, 0.3, 0.5, 0.4])

    found = tiers(probability, ids=IDS[:8])

    assert found.tolist() == ["very_high", "low", "very_high", "low", "high", "medium", "high", "medium"]


def test_equals_are_ordered_by_id_whatever_the_order_of_the_rows() -> None:
    ids = pd.Series(["d", "b", "c", "a"])

    found = tiers(np.full(4, 0.3), ids=ids)

    assert dict(zip(ids, found, strict=True)) == {"a": "very_high", "b": "high", "c": "medium", "d": "low"}


@given(st.lists(st.floats(0.0, 1.0), max_size=40))
def test_tiers_are_equal_quarters_and_never_contradict_the_probability(values: list[float]) -> None:
    probability = np.array(values)

    place = np.array([TIERS.index(tier) for tier in tiers(probability, ids=pd.Series(range(len(values)), dtype=str))])

    sizes = np.bincount(place.astype(np.int64), minlength=4)
    assert sizes.max() - sizes.min() <= 1
    quarters = [probability[place == quarter] for quarter in range(4) if (place == quarter).any()]
    assert all(better.min() >= worse.max() for better, worse in pairwise(quarters))


def test_agreement_compares_the_top_fifth_with_the_threshold_of_the_rules() -> None:
    probability = np.linspace(0.9, 0.0, 10)
    points = np.array([60.0, 10, 50, 49, 0, 0, 0, 0, 0, 0])

    found = agreement(probability, points=points, high_from=50.0, ids=IDS)

    assert found.tolist() == ["both_high", "model_only", "points_only", *["both_low"] * 7]


def test_without_a_threshold_the_top_fifth_by_points_counts_as_high() -> None:
    probability = np.linspace(0.9, 0.0, 10)
    points = np.array([0.0, 7, 0, 0, 0, 0, 0, 0, 0, 8])

    found = agreement(probability, points=points, high_from=None, ids=IDS)

    assert found.tolist() == ["model_only", "both_high", *["both_low"] * 7, "points_only"]


def test_a_trend_needs_half_a_percentage_point_and_a_previous_batch() -> None:
    now = np.array([0.206, 0.194, 0.2049, 0.2])
    before = np.array([0.2, 0.2, 0.2, np.nan])

    assert trends(now, before).tolist() == ["up", "down", "steady", None]
