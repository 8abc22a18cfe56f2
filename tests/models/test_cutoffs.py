"""Where the past is cut."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from models.cutoffs import Cutoffs, SplitSettings, plan_cutoffs

NOW = pd.Timestamp("2026-01-01", tz="UTC")


def plan(history_days: float, *, horizon_days: float = 90.0) -> Cutoffs:
    return plan_cutoffs(
        first=NOW - pd.Timedelta(days=history_days), now=NOW, horizon_days=horizon_days, settings=SplitSettings()
    )


def days_before_now(time: pd.Timestamp | None) -> float:
    assert time is not None
    return (NOW - time) / pd.Timedelta(days=1)


def test_a_long_history_allows_fit_calibration_and_test() -> None:
    cutoffs = plan(1000.0)

    # Ripe history 1000 - 90 = 910 days; a quarter of it would be 227.5, and the longest test is 180.
    assert days_before_now(cutoffs.ripe_until) == 90.0
    assert days_before_now(cutoffs.test_at) == 90.0 + 180.0
    assert days_before_now(cutoffs.calibrate_until) == 90.0 + 180.0 + 90.0
    assert days_before_now(cutoffs.calibrate_at) == 90.0 + 180.0 + 90.0 + 180.0
    assert cutoffs.note().startswith("fit, calibration and test lie in time order")


def test_a_shorter_history_allows_a_test_without_a_calibration_window() -> None:
    cutoffs = plan(400.0)

    # Ripe 310 days, a quarter is 77.5; the calibration window would leave 310 - 77.5 - 90 - 77.5 - 90 = -25 days.
    assert days_before_now(cutoffs.test_at) == 90.0 + 77.5
    assert (cutoffs.calibrate_at, cutoffs.calibrate_until) == (None, None)
    assert cutoffs.note() == "400 days of history allow a test but no calibration window apart from it"


def test_the_test_gives_way_to_the_ripe_history_that_a_fit_needs() -> None:
    cutoffs = plan(230.0)

    # Ripe 140 days; what is left beside 90 days of purge and 30 of fitting is 20, less than a quarter (35).
    assert days_before_now(cutoffs.test_at) == 90.0 + 20.0


def test_too_short_a_history_allows_no_test() -> None:
    cutoffs = plan(223.0)

    assert (cutoffs.test_at, cutoffs.calibrate_at, cutoffs.calibrate_until) == (None, None, None)
    assert cutoffs.note() == "223 days of history are too short for an honest test with a horizon of 90"


def test_a_history_without_a_single_ripe_day_allows_no_test() -> None:
    assert plan(10.0).test_at is None


@given(history=st.floats(1.0, 4000.0), horizon=st.floats(1.0, 200.0))
def test_windows_lie_in_time_order_a_horizon_apart(history: float, horizon: float) -> None:
    cutoffs = plan(history, horizon_days=horizon)

    purge = pd.Timedelta(days=horizon)
    slack = pd.Timedelta(microseconds=1)
    assert abs(cutoffs.now - cutoffs.ripe_until - purge) <= slack
    if cutoffs.test_at is not None:
        assert cutoffs.first + pd.Timedelta(days=30) + purge <= cutoffs.test_at + slack
        assert cutoffs.ripe_until - cutoffs.test_at >= pd.Timedelta(days=14) - slack
    if cutoffs.calibrate_at is not None and cutoffs.calibrate_until is not None and cutoffs.test_at is not None:
        assert abs(cutoffs.test_at - cutoffs.calibrate_until - purge) <= slack
        assert cutoffs.first + pd.Timedelta(days=30) + purge <= cutoffs.calibrate_at + slack
        assert cutoffs.calibrate_at < cutoffs.calibrate_until
