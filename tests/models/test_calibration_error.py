"""Behaviour of models.calibration_error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from models.calibration_error import (
    CalibrationOrder,
    ece,
    equal_mass_bins,
    fit_logistic,
    integrated_calibration,
    null_bands,
    recalibration,
    reliability,
    spline_basis,
    wilson,
)


def calibrated(seed: int, *, rows: int = 2000, rate: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probability = expit(generator.normal(logit(rate), 1.2, rows))
    return (generator.random(rows) < probability).astype(float), probability


def plain_logistic(design: np.ndarray, won: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(design, won, sample_weight=weight)
    return np.append(model.intercept_, model.coef_[0])


def test_ece_is_the_mass_weighted_gap_of_equal_bins() -> None:
    probability = np.array([0.1, 0.2, 0.5, 0.7])
    won = np.array([0, 0, 1, 0])

    error = ece(y_obs=won, y_pred=probability, bins=2)

    # Lower half .15 against 0, upper half .6 against .5.
    assert error == pytest.approx((0.15 + 0.1) / 2)


def test_ece_never_splits_equal_probabilities() -> None:
    probability = np.array([0.3, 0.3, 0.3, 0.8])
    won = np.array([1, 0, 0, 1])

    error = ece(y_obs=won, y_pred=probability, bins=4)

    assert error == pytest.approx(0.75 * (1 / 3 - 0.3) + 0.25 * 0.2)


def test_ece_weighs_rows() -> None:
    error = ece(y_obs=np.array([1, 0, 1]), y_pred=np.array([0.5, 0.5, 0.9]), weight=np.array([3.0, 1.0, 4.0]), bins=2)

    assert error == pytest.approx(0.5 * 0.25 + 0.5 * 0.1)


def test_bins_hold_equal_mass_where_there_are_no_ties() -> None:
    bins = equal_mass_bins(y_pred=np.linspace(1.0, 0.0, 40), weight=np.ones(40), bins=10)

    assert np.bincount(bins).tolist() == [4] * 10
    assert bins[0] == 9


def test_slope_and_intercept_agree_with_scikit_learn() -> None:
    won, probability = calibrated(1)
    weight = np.random.default_rng(1).random(2000)

    fitted = recalibration(y_obs=won, y_pred=probability, weight=weight)

    expected = plain_logistic(logit(probability)[:, np.newaxis], won, weight)
    assert (fitted.intercept, fitted.slope) == pytest.approx(tuple(expected), abs=1e-4)


def test_slope_of_doubled_log_odds_is_about_a_half() -> None:
    won, probability = calibrated(2, rows=20_000)

    fitted = recalibration(y_obs=won, y_pred=expit(2 * logit(probability)))

    assert fitted.slope == pytest.approx(0.5, abs=0.03)


def test_restricted_cubic_spline_is_linear_outside_and_smooth_at_its_knots() -> None:
    knots = np.array([-2.0, -1.0, 0.5, 2.0])
    outside = np.array([-5.0, -4.0, -3.0, 3.0, 4.0, 5.0])

    basis = spline_basis(outside, knots)

    assert basis.shape == (6, 3)
    assert (basis[:3, 1:] == 0.0).all()
    assert np.diff(basis[3:], n=2, axis=0) == pytest.approx(np.zeros((1, 3)), abs=1e-9)
    # At the third knot only the cube of the distance to each earlier knot is above zero, over (2 + 2)^2.
    at_third = spline_basis(np.array([0.5]), knots)[0]
    assert at_third[1:] == pytest.approx([2.5**3 / 16, 1.5**3 / 16])


def test_ici_agrees_with_an_independent_fit_of_the_same_spline() -> None:
    won, probability = calibrated(3)
    distorted = expit(1.5 * logit(probability) + 0.5)
    logits = logit(distorted)
    middle = (np.arange(2000) + 0.5) / 2000
    basis = spline_basis(logits, np.interp([0.05, 0.35, 0.65, 0.95], middle, np.sort(logits)))
    fitted = plain_logistic(basis, won)
    gaps = np.abs(distorted - expit(fitted[0] + basis @ fitted[1:]))

    ours = integrated_calibration(y_obs=won, y_pred=distorted)

    assert ours.ici == pytest.approx(gaps.mean(), abs=1e-4)
    assert ours.e50 == pytest.approx(np.median(gaps), abs=1e-4)
    assert ours.e90 == pytest.approx(np.quantile(gaps, 0.9), abs=5e-4)


def test_ici_of_one_probability_is_its_distance_from_the_rate() -> None:
    ours = integrated_calibration(y_obs=np.array([1, 0, 0, 0]), y_pred=np.full(4, 0.4))

    assert ours.ici == pytest.approx(0.15, abs=1e-6)
    assert ours.e50 == pytest.approx(0.15, abs=1e-6)


def test_a_whole_weight_is_a_repeated_row() -> None:
    won, probability = calibrated(4, rows=300)
    times = np.random.default_rng(4).integers(1, 4, 300)

    weighted = recalibration(y_obs=won, y_pred=probability, weight=times)
    repeated = recalibration(y_obs=np.repeat(won, times), y_pred=np.repeat(probability, times))

    assert weighted.slope == pytest.approx(repeated.slope)
    assert ece(y_obs=won, y_pred=probability, weight=times) == pytest.approx(
        ece(y_obs=np.repeat(won, times), y_pred=np.repeat(probability, times))
    )


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_one_class_only_has_no_slope_and_no_ici(outcome: float) -> None:
    won, probability = np.full(20, outcome), np.linspace(0.1, 0.9, 20)

    assert math.isnan(recalibration(y_obs=won, y_pred=probability).slope)
    assert math.isnan(integrated_calibration(y_obs=won, y_pred=probability).ici)
    assert ece(y_obs=won, y_pred=probability) == pytest.approx(0.5)


def test_one_probability_only_has_no_slope() -> None:
    assert math.isnan(recalibration(y_obs=np.array([0, 1]), y_pred=np.full(2, 0.5)).slope)


def test_no_rows_are_undefined() -> None:
    empty = np.array([])

    assert math.isnan(ece(y_obs=empty, y_pred=empty))
    assert math.isnan(integrated_calibration(y_obs=empty, y_pred=empty).ici)
    assert math.isnan(null_bands(y_pred=empty, seed=1).ici_95)
    assert reliability(y_obs=empty, y_pred=empty) == ()


def test_separated_and_certain_scores_stay_finite() -> None:
    won = np.array([0, 0, 0, 1, 1, 1])

    fitted = recalibration(y_obs=won, y_pred=won.astype(float))
    ours = integrated_calibration(y_obs=won, y_pred=np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0]))

    assert math.isfinite(fitted.slope)
    assert 0.0 <= ours.ici < 0.12


def test_many_fits_at_once_agree_with_scikit_learn() -> None:
    generator = np.random.default_rng(6)
    design = generator.normal(size=(400, 2)) * [1.0, 5.0]
    won = (generator.random((3, 400)) < expit(design @ [1.0, -0.5])).astype(float)
    weight = generator.integers(1, 3, (3, 400)).astype(float)

    fitted = fit_logistic(design=design, positive=won * weight, total=weight)

    for index in range(3):
        assert fitted[index] == pytest.approx(plain_logistic(design, won[index], weight[index]), abs=2e-3)


def test_null_bands_hold_ninety_five_percent_of_calibrated_draws() -> None:
    _, probability = calibrated(7)
    bands = null_bands(y_pred=probability, seed=1, draws=400)
    generator = np.random.default_rng(8)
    draws = (generator.random((200, 2000)) < probability).astype(float)

    below_ece = np.mean([ece(y_obs=draw, y_pred=probability) <= bands.ece_95 for draw in draws])
    below_ici = np.mean([integrated_calibration(y_obs=draw, y_pred=probability).ici <= bands.ici_95 for draw in draws])

    assert 0.90 <= below_ece <= 0.99
    assert 0.90 <= below_ici <= 0.99


def test_null_bands_are_wider_where_rows_share_an_outcome() -> None:
    _, probability = calibrated(9, rows=200)
    rows, deals = np.repeat(probability, 5), np.repeat(np.arange(200), 5)

    shared = null_bands(y_pred=rows, cluster=deals, seed=1)
    alone = null_bands(y_pred=rows, seed=1)

    assert shared.ici_95 > 1.5 * alone.ici_95
    assert shared == null_bands(y_pred=rows, cluster=deals, seed=1)


def test_grouped_rows_give_nearly_the_exact_errors() -> None:
    won, probability = calibrated(10, rows=20_000)
    distorted = expit(0.7 * logit(probability))
    weights = np.random.default_rng(10).integers(0, 3, (2, 20_000)).astype(float)

    quick = CalibrationOrder.build(y_pred=distorted).errors(weights=weights, y_obs=won)

    for index, weight in enumerate(weights):
        exact = integrated_calibration(y_obs=won, y_pred=distorted, weight=weight)
        assert quick.ici[index] == pytest.approx(exact.ici, rel=0.01)
        slope = recalibration(y_obs=won, y_pred=distorted, weight=weight).slope
        assert quick.slope[index] == pytest.approx(slope, rel=0.002)


def test_reliability_bins_show_rate_and_wilson_interval() -> None:
    probability = np.array([0.1, 0.2, 0.6, 0.8])
    won = np.array([0, 0, 1, 0])

    low, high = reliability(y_obs=won, y_pred=probability, bins=2)

    assert (low.predicted, low.observed, low.rows) == pytest.approx((0.15, 0.0, 2))
    assert (high.predicted, high.observed, high.rows) == pytest.approx((0.7, 0.5, 2))
    # Wilson at 0 of 2: upper end z^2 / (n + z^2) with z^2 = 3.8415.
    assert (low.low, low.high) == pytest.approx((0.0, 3.8415 / 5.8415), abs=1e-4)


def test_reliability_merges_bins_that_ties_make_equal() -> None:
    bins = reliability(y_obs=np.array([0, 1] * 10), y_pred=np.array([0.2] * 14 + [0.7] * 6))

    assert [part.rows for part in bins] == [14, 6]
    assert [part.predicted for part in bins] == pytest.approx([0.2, 0.7])


def test_reliability_counts_an_object_once_however_many_rows_it_has() -> None:
    probability, won = np.full(40, 0.3), np.array([0, 1] * 20)

    by_row = reliability(y_obs=won, y_pred=probability)[0]
    by_object = reliability(y_obs=won, y_pred=probability, cluster=np.arange(40) % 4)[0]

    assert by_object.observed == by_row.observed
    assert by_object.high == wilson(rate=0.5, trials=4).high > by_row.high
