"""Labels: half-open horizons, and nothing unripe that looks like a no."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.episodes import LOST, OPEN, WON, build_timelines
from features.labels import closing_within, won_within
from tests.features.builders import SALES_STAGES, make_tables


def at(time: str) -> pd.Timestamp:
    return pd.Timestamp(time, tz="UTC")


# d1 is won on 1 March, d2 lost on 1 March, d3 stays open
TIMELINES = build_timelines(
    make_tables(
        deals=[{}, {}, {}],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "demo", "entered_at": "2024-01-01T00:00Z"},
            {"deal_id": "d1", "stage": "won", "entered_at": "2024-03-01T00:00Z"},
            {"deal_id": "d2", "stage": "demo", "entered_at": "2024-01-01T00:00Z"},
            {"deal_id": "d2", "stage": "lost", "entered_at": "2024-03-01T00:00Z"},
            {"deal_id": "d3", "stage": "demo", "entered_at": "2024-01-01T00:00Z"},
        ],
        stages=SALES_STAGES,
    )
)


def label(deal: int, as_of: str, *, days: float, known_until: str = "2030-01-01") -> float:
    labels = won_within(
        wins=TIMELINES.closings,
        objects=np.array([deal]),
        as_of=pd.Series([at(as_of)]),
        days=days,
        known_until=at(known_until),
    )
    return float(labels[0])


def test_win_at_the_as_of_is_inside_the_horizon_and_one_at_its_end_outside() -> None:
    assert label(0, "2024-03-01", days=10) == 1.0  # won at the very as-of, so not known by then
    assert label(0, "2024-03-01T00:00:00.000001", days=10) == 0.0
    assert label(0, "2024-02-20", days=10) == 0.0  # 10 days on is exactly the moment of the win
    assert label(0, "2024-02-20T00:00:00.000001", days=10) == 1.0


def test_lost_and_open_deals_are_not_won() -> None:
    assert label(1, "2024-02-20", days=90) == 0.0
    assert label(2, "2024-02-20", days=90) == 0.0


def test_label_whose_horizon_is_not_over_is_missing_even_if_the_win_is_already_known() -> None:
    assert np.isnan(label(0, "2024-02-20", days=20, known_until="2024-03-10"))  # the horizon ends on 11 March
    assert np.isnan(label(2, "2024-02-20", days=20, known_until="2024-03-10"))
    assert label(0, "2024-02-20", days=20, known_until="2024-03-11") == 1.0
    assert label(2, "2024-02-20", days=20, known_until="2024-03-11") == 0.0


def test_horizon_may_differ_from_row_to_row() -> None:
    labels = won_within(
        wins=TIMELINES.closings,
        objects=np.array([0, 0, 0]),
        as_of=pd.Series([at("2024-02-20")] * 3),
        days=np.array([5.0, 15.0, 400.0]),
        known_until=at("2024-06-01"),
    )

    assert labels.tolist()[:2] == [0.0, 1.0]
    assert np.isnan(labels[2])


def test_closing_comes_with_the_days_until_it() -> None:
    outcome, days = closing_within(
        closings=TIMELINES.closings,
        objects=np.array([0, 1, 2, 0]),
        as_of=pd.Series([at("2024-02-28T12:00"), at("2024-02-20"), at("2024-02-20"), at("2024-02-20")]),
        days=np.array([90.0, 90.0, 90.0, 10.0]),
    )

    # 2024 is a leap year: from noon on 28 February to 1 March it is a day and a half
    assert outcome.tolist() == [WON, LOST, OPEN, OPEN]
    assert days[:2].tolist() == [1.5, 10.0]
    assert np.isnan(days[2:]).all()
