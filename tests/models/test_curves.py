"""Curves along one fact: accumulated local effects, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from features.catalogue import Feature
from models.curves import accumulated_effects, bins_of

VISITS = Feature(name="visits", family="pace", unit="count", words="visits")
SINCE = Feature(name="days_since_call", family="recency", unit="count", words="days since a call")
KIND = Feature(name="kind", family="stage", unit="category", words="kind", levels=("red", "blue", "green"))


def effects(
    feature: Feature,
    rows: Sequence[Sequence[float]],
    probability: Callable[[np.ndarray], np.ndarray],
    *,
    columns: Sequence[int] = (0,),
    weight: Sequence[float] | None = None,
) -> list[float]:
    matrix = np.array(rows, dtype=np.float64)
    told = accumulated_effects(
        predict=lambda changed, _: probability(changed),
        rows=matrix,
        columns=columns,
        feature=feature,
        bins=bins_of(feature, matrix[:, 0]),
        weight=np.ones(len(matrix)) if weight is None else np.array(weight),
        base=probability(matrix),
    )
    return [float(value) for value in told]


def test_a_straight_line_is_told_as_one_around_its_average() -> None:
    found = effects(VISITS, [[0.0], [1.0], [1.0], [2.0]], lambda rows: 0.1 * rows[:, 0])

    # Values 0, 1, 1, 2 average 1: a step of 0.1 each, and nothing is missing.
    assert found[:3] == pytest.approx([-0.1, 0.0, 0.1])
    assert np.isnan(found[3])


def test_steps_are_measured_only_where_the_rows_lie() -> None:
    """The second fact multiplies the first one's effect, and is large only where the first is small."""
    rows = [[0.0, 3.0], [1.0, 3.0], [2.0, 1.0], [3.0, 1.0]]

    found = effects(VISITS, rows, lambda rows: 0.1 * rows[:, 0] * rows[:, 1])

    # Between 0 and 1 both rows have a 3: 0.3. Between 1 and 2 one has 3 and one 1: 0.2. Between 2 and 3 both: 0.1.
    curve = np.cumsum([0.0, 0.3, 0.2, 0.1])
    assert found[:4] == pytest.approx((curve - curve.mean()).tolist())


def test_rows_count_by_their_weight() -> None:
    rows = [[0.0, 1.0], [1.0, 3.0]]

    found = effects(VISITS, rows, lambda rows: 0.1 * rows[:, 0] * rows[:, 1], weight=[3.0, 1.0])

    # The step is (3 x 0.1 + 1 x 0.3) / 4 = 0.15; the average of 0, 0, 0 and 0.15 is 0.0375.
    assert found[:2] == pytest.approx([-0.0375, 0.1125])


def test_levels_of_a_category_are_compared_with_the_most_frequent_one() -> None:
    rows = [[0.0], [0.0], [0.0], [1.0], [np.nan]]

    found = effects(KIND, rows, lambda rows: np.select([rows[:, 0] == 0, rows[:, 0] == 1], [0.2, 0.5], 0.3))

    # 0.2 three times, 0.5 and 0.3 average 0.28; nobody is green.
    assert [found[0], found[1], found[3]] == pytest.approx([-0.08, 0.22, 0.02])
    assert np.isnan(found[2])


def test_what_never_happened_stands_beside_what_happened_longest_ago() -> None:
    """The second fact is 1 in rows of 30 days and never, 9 in those of 2 days, which are not compared with never."""
    rows = [[2.0, 9.0], [2.0, 9.0], [30.0, 1.0], [np.nan, 1.0]]

    found = effects(SINCE, rows, lambda rows: np.where(np.isnan(rows[:, 0]), 0.1, 0.0) * rows[:, 1])

    assert found[2] - found[1] == pytest.approx(0.1)


def test_facts_that_go_together_move_together() -> None:
    """Without an open deal its stage and its age are both missing, and either alone says nothing."""
    rows = [[1.0, 5.0], [1.0, 7.0], [np.nan, np.nan], [np.nan, np.nan]]

    def probability(rows: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(rows).any(axis=1), 0.1, 0.5)

    assert effects(VISITS, rows, probability, columns=[0, 1]) == pytest.approx([0.2, -0.2])


def test_neighbouring_ranges_that_read_the_same_are_one_bin() -> None:
    tiny = Feature(name="warmth_7d", family="recency", unit="number", words="warmth")
    values = np.array([0.001, 0.002, 0.003, 0.004, 0.3, 0.4, 0.5, 0.6, 7.0, 8.0])

    bins = bins_of(tiny, values)

    assert bins.labels == ("0.00", "0.30 to 0.40", "0.50 to 0.60", "7.00 to 8.00", "unknown")
    assert bins.place.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
