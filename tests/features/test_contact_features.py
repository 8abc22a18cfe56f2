"""Features of contacts beyond behaviour: tenure, the open deal, and the deals before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.contact_features import Column, closings_of_contacts, open_deals, past_deals, position_share, tenure
from features.episodes import LOST, WON, build_timelines
from features.tables import CrmTables
from features.visibility import instant
from tests.features.builders import SALES_STAGES, make_tables


def moments(*times: str) -> Any:
    return np.array([instant(pd.Timestamp(time, tz="UTC")) for time in times])


def entry(deal: str, stage: str, date: str) -> dict[str, str]:
    return {"deal_id": deal, "stage": stage, "entered_at": f"{date}T00:00Z"}


def link(deal: str, contact: str) -> dict[str, str]:
    return {"deal_id": deal, "contact_id": contact}


# c1 has d1 (demo, offer, lost), d2 (demo) and d3 (offer later than d1), c2 nothing; d4 is the stranger's
TABLES = make_tables(
    contacts=[{}, {}],
    deals=[{}, {}, {}, {}],
    deal_contacts=[link("d1", "c1"), link("d2", "c1"), link("d3", "c1"), link("d4", "stranger")],
    deal_stage_history=[
        entry("d1", "demo", "2024-01-01"),
        entry("d1", "offer", "2024-01-11"),
        entry("d1", "lost", "2024-03-01"),
        entry("d2", "demo", "2024-01-05"),
        entry("d3", "demo", "2024-01-20"),
        entry("d3", "offer", "2024-02-01"),
        entry("d4", "offer", "2024-01-01"),
    ],
    stages=SALES_STAGES,
)
IDS = pd.Index(TABLES["contacts"]["contact_id"])


def open_deals_at(tables: CrmTables, *times: str, contact: int = 0) -> dict[str, list[float]]:
    columns = open_deals(
        tables=tables,
        timelines=build_timelines(tables),
        contact_ids=pd.Index(tables["contacts"]["contact_id"]),
        objects=np.full(len(times), contact),
        as_of=moments(*times),
    )
    return {name: column.tolist() for name, column in columns.items()}


def past_of(tables: CrmTables, *times: str, contact: int = 0) -> dict[str, Column]:
    ids = pd.Index(tables["contacts"]["contact_id"])
    closings = closings_of_contacts(tables=tables, timelines=build_timelines(tables), contact_ids=ids)
    return past_deals(closings=closings, objects=np.full(len(times), contact), as_of=moments(*times))


def test_tenure_is_the_days_since_creation() -> None:
    tables = make_tables(contacts=[{"created_at": "2024-02-28T12:00Z"}])

    found = tenure(contacts=tables["contacts"], objects=np.array([0, -1]), as_of=moments("2024-03-01", "2024-03-01"))

    assert found["tenure_days"][0] == 1.5  # half of 28 February, and the 29th
    assert np.isnan(found["tenure_days"][1])


def test_open_deals_are_counted_and_the_furthest_one_described() -> None:
    found = open_deals_at(TABLES, "2024-01-01", "2024-01-02", "2024-01-15")

    # on 1 January nothing is known yet; then d1 in its first stage; on 15 January d1 in its last, d2 in its first
    assert found["open_deals"] == [0.0, 1.0, 2.0]
    assert found["open_deal_position"][1:] == [0.0, 1.0]
    assert found["open_deal_days_in_stage"][1:] == [1.0, 4.0]
    assert found["open_deal_age_days"][1:] == [1.0, 14.0]
    assert all(np.isnan(found[name][0]) for name in found if name != "open_deals")


def test_of_two_deals_that_came_equally_far_the_one_that_came_there_last_is_described() -> None:
    found = open_deals_at(TABLES, "2024-02-11")

    # d1 has been in offer since 11 January, d3 since 1 February (and open since 20 January)
    assert found["open_deals"] == [3.0]
    assert found["open_deal_days_in_stage"] == [10.0]
    assert found["open_deal_age_days"] == [22.0]


def test_closed_deal_is_not_open() -> None:
    assert open_deals_at(TABLES, "2024-03-01", "2024-03-02")["open_deals"] == [3.0, 2.0]


def test_contact_without_deals_has_none_open_and_no_description() -> None:
    found = open_deals_at(TABLES, "2024-03-02", contact=1)

    assert found["open_deals"] == [0.0]
    assert all(np.isnan(found[name][0]) for name in found if name != "open_deals")


def test_position_runs_from_the_first_open_stage_to_the_last_whatever_the_numbers() -> None:
    stages = [
        {"pipeline": "sales", "stage": "a", "label": "A", "position": 10, "outcome": "open"},
        {"pipeline": "sales", "stage": "b", "label": "B", "position": 15, "outcome": "open"},
        {"pipeline": "sales", "stage": "c", "label": "C", "position": 30, "outcome": "open"},
        {"pipeline": "sales", "stage": "won", "label": "W", "position": 99, "outcome": "won"},
        {"pipeline": "sales", "stage": "lost", "label": "L", "position": 0, "outcome": "lost"},
        {"pipeline": "tiny", "stage": "only", "label": "O", "position": 7, "outcome": "open"},
    ]
    history = [
        entry("d1", stage, f"2024-01-{day:02d}")
        for day, stage in enumerate(["a", "b", "c", "won", "lost", "only"], start=1)
    ]

    share = position_share(build_timelines(make_tables(deals=[{}], deal_stage_history=history, stages=stages)))

    assert share.tolist() == [0.0, 0.25, 1.0, 1.0, 0.0, 0.0]


def test_deals_lost_before_are_counted_from_just_after_the_loss() -> None:
    found = past_of(TABLES, "2024-03-01", "2024-03-04")

    assert found["lost_deals"].tolist() == [0.0, 1.0]
    assert found["won_deals"].tolist() == [0.0, 0.0]
    assert np.isnan(found["days_since_lost"][0])
    assert found["days_since_lost"][1] == 3.0


def reopened_and_won() -> CrmTables:
    """c1 has d1: lost, re-opened, won by mistake and taken back within hours, won; c2 has d2: lost."""
    history = [
        entry("d1", "demo", "2024-01-01"),
        entry("d1", "lost", "2024-02-01"),
        entry("d1", "demo", "2024-02-10"),
        {"deal_id": "d1", "stage": "won", "entered_at": "2024-02-20T08:00Z"},
        {"deal_id": "d1", "stage": "offer", "entered_at": "2024-02-20T10:00Z"},
        entry("d1", "won", "2024-03-01"),
        entry("d2", "lost", "2024-02-15"),
    ]
    return make_tables(
        contacts=[{}, {}],
        deals=[{}, {}],
        deal_contacts=[link("d1", "c1"), link("d2", "c2"), link("d1", "stranger")],
        deal_stage_history=history,
        stages=SALES_STAGES,
    )


def test_win_taken_back_counts_as_a_win_only_until_then() -> None:
    found = past_of(reopened_and_won(), "2024-02-20T08:00", "2024-02-20T09:00", "2024-02-20T11:00", "2024-03-02")

    assert found["won_deals"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert found["lost_deals"].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert found["days_since_lost"] == pytest.approx([19 + 8 / 24, 19 + 9 / 24, 19 + 11 / 24, 30])


def test_loss_of_somebody_else_is_not_ones_own() -> None:
    found = past_of(reopened_and_won(), "2024-02-14", "2024-02-17", contact=1)

    assert found["lost_deals"].tolist() == [0.0, 1.0]
    assert np.isnan(found["days_since_lost"][0])
    assert found["days_since_lost"][1] == 2.0


def test_nobody_has_no_past() -> None:
    found = past_of(reopened_and_won(), "2024-06-01", contact=-1)

    assert found["lost_deals"].tolist() == found["won_deals"].tolist() == [0.0]
    assert np.isnan(found["days_since_lost"][0])


def test_closings_of_a_contact_are_those_of_all_its_deals_in_time_order() -> None:
    tables = make_tables(
        contacts=[{}],
        deals=[{}, {}],
        deal_contacts=[link("d1", "c1"), link("d2", "c1"), link("d2", "c1")],
        deal_stage_history=[entry("d1", "won", "2024-05-01"), entry("d2", "lost", "2024-04-01")],
        stages=SALES_STAGES,
    )

    closings = closings_of_contacts(tables=tables, timelines=build_timelines(tables), contact_ids=pd.Index(["c1"]))

    assert closings.outcome.tolist() == [LOST, WON]
    assert closings.stream.times.tolist() == moments("2024-04-01", "2024-05-01").tolist()
