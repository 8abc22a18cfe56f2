"""Features of what happened: each worked out by hand, and all against a plain reading of their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.activity_columns import activity_columns
from features.behaviour import contact_activities
from features.discounting import NO_DISCOUNT
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract
from features.properties import PropertySettings
from features.tables import CrmTables
from features.visibility import instant
from tests.features.builders import make_tables
from tests.features.plain_reading import (
    CONTACTS,
    Happening,
    activities_frame,
    assert_agrees,
    contract_with,
    happenings,
    plain_row,
    snapshots,
)

NAN = pytest.approx(np.nan, nan_ok=True)
AS_OF = "2024-03-11T00:00:00Z"

# c1 as of Monday 11 March; 28 days before is 12 February, 56 days before 15 January, 90 days before 12 December
HISTORY = [
    {"type": "form", "direction": "inbound", "occurred_at": "2023-11-01T09:00Z"},  # a Wednesday morning
    {"type": "email", "direction": "outbound", "occurred_at": "2024-01-20T12:00Z"},  # a Saturday
    {"type": "meeting", "outcome": "no_show", "direction": "outbound", "occurred_at": "2024-02-01T10:00Z"},
    {"type": "email", "direction": "inbound", "occurred_at": "2024-02-12T00:00Z"},  # a Monday, the first of 28 days
    {"type": "meeting", "outcome": "held", "direction": "outbound", "occurred_at": "2024-02-20T10:00Z"},
    {"type": "meeting", "outcome": "held", "direction": "outbound", "occurred_at": "2024-03-06T15:00Z"},
    {"type": "email", "direction": "inbound", "occurred_at": "2024-03-08T20:00Z"},  # a Friday evening
    {"type": "form", "direction": "inbound", "occurred_at": AS_OF},  # at the as-of: not yet known
]


def tables_of(rows: list[dict[str, Any]]) -> CrmTables:
    return make_tables(
        contacts=[{"contact_id": "c1"}, {"contact_id": "c2"}],
        activities=[{"contact_id": "c1", **row} for row in rows],
    )


def learn(tables: CrmTables) -> FeatureContract:
    settings = FeatureSettings(windows_days=(7, 90), half_lives_days=(7,), min_level_count=1)
    return learn_contract(question="contacts", tables=tables, settings=settings, properties=PropertySettings())[0]


def row_of(rows: list[dict[str, Any]], *, contact: int = 0, as_of: str = AS_OF) -> dict[str, float]:
    tables = tables_of(rows)
    contract = learn(tables)
    activities = contact_activities(
        activities=tables["activities"], contact_ids=pd.Index(["c1", "c2"]), plan=contract.plan
    )
    columns = activity_columns(
        activities, objects=np.array([contact]), as_of=np.array([instant(pd.Timestamp(as_of))]), plan=contract.behaviour
    )
    return {name: float(column[0]) for name, column in columns.items()}


def test_their_activities_and_ours_are_counted_apart() -> None:
    row = row_of(HISTORY)

    # in 90 days: e-mails of 12 February and 8 March theirs; e-mail and three meetings ours
    assert (row["inbound_7d"], row["inbound_90d"], row["inbound_total"]) == (1, 2, 3)
    assert (row["outbound_7d"], row["outbound_90d"], row["outbound_total"]) == (1, 4, 4)
    assert row["inbound_share_90d"] == pytest.approx(2 / 6)
    assert row["days_since_outbound"] == pytest.approx(4 + 9 / 24)
    assert row["days_since_inbound"] == pytest.approx(2 + 4 / 24)


def test_engagement_of_each_side_fades() -> None:
    row = row_of(HISTORY[5:])

    assert row["warmth_inbound_7d"] == pytest.approx(0.5 ** ((2 + 4 / 24) / 7))
    assert row["warmth_outbound_7d"] == pytest.approx(0.5 ** ((4 + 9 / 24) / 7))
    assert row["warmth_7d"] == pytest.approx(row["warmth_inbound_7d"] + row["warmth_outbound_7d"])


def test_outcomes_are_counted_per_kind() -> None:
    row = row_of(HISTORY)

    assert (row["meeting_held_total"], row["meeting_no_show_total"], row["meeting_total"]) == (2, 1, 3)


def test_mix_of_kinds_is_that_of_the_longest_window() -> None:
    row = row_of(HISTORY)

    # three e-mails and three meetings; the form lies before
    assert row["kinds_used_90d"] == 2
    assert row["main_kind_share_90d"] == 0.5


def test_trend_compares_the_last_28_days_with_the_28_before() -> None:
    # four since 12 February; the e-mail of 20 January and the meeting of 1 February before
    assert row_of(HISTORY)["trend_28d"] == pytest.approx(4 / 6)
    # as of 10 February there are two in the last 28 days, and none before
    assert row_of(HISTORY, as_of="2024-02-10T00:00Z")["trend_28d"] == 1.0
    # as of 30 December the form is 59 days old
    assert row_of(HISTORY, as_of="2023-12-30T00:00Z")["trend_28d"] == NAN


def test_first_and_last_activity_are_told() -> None:
    row = row_of(HISTORY)

    # kinds in order: email, form, meeting
    assert (row["first_kind"], row["last_kind"]) == (1, 0)
    assert row["days_since_first"] == pytest.approx(130 + 15 / 24)
    assert row["days_since_any"] == pytest.approx(2 + 4 / 24)


def test_share_in_working_hours_is_of_all_activities_so_far() -> None:
    # the form and three meetings of seven; the e-mails came on a Saturday, at midnight and in the evening
    assert row_of(HISTORY)["working_hours_share"] == pytest.approx(4 / 7)


def test_answers_and_waiting_are_told_for_both_sides() -> None:
    row = row_of(HISTORY)

    # ours of 20 January waited until 12 February: 22.5 days; ours of 20 February until 8 March: 17 days 10 hours
    assert row["their_last_answer_days"] == pytest.approx(17 + 10 / 24)
    assert row["their_mean_answer_days"] == pytest.approx((22.5 + 17 + 10 / 24) / 2)
    # the form of 1 November waited until 20 January: 80 days 3 hours; theirs of 12 February 8 days 10 hours
    assert row["our_last_answer_days"] == pytest.approx(8 + 10 / 24)
    assert row["our_mean_answer_days"] == pytest.approx((80 + 3 / 24 + 8 + 10 / 24) / 2)
    # since Friday evening they wait for us
    assert row["waiting_for_us_days"] == pytest.approx(2 + 4 / 24)
    assert row["waiting_for_them_days"] == NAN


def test_somebody_with_whom_nothing_happened_has_counts_of_zero_and_no_shares() -> None:
    row = row_of(HISTORY, contact=1)

    counts = {"form_total", "inbound_90d", "meeting_held_total", "kinds_used_90d", "warmth_inbound_7d"}
    unknown = {
        "first_kind",
        "days_since_first",
        "inbound_share_90d",
        "main_kind_share_90d",
        "trend_28d",
        "their_mean_answer_days",
        "waiting_for_us_days",
        "working_hours_share",
    }
    assert {row[name] for name in counts} == {0}
    assert [name for name in unknown if not np.isnan(row[name])] == []


def test_without_both_directions_nothing_rests_on_direction() -> None:
    contract = learn(tables_of([{"type": "form", "direction": "inbound"}, {"type": "call"}]))

    assert not contract.directed
    assert [name for name in contract.names if "bound" in name or "answer" in name or "waiting" in name] == []


def test_an_outcome_that_says_no_more_than_its_kind_is_no_feature() -> None:
    rows = [
        {"type": "visit", "outcome": "done"},
        {"type": "visit", "outcome": "done"},
        {"type": "call", "outcome": "connected"},
        {"type": "call"},
    ]

    assert learn(tables_of(rows)).outcomes == (("call", "connected"),)


WITHOUT_REST = {"kinds": ("call", "email_open"), "discount": NO_DISCOUNT}


@pytest.mark.parametrize("changed", [{}, WITHOUT_REST], ids=["discounted", "not discounted"])
@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(facts=st.lists(happenings, min_size=10, max_size=40), asked=snapshots)
def test_every_column_agrees_with_a_plain_reading_of_the_definitions(
    changed: dict[str, Any], facts: list[Happening], asked: list[tuple[str, int]]
) -> None:
    contract = contract_with(**changed)
    ids = pd.Index(CONTACTS)
    activities = contact_activities(
        activities=activities_frame(facts), contact_ids=ids, plan=contract.plan, discount=contract.discount
    )

    found = activity_columns(
        activities,
        objects=ids.get_indexer(pd.Index([who for who, _ in asked])),
        as_of=np.array([now for _, now in asked]),
        plan=contract.behaviour,
    )

    expected = [
        plain_row([one for one in facts if one.contact == who], as_of=now, contract=contract) for who, now in asked
    ]
    assert_agrees(found, expected)
