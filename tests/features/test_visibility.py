"""The as-of gate: what counts from when, and what could have been read at an instant."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.fact_stream import fact_stream
from features.visibility import (
    MICROSECONDS_PER_DAY,
    NEVER,
    as_known_at,
    codes,
    effective_time,
    instant,
    link_times,
    microseconds,
    newest_fact,
)
from tests.features.builders import SALES_STAGES, make_frame, make_tables

DAY = MICROSECONDS_PER_DAY


def at(time: str) -> pd.Timestamp:
    return pd.Timestamp(time, tz="UTC")


def test_fact_counts_from_the_later_of_happening_and_being_known() -> None:
    activities = make_frame(
        "activities",
        [
            {"occurred_at": "1970-01-03T00:00Z", "known_at": "1970-01-05T00:00Z"},
            {"occurred_at": "1970-01-03T00:00Z", "known_at": "1970-01-02T00:00Z"},
            {"occurred_at": "1970-01-03T00:00Z", "known_at": None},
        ],
    )

    effective = effective_time("activities", activities)

    assert effective.tolist() == [4 * DAY, 2 * DAY, 2 * DAY]


def test_local_times_are_the_same_instants_as_in_utc() -> None:
    # the night on which Berlin goes from +01:00 to +02:00, and noon in New York
    local = ["2024-03-31T01:30:00+01:00", "2024-03-31T03:30:00+02:00", "2024-07-01T12:00:00-04:00"]
    utc = ["2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z", "2024-07-01T16:00:00Z"]

    given_locally = make_frame("activities", [{"occurred_at": time} for time in local])
    given_in_utc = make_frame("activities", [{"occurred_at": time} for time in utc])

    assert (effective_time("activities", given_locally) == effective_time("activities", given_in_utc)).all()
    assert instant(pd.Timestamp(local[1])) - instant(pd.Timestamp(local[0])) == 3_600_000_000


def test_times_of_any_precision_become_microseconds_and_a_missing_one_never() -> None:
    times = pd.Series(pd.to_datetime(["1970-01-02T00:00:00Z", None], utc=True))

    assert microseconds(times.dt.as_unit("ns")).tolist() == [DAY, NEVER]
    assert microseconds(times.dt.as_unit("s")).tolist() == [DAY, NEVER]


def test_tables_as_known_hold_only_what_lies_strictly_before_the_as_of() -> None:
    tables = make_tables(
        contacts=[{"created_at": "2024-01-01T00:00Z"}, {"created_at": "2024-03-01T00:00Z"}],
        activities=[
            {"contact_id": "c1", "occurred_at": "2024-02-29T23:59:59.999999Z"},
            {"contact_id": "c1", "occurred_at": "2024-03-01T00:00Z"},
            {"contact_id": "c1", "occurred_at": "2024-02-01T00:00Z", "known_at": "2024-03-01T00:00Z"},
        ],
        deals=[{"created_at": "2024-02-01T00:00Z"}, {"created_at": "2024-04-01T00:00Z"}],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "demo", "entered_at": "2024-02-01T00:00Z"},
            {"deal_id": "d1", "stage": "won", "entered_at": "2024-03-02T00:00Z"},
        ],
        stages=SALES_STAGES,
        property_history=[{"property": "level", "value": "junior", "known_at": "2024-03-01T00:00Z"}],
        owners=[{"owner_id": "u1"}],
    )

    known = as_known_at(tables, as_of=at("2024-03-01"))

    assert known["contacts"]["contact_id"].tolist() == ["c1"]
    assert known["activities"]["activity_id"].tolist() == ["a1"]
    assert known["deals"]["deal_id"].tolist() == ["d1"]
    assert known["deal_stage_history"]["stage"].tolist() == ["demo"]
    assert known["property_history"].empty
    assert len(known["stages"]) == 4
    assert len(known["owners"]) == 1
    assert known.absent == ("companies", "deal_contacts")


def test_link_counts_from_when_both_its_deal_and_its_contact_existed() -> None:
    tables = make_tables(
        contacts=[{"created_at": "1970-01-02T00:00Z"}, {"created_at": "1970-01-09T00:00Z"}],
        deals=[{"created_at": "1970-01-05T00:00Z"}],
        deal_contacts=[
            {"deal_id": "d1", "contact_id": "c1"},
            {"deal_id": "d1", "contact_id": "c2"},
            {"deal_id": "d1", "contact_id": "deleted"},
            {"deal_id": "deleted", "contact_id": "c1"},
        ],
    )

    known = as_known_at(tables, as_of=at("1970-01-09"))

    assert link_times(tables).tolist() == [4 * DAY, 8 * DAY, 4 * DAY, NEVER]
    assert known["deal_contacts"]["contact_id"].tolist() == ["c1", "deleted"]


def test_stream_sorts_by_object_and_time_and_leaves_out_what_belongs_to_nobody() -> None:
    stream = fact_stream(objects=np.array([1, 0, -1, 1, 0]), times=np.array([50, 30, 1, 20, NEVER]), object_count=3)

    assert stream.starts.tolist() == [0, 1, 3, 3]
    assert stream.times.tolist() == [30, 20, 50]
    assert stream.rows.tolist() == [1, 3, 0]


def test_facts_at_the_same_instant_keep_their_row_order_unless_told_otherwise() -> None:
    objects, times = np.zeros(3, dtype=np.int64), np.full(3, 10)

    plain = fact_stream(objects=objects, times=times, object_count=1)
    ordered = fact_stream(
        objects=objects, times=times, object_count=1, ties=(np.array([2, 1, 1]), np.array([0.0, 9.0, 8.0]))
    )

    assert plain.rows.tolist() == [0, 1, 2]
    assert ordered.rows.tolist() == [2, 1, 0]


def test_stream_counts_and_finds_facts_strictly_before_the_as_of() -> None:
    stream = fact_stream(objects=np.array([0, 0, 1]), times=np.array([10, 20, 5]), object_count=2)
    objects, as_of = np.array([0, 0, 0, 0, 1, -1]), np.array([10, 11, 20, 99, 5, 99])

    assert stream.before(objects=objects, as_of=as_of).tolist() == [0, 1, 1, 2, 0, 0]
    assert stream.last_before(objects=objects, as_of=as_of).tolist() == [-1, 0, 0, 1, -1, -1]


def test_unknown_and_missing_ids_have_the_code_minus_one() -> None:
    ids = make_frame("activities", [{"contact_id": "c2"}, {"contact_id": None}, {"contact_id": "x"}])["contact_id"]

    assert codes(ids, index=pd.Index(["c1", "c2"])).tolist() == [1, -1, -1]


def test_the_newest_fact_is_the_last_that_was_known_before() -> None:
    tables = make_tables(
        contacts=[{"contact_id": "c1", "created_at": "2026-01-01T00:00Z"}],
        deals=[{"deal_id": "d1", "created_at": "2026-01-03T00:00Z"}],
        activities=[
            {
                "activity_id": "a",
                "contact_id": "c1",
                "occurred_at": "2026-01-02T00:00Z",
                "known_at": "2026-01-05T00:00Z",
            },
            {"activity_id": "b", "contact_id": "c1", "occurred_at": "2026-02-01T00:00Z"},
        ],
    )

    assert newest_fact(tables, before=at("2026-02-01")) == at("2026-01-05")
    assert newest_fact(tables, before=at("2026-01-05")) == at("2026-01-03")
    assert newest_fact(tables, before=at("2026-01-03")) == at("2026-01-01")
    assert newest_fact(tables, before=at("2026-01-01")) is None
