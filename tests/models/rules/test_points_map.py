"""What points meant in the past, as a probability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.calibration import sigmoid
from models.rules.points_map import PointsMap, fit_points_map


def draw_points(*, slope: float, rows: int = 30_000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    points = generator.integers(-2, 9, rows) * 10.0
    return points, (generator.random(rows) < sigmoid(-2.0 + slope * points / 10)).astype(float)


def test_the_map_finds_what_ten_points_are_worth() -> None:
    points, y_obs = draw_points(slope=0.4)

    found = fit_points_map(points=points, y_obs=y_obs, weight=np.ones(len(points)))

    assert found.slope == pytest.approx(0.4, abs=0.02)
    assert found.intercept == pytest.approx(-2.0, abs=0.1)
    assert found.predict(np.array([20.0]))[0] == pytest.approx(sigmoid(np.array([-1.2]))[0], abs=0.02)


@given(st.lists(st.tuples(st.integers(-100, 100), st.booleans()), min_size=1, max_size=60))
def test_more_points_never_mean_less(rows: list[tuple[int, bool]]) -> None:
    points, won = (np.array(column, dtype=float) for column in zip(*rows, strict=True))

    found = fit_points_map(points=points, y_obs=won, weight=np.ones(len(rows)))

    predicted = found.predict(np.linspace(-200, 200, 41))
    assert np.all(np.diff(predicted) >= 0)
    assert np.all((predicted >= 0) & (predicted <= 1))


def test_points_that_point_the_wrong_way_give_the_base_rate() -> None:
    points, y_obs = draw_points(slope=-0.4)

    found = fit_points_map(points=points, y_obs=y_obs, weight=np.ones(len(points)))

    assert found.slope == 0.0
    assert found.predict(np.array([-50.0, 90.0])) == pytest.approx([y_obs.mean()] * 2)


def test_points_that_are_all_the_same_give_the_base_rate() -> None:
    found = fit_points_map(points=np.full(4, 10.0), y_obs=np.array([0.0, 0, 0, 1]), weight=np.array([1.0, 1, 1, 3]))

    assert found.predict(np.array([10.0])) == pytest.approx([0.5])


def test_a_falling_map_is_refused() -> None:
    with pytest.raises(ValidationError):
        PointsMap(intercept=0.0, slope=-0.1)


def test_those_whose_points_are_unknown_have_a_probability_of_their_own() -> None:
    # 20 pseudo rows at the base rate of 40 in 100, and 20 rows of which 4 were won: (20 * 0.4 + 4) / 40.
    points = np.append(np.repeat([0.0, 10.0], 40), np.full(20, np.nan))
    y_obs = np.concatenate(
        [np.repeat([1.0, 0.0], [18, 22]), np.repeat([1.0, 0.0], [18, 22]), np.repeat([1.0, 0], [4, 16])]
    )

    found = fit_points_map(points=points, y_obs=y_obs, weight=np.ones(100))

    assert found.predict(np.array([np.nan])) == pytest.approx([0.3])
    assert found.predict(np.array([0.0, 10.0])) == pytest.approx([0.45, 0.45])


def test_where_all_points_are_unknown_the_base_rate_stays() -> None:
    found = fit_points_map(points=np.full(4, np.nan), y_obs=np.array([0.0, 0, 0, 1]), weight=np.ones(4))

    assert found.predict(np.array([np.nan, 10.0])) == pytest.approx([0.25, 0.25])
