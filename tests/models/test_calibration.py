"""Calibrators: fitted with restraint, chosen only where they win out of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.boosting import FloatArray
from models.calibration import (
    CalibrationSettings,
    Calibrator,
    choose_calibrator,
    drift_factor,
    fit_beta,
    fit_platt,
    log_loss_rows,
    logit,
    sigmoid,
)


def draw(rows: int, *, shift: float = 0.0, slope: float = 1.0, seed: int = 3) -> tuple[FloatArray, FloatArray]:
    """Return (log-odds that a model claims, outcomes drawn from shift + slope * log-odds)."""
    generator = np.random.default_rng(seed)
    claimed = generator.normal(-1.0, 1.2, rows)
    return claimed, (generator.random(rows) < sigmoid(shift + slope * claimed)).astype(float)


def choose(claimed: FloatArray, y_obs: FloatArray, **changes: object) -> Calibrator:
    arguments: dict[str, object] = {
        "objects": np.arange(len(y_obs)),
        "as_of": np.arange(len(y_obs)),
        "ripe_at": np.arange(len(y_obs)) + 1,
        "weight": np.ones(len(y_obs)),
        "settings": CalibrationSettings(),
        **changes,
    }
    return choose_calibrator(probability=sigmoid(claimed), y_obs=y_obs, **arguments).calibrator  # type: ignore[arg-type]


@given(st.floats(-20.0, 20.0))
def test_logit_undoes_sigmoid(log_odds: float) -> None:
    there = sigmoid(np.array([log_odds]))

    assert logit(there)[0] == pytest.approx(log_odds, abs=1e-6)


@given(st.floats(1e-9, 1.0 - 1e-9))
def test_sigmoid_undoes_logit(probability: float) -> None:
    assert sigmoid(logit(np.array([probability])))[0] == pytest.approx(probability, abs=1e-15)


def test_extreme_values_overflow_nowhere() -> None:
    assert sigmoid(np.array([-1e9, 0.0, 1e9])).tolist() == [0.0, 0.5, 1.0]
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_log_loss_of_each_row() -> None:
    found = log_loss_rows(np.array([1.0, 0.0]), np.array([0.25, 0.25]))

    assert found == pytest.approx([-np.log(0.25), -np.log(0.75)])


def test_platt_finds_a_known_shift_and_slope() -> None:
    claimed, y_obs = draw(40_000, shift=-0.7, slope=0.8)

    found = fit_platt(log_odds=claimed, y_obs=y_obs, weight=np.ones(40_000), settings=CalibrationSettings())

    assert found.kind == "platt"
    assert found.intercept == pytest.approx(-0.7, abs=0.06)
    assert found.slope == pytest.approx(0.8, abs=0.04)


def test_the_intercept_alone_leaves_the_slope_at_one() -> None:
    claimed, y_obs = draw(40_000, shift=0.5)

    found = fit_platt(
        log_odds=claimed, y_obs=y_obs, weight=np.ones(40_000), settings=CalibrationSettings(), free_slope=False
    )

    assert found.kind == "intercept"
    assert found.slope == pytest.approx(1.0, abs=1e-6)
    assert found.intercept == pytest.approx(0.5, abs=0.05)


def test_little_data_move_it_little() -> None:
    claimed, y_obs = draw(20_000, shift=-0.7, slope=0.5)

    slopes = [
        fit_platt(
            log_odds=claimed[:rows], y_obs=y_obs[:rows], weight=np.ones(rows), settings=CalibrationSettings()
        ).slope
        for rows in (10, 200, 20_000)
    ]

    assert 1.1 > slopes[0] > slopes[1] > slopes[2] > 0.45


def test_a_weight_counts_like_that_many_rows() -> None:
    claimed, y_obs = draw(300, shift=0.4)
    settings = CalibrationSettings()

    weighted = fit_platt(log_odds=claimed, y_obs=y_obs, weight=np.full(300, 3.0), settings=settings)
    tripled = fit_platt(log_odds=np.tile(claimed, 3), y_obs=np.tile(y_obs, 3), weight=np.ones(900), settings=settings)

    assert weighted.intercept == pytest.approx(tripled.intercept)
    assert weighted.slope == pytest.approx(tripled.slope)


def test_calibrated_scores_are_left_alone() -> None:
    assert [choose(*draw(4000, seed=seed)).kind for seed in range(8)].count("none") >= 6


def test_too_few_positive_objects_are_left_alone() -> None:
    claimed, y_obs = draw(4000, shift=1.5)
    settings = CalibrationSettings(min_positive_objects=100)
    positives = np.cumsum(y_obs)

    few, enough = (int(np.argmax(positives == count)) + 1 for count in (99, 2000))

    # What rests on one shrunken number may be used all the same.
    assert choose(claimed[:few], y_obs[:few], settings=settings).kind in ("none", "drift")
    assert choose(claimed[:enough], y_obs[:enough], settings=settings).kind in ("intercept", "platt", "beta")


def test_positive_rows_of_one_object_count_once() -> None:
    claimed, y_obs = draw(4000, shift=1.5)

    assert choose(claimed, y_obs, objects=np.arange(4000) % 90).kind in ("none", "drift")


def test_a_recalibration_that_clearly_wins_out_of_time_is_taken_and_fitted_on_all() -> None:
    claimed, y_obs = draw(6000, shift=-1.0)

    found = choose(claimed, y_obs)

    assert found.kind in ("intercept", "platt", "beta")
    assert found.intercept == pytest.approx(-1.0, abs=0.15)


def test_a_recalibration_that_stopped_holding_is_not_taken() -> None:
    claimed, early = draw(3000, shift=-1.0, seed=1)
    later_claimed, later = draw(3000, shift=1.0, seed=2)

    found = choose(np.append(claimed, later_claimed), np.append(early, later))

    assert found.kind == "none"


def test_rows_of_a_single_moment_cannot_be_tested_out_of_time() -> None:
    claimed, y_obs = draw(4000, shift=1.5)

    assert choose(claimed, y_obs, as_of=np.zeros(4000, dtype=np.int64)) == Calibrator()


def test_labels_that_ripen_after_the_later_rows_begin_teach_nothing() -> None:
    claimed, y_obs = draw(4000, shift=-1.0)
    seen = np.arange(4000)

    half = choose_calibrator(
        probability=sigmoid(claimed), y_obs=y_obs, weight=np.ones(4000), objects=seen, as_of=seen,
        ripe_at=seen + 1000, settings=CalibrationSettings(),
    )  # fmt: skip
    never = choose_calibrator(
        probability=sigmoid(claimed), y_obs=y_obs, weight=np.ones(4000), objects=seen, as_of=seen,
        ripe_at=seen + 4000, settings=CalibrationSettings(),
    )  # fmt: skip

    assert half.calibrator.kind != "none"
    assert {one.kind for one in half.tried} == {"drift", "intercept", "platt", "beta"}
    assert never.calibrator.kind == "none"
    assert never.note == "the window is too short to test a recalibration on later outcomes"


def test_beta_finds_a_bend_that_no_line_in_the_log_odds_has() -> None:
    generator = np.random.default_rng(4)
    said = generator.uniform(0.02, 0.98, 60_000)
    truth = sigmoid(0.3 + 0.7 * np.log(said) - 1.4 * np.log1p(-said))
    y_obs = (generator.random(60_000) < truth).astype(float)

    found = fit_beta(probability=said, y_obs=y_obs, weight=np.ones(60_000), settings=CalibrationSettings())

    assert found.kind == "beta"
    # The three draw on each other, so what was shrunk of one goes to another.
    assert (found.intercept, *found.slopes) == pytest.approx((0.3, 0.7, 1.4), abs=0.15)
    assert found.apply(said) == pytest.approx(truth, abs=0.02)
    assert found.apply(said) == pytest.approx(sigmoid(found.apply_logit(logit(said))), abs=1e-12)
    assert (np.diff(found.apply(np.sort(said))) > 0).all()


def test_the_drift_factor_is_observed_over_expected_wins_drawn_towards_one() -> None:
    week = 7 * 86_400_000_000
    # Two looks each at 100 deals of the last weeks: 20 won, 40 expected; what lies before the 13 weeks does not count.
    as_of = np.concatenate([np.zeros(50, dtype=np.int64), np.full(200, 20 * week)])
    objects = np.concatenate([np.arange(1000, 1050), np.repeat(np.arange(100), 2)])
    y_obs = np.concatenate([np.ones(50), np.repeat(np.arange(100) < 20, 2).astype(float)])

    found = drift_factor(
        probability=np.full(250, 0.4), y_obs=y_obs, weight=np.full(250, 3.0), objects=objects, as_of=as_of,
        settings=CalibrationSettings(),
    )  # fmt: skip

    assert (found.observed, found.expected) == pytest.approx((20.0, 40.0))
    assert found.factor == pytest.approx((20 + 30) / (40 + 30))


@given(
    slope=st.floats(0.05, 4.0),
    intercept=st.floats(-4.0, 4.0),
    pair=st.tuples(st.floats(0.001, 0.999), st.floats(0.001, 0.999)),
)
def test_order_is_kept(slope: float, intercept: float, pair: tuple[float, float]) -> None:
    low, high = min(pair), max(pair)
    calibrator = Calibrator(kind="platt", slope=slope, intercept=intercept)

    calibrated = calibrator.apply(np.array([low, high]))

    assert calibrated[0] <= calibrated[1]
    if high - low > 1e-6:
        assert calibrated[0] < calibrated[1]


def test_no_calibrator_changes_nothing() -> None:
    probability = np.array([0.0, 1e-12, 0.3, 1.0])

    assert Calibrator().apply(probability).tolist() == probability.tolist()


def test_a_falling_slope_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Calibrator(kind="platt", slope=-0.1)
