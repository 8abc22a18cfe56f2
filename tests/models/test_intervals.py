"""Venn-Abers intervals: how sure a probability is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.boosting import FloatArray
from models.intervals import VennAbers, fit_venn_abers


def fit(rows: int, *, seed: int = 1) -> VennAbers:
    """A calibrated score and its outcomes, one row an object."""
    generator = np.random.default_rng(seed)
    probability = generator.uniform(0.02, 0.6, rows)
    y_obs = (generator.random(rows) < probability).astype(float)
    return fit_venn_abers(probability=probability, y_obs=y_obs, weight=np.ones(rows), objects=np.arange(rows))


def width(venn_abers: VennAbers) -> float:
    low, high = venn_abers.interval(np.linspace(0.05, 0.55, 50))
    return float((high - low).mean())


def test_one_more_object_is_added_lost_and_won() -> None:
    probability = np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.9])
    y_obs = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])

    found = fit_venn_abers(probability=probability, y_obs=y_obs, weight=np.ones(6), objects=np.arange(6))

    # At 0.1 one of four was won: with one more, 1/5 or 2/5. At 0.9 two of two: 2/3 or 3/3.
    assert found.score == (0.1, 0.9)
    assert found.low == pytest.approx((0.2, 2 / 3))
    assert found.high == pytest.approx((0.4, 1.0))


def test_neighbours_out_of_order_are_pooled() -> None:
    probability = np.array([0.1, 0.2])
    y_obs = np.array([1.0, 0.0])

    found = fit_venn_abers(probability=probability, y_obs=y_obs, weight=np.ones(2), objects=np.arange(2))

    # At 0.1 a lost one more makes (1 of 2, 0 of 1) -> pooled 1/3; a won one (2 of 2, 0 of 1) -> pooled 2/3.
    assert found.low == pytest.approx((1 / 3, 1 / 3))
    assert found.high == pytest.approx((2 / 3, 2 / 3))


def test_equal_scores_are_one_score_whatever_the_order_of_the_rows() -> None:
    probability = np.repeat([0.1, 0.3], 50)
    y_obs = np.tile([0.0, 0.0, 0.0, 0.0, 1.0], 20)
    order = np.lexsort((y_obs, probability))

    found, sorted_by_outcome = (
        fit_venn_abers(probability=probability[rows], y_obs=y_obs[rows], weight=np.ones(100), objects=rows)
        for rows in (np.arange(100), order)
    )

    assert found == sorted_by_outcome
    assert max(found.high) < 0.25


def test_many_looks_at_one_object_make_no_surer_than_one() -> None:
    probability = np.linspace(0.05, 0.6, 40)
    y_obs = (np.arange(40) % 3 == 0).astype(float)

    once = fit_venn_abers(probability=probability, y_obs=y_obs, weight=np.ones(40), objects=np.arange(40))
    often = fit_venn_abers(
        probability=np.repeat(probability, 10),
        y_obs=np.repeat(y_obs, 10),
        weight=np.ones(400),
        objects=np.repeat(np.arange(40), 10),
    )

    assert often.low == pytest.approx(once.low)
    assert often.high == pytest.approx(once.high)


def test_more_data_make_it_surer() -> None:
    assert width(fit(4000)) < 0.5 * width(fit(400)) < 0.5 * width(fit(40))


def test_more_scores_than_the_grid_holds_still_give_a_grid_of_a_hundred() -> None:
    found = fit(30_000)

    assert len(found.score) == 100
    assert found.score[0] == pytest.approx(0.02, abs=1e-3)
    assert width(found) < 0.02


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans(), st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=40),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=10),
)
def test_a_probability_lies_inside_its_interval(rows: list[tuple[float, bool, float]], asked: list[float]) -> None:
    probability, won, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))

    found = fit_venn_abers(probability=probability, y_obs=won, weight=weight, objects=np.arange(len(rows)))
    low, high = found.interval(np.array(asked))

    assert np.all((low <= np.array(asked)) & (np.array(asked) <= high))
    assert all(a <= b for a, b in zip(found.low, found.high, strict=True))
    assert np.all(np.diff(found.score) > 0)


@pytest.mark.parametrize("empty", [VennAbers(), fit(0)])
def test_an_empty_grid_knows_nothing(empty: VennAbers) -> None:
    asked: FloatArray = np.array([0.2, 0.7])

    low, high = empty.interval(asked)

    assert (low.tolist(), high.tolist()) == ([0.0, 0.0], [1.0, 1.0])
