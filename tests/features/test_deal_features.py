"""Features of open deals beyond behaviour: stage, pace, amount, expected close date, people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.behaviour import deal_activities
from features.deal_features import (
    Records,
    activity_in_stage,
    amount_state,
    close_date_state,
    contacts_count,
    stage_state,
)
from features.episodes import build_timelines
from features.properties import PropertyValues
from features.series import SeriesPlan
from features.tables import CrmTables
from features.visibility import instant
from tests.features.builders import SALES_STAGES, make_tables

STAGES = [
    *SALES_STAGES[:2],
    {"pipeline": "sales", "stage": "talks", "label": "Talks", "position": 3, "outcome": "open"},
    {"pipeline": "sales", "stage": "won", "label": "Won", "position": 4, "outcome": "won"},
    {"pipeline": "sales", "stage": "lost", "label": "Lost", "position": 5, "outcome": "lost"},
]


def moments(*times: str) -> Any:
    return np.array([instant(pd.Timestamp(time, tz="UTC")) for time in times])


def tables_of(*entries: tuple[str, str, str], **tables: Any) -> CrmTables:
    """Build deals from (deal, stage, date)."""
    deals = [{"deal_id": deal} for deal in dict.fromkeys(deal for deal, _, _ in entries)]
    history = [{"deal_id": deal, "stage": stage, "entered_at": f"{date}T00:00Z"} for deal, stage, date in entries]
    return make_tables(**{"deals": deals, "deal_stage_history": history, "stages": STAGES} | tables)


# d1 is noise before and after d2 in the stream: nothing of it may show
MOVING = tables_of(
    ("d1", "talks", "2024-01-01"),
    ("d1", "lost", "2024-01-05"),
    ("d2", "demo", "2024-01-01"),
    ("d2", "talks", "2024-01-11"),
    ("d2", "offer", "2024-01-21"),
    ("d2", "lost", "2024-02-01"),
    ("d2", "demo", "2024-02-11"),
    ("d3", "demo", "2024-01-01"),
)


def state_of(*times: str) -> dict[str, list[float]]:
    columns = stage_state(timelines=build_timelines(MOVING), objects=np.ones(len(times), int), as_of=moments(*times))
    return {name: column.tolist() for name, column in columns.items()}


def test_stage_is_that_of_the_newest_entry_before_the_as_of() -> None:
    found = state_of("2024-01-11", "2024-01-12", "2024-01-22", "2024-02-13")

    # demo is the first of three open stages (0), offer the second (one half), talks the third (1)
    assert found["stage_row"] == [0.0, 2.0, 1.0, 0.0]
    assert found["stage_position"] == [0.0, 1.0, 0.5, 0.0]
    assert found["furthest_position"] == [0.0, 1.0, 1.0, 1.0]


def test_changes_moves_back_and_reopenings_are_counted_up_to_the_as_of() -> None:
    found = state_of("2024-01-02", "2024-01-12", "2024-01-22", "2024-02-13")

    assert found["stages_passed"] == [0.0, 1.0, 2.0, 4.0]
    # from talks to offer it moved back; from lost to demo it was re-opened, which is something else
    assert found["times_moved_back"] == [0.0, 0.0, 1.0, 1.0]
    assert found["times_reopened"] == [0.0, 0.0, 0.0, 1.0]


def test_pace_is_told_in_days() -> None:
    found = state_of("2024-01-02T12:00", "2024-01-22", "2024-02-13")

    assert found["days_in_stage"] == [1.5, 1.0, 2.0]
    assert found["age_days"] == [1.5, 21.0, 43.0]
    assert found["days_per_stage"] == [1.5, 7.0, 43 / 5]


def test_activity_in_the_stage_counts_from_its_entry_on() -> None:
    times = ["2024-01-05", "2024-01-11", "2024-01-12", "2024-01-20"]
    activities = [{"deal_id": "d2", "type": "call", "occurred_at": f"{time}T00:00Z"} for time in times]
    tables = CrmTables(
        frames={**MOVING.frames, "activities": make_tables(activities=activities)["activities"]}, absent=MOVING.absent
    )
    timelines = build_timelines(tables)

    found = activity_in_stage(
        timelines=timelines,
        activities=deal_activities(tables=tables, deal_ids=timelines.deal_ids, plan=SeriesPlan(("call",))),
        objects=np.array([1, 1, 1]),
        as_of=moments("2024-01-11", "2024-01-20", "2024-01-21T01:00"),
    )

    # before talks: the one of 5 January; in talks until 20 January: those of the 11th (its first instant) and 12th
    assert found["activity_in_stage"].tolist() == [1.0, 2.0, 0.0]


def values(value: list[Any], *, first: list[Any], changes: list[float]) -> PropertyValues:
    return PropertyValues(
        value=np.array(value, dtype=object), first=np.array(first, dtype=object), changes=np.array(changes)
    )


def test_amount_is_compared_with_the_first_one_named() -> None:
    found = amount_state(
        values(["150", 80.0, None, "12", "many"], first=["100", 80.0, "50", "0", None], changes=[2, 0, 1, 1, 0])
    )

    assert found["amount"] == pytest.approx([150.0, 80.0, np.nan, 12.0, np.nan], nan_ok=True)
    assert found["amount_ratio"] == pytest.approx([1.5, 1.0, np.nan, np.nan, np.nan], nan_ok=True)
    assert found["amount_changes"].tolist() == [2, 0, 1, 1, 0]


def test_expected_close_date_may_lie_ahead_or_behind_and_slip() -> None:
    day = pd.Timestamp("2024-03-11T00:00Z")
    found = close_date_state(
        values(
            ["2024-03-11T02:00:00+02:00", day, "2024-02-20", None, "soon"],
            first=["2024-03-01", day, "2024-02-25", "2024-02-25", None],
            changes=[1, 0, 1, 1, 0],
        ),
        as_of=moments(*["2024-03-01T12:00"] * 5),
    )

    assert found["days_to_expected_close"] == pytest.approx([9.5, 9.5, -10.5, np.nan, np.nan], nan_ok=True)
    assert found["close_date_slip_days"] == pytest.approx([10.0, 0.0, -5.0, np.nan, np.nan], nan_ok=True)
    assert found["close_date_changes"].tolist() == [1, 0, 1, 1, 0]


def test_contacts_of_a_deal_are_those_that_existed_at_the_as_of() -> None:
    tables = tables_of(
        ("d1", "demo", "2024-01-01"),
        ("d2", "demo", "2024-01-01"),
        contacts=[{"created_at": "2023-06-01T00:00Z"}, {"created_at": "2024-02-01T00:00Z"}],
        deal_contacts=[
            {"deal_id": "d1", "contact_id": "c1"},
            {"deal_id": "d1", "contact_id": "c2"},
            {"deal_id": "d1", "contact_id": "deleted since"},
        ],
    )

    found = contacts_count(
        tables=tables,
        timelines=build_timelines(tables),
        objects=np.array([0, 0, 0, 1]),
        as_of=moments("2024-01-15", "2024-02-01", "2024-02-02", "2024-02-02"),
    )

    assert found["contacts_count"].tolist() == [2.0, 2.0, 3.0, 0.0]


RECORD = tables_of(
    ("d1", "won", "2024-01-02"),
    ("d2", "won", "2024-01-03"),
    ("d3", "lost", "2024-01-04"),
    ("d4", "lost", "2024-01-05"),
    ("d5", "won", "2024-01-06"),
    ("d5", "demo", "2024-01-07"),  # within a day: a mistake
)


def test_record_of_a_person_is_shrunk_towards_everybodys_by_five_closings() -> None:
    people = np.array(["ann", "bob", "ann", None, "bob"], dtype=object)
    records = Records(timelines=build_timelines(RECORD), person_of_closing=people)
    asked = np.array(["ann", "ann", "bob", "eve", None], dtype=object)

    rate, closed = records.at(
        people=asked, as_of=moments("2024-01-02", "2024-01-04T12:00", "2024-01-06", "2024-01-06", "2024-01-06")
    )

    # ann on 2 January: nothing has closed at all; on 4 January she won 1 of 2, everybody 2 of 3;
    # bob on 6 January: 1 of 1 (his second win comes at that instant), everybody 2 of 4; eve: nothing of her own
    expected = [0.0, (1 + 5 * 2 / 3) / (2 + 5), (1 + 5 * 0.5) / (1 + 5), 0.5, np.nan]
    assert rate == pytest.approx(expected, nan_ok=True)
    assert closed == pytest.approx([0.0, 2.0, 1.0, 0.0, np.nan], nan_ok=True)


def test_win_taken_back_leaves_the_record_when_it_is() -> None:
    people = np.array(["ann", "bob", "ann", None, "bob"], dtype=object)
    records = Records(timelines=build_timelines(RECORD), person_of_closing=people)

    rate, closed = records.at(
        people=np.array(["bob", "bob"], dtype=object), as_of=moments("2024-01-06T12:00", "2024-01-08")
    )

    # while the mistake stands bob won 2 of 2 and everybody 3 of 5, afterwards 1 of 1 and 2 of 4
    assert rate == pytest.approx([(2 + 5 * 0.6) / 7, (1 + 5 * 0.5) / 6])
    assert closed.tolist() == [2.0, 1.0]


def test_nobody_known_gives_everybodys_rate_to_those_asked_for() -> None:
    records = Records(timelines=build_timelines(RECORD), person_of_closing=np.full(5, None, dtype=object))

    rate, closed = records.at(people=np.array(["ann"], dtype=object), as_of=moments("2024-01-06"))

    assert rate.tolist() == [0.5]
    assert closed.tolist() == [0.0]
