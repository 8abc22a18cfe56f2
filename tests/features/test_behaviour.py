"""Behaviour features: windows to the instant, decay, active days, and the kernel against a plain reading."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.behaviour import (
    ActivityStream,
    Behaviour,
    behaviour_before,
    contact_activities,
    deal_activities,
    kind_codes,
)
from features.visibility import MICROSECONDS_PER_DAY, fact_stream, instant
from tests.features.builders import make_frame, make_tables

DAY = MICROSECONDS_PER_DAY
KINDS = ("call", "email")
AS_OF = "2024-03-10T12:00:00Z"

# c1 as of 10 March noon, with windows of 1, 7 and 28 days that begin on 9 March, 3 March and 11 February at noon
ACTIVITIES = [
    {"contact_id": "c1", "type": "call", "occurred_at": "2024-01-10T12:00:00Z"},  # 60 days before: in no window
    {"contact_id": "c1", "type": "email", "occurred_at": "2024-02-11T12:00:00Z"},  # the first instant of 28 days
    {"contact_id": "c1", "type": "email", "occurred_at": "2024-03-03T11:59:59.999999Z"},  # just outside 7 days
    {"contact_id": "c1", "type": "call", "occurred_at": "2024-03-03T12:00:00Z"},  # the first instant of 7 days
    {"contact_id": "c1", "type": "call", "occurred_at": "2024-03-08T09:00:00Z"},
    {"contact_id": "c1", "type": "email", "occurred_at": "2024-03-08T23:00:00Z"},  # the same day as the one above
    {"contact_id": "c1", "type": "email", "occurred_at": "2024-03-09T12:00:00Z"},  # the first instant of 1 day
    {"contact_id": "c1", "type": "call", "occurred_at": AS_OF},  # at the as-of: not yet known
    {"contact_id": "c2", "type": "call", "occurred_at": "2024-03-10T00:00:00Z"},  # somebody else
]


def at(time: str) -> int:
    return instant(pd.Timestamp(time))


def behaviour(
    rows: list[dict[str, str]], *, contact: str = "c1", as_of: str = AS_OF, kinds: tuple[str, ...] = KINDS
) -> Behaviour:
    ids = pd.Index(["c1", "c2"])
    return behaviour_before(
        activities=contact_activities(activities=make_frame("activities", rows), contact_ids=ids, kinds=kinds),
        objects=ids.get_indexer(pd.Index([contact])),
        as_of=np.array([at(as_of)]),
        windows_days=(1, 7, 28),
        half_lives_days=(7, 28),
    )


def test_windows_begin_with_their_first_instant_and_end_before_the_as_of() -> None:
    found = behaviour(ACTIVITIES)

    call, email = found.counts[0]
    assert call.tolist() == [0, 2, 2]
    assert email.tolist() == [1, 2, 4]
    assert found.total[0].tolist() == [3, 4]


def test_days_since_counts_from_the_last_of_each_kind() -> None:
    found = behaviour(ACTIVITIES)

    # the last call on 8 March at 9:00, two days and three hours before; the last e-mail a day before
    assert found.days_since[0].tolist() == [2.125, 1.0]


def test_active_days_are_distinct_days_of_the_calendar_in_utc() -> None:
    found = behaviour(ACTIVITIES)

    # 1 day: 9 March; 7 days: 3, 8 (twice) and 9 March; 28 days: 11 February and the same (3 March now twice)
    assert found.active_days[0].tolist() == [1, 3, 4]


def test_decayed_activity_halves_with_every_half_life() -> None:
    rows = [
        {"contact_id": "c1", "type": "call", "occurred_at": "2024-02-25T12:00:00Z"},  # 14 days before
        {"contact_id": "c1", "type": "email", "occurred_at": "2024-03-03T12:00:00Z"},  # 7 days before
        {"contact_id": "c1", "type": "email", "occurred_at": "2024-03-10T12:00:00Z"},  # at the as-of
    ]

    found = behaviour(rows)

    assert found.decayed[0] == pytest.approx([0.25 + 0.5, 2**-0.5 + 2**-0.25])


def test_contact_without_activity_has_no_counts_and_no_last_time() -> None:
    found = behaviour(ACTIVITIES[:7], contact="c2")

    assert found.counts.sum() == found.total.sum() == found.decayed.sum() == found.active_days.sum() == 0
    assert np.isnan(found.days_since).all()


def test_activity_counts_from_when_it_was_known() -> None:
    rows = [
        {
            "contact_id": "c1",
            "type": "call",
            "occurred_at": "2024-03-01T12:00:00Z",
            "known_at": "2024-03-10T00:00:00Z",
        }
    ]

    known, not_yet = behaviour(rows), behaviour(rows, as_of="2024-03-10T00:00:00Z")

    assert known.counts[0, 0].tolist() == [1, 1, 1]
    assert known.days_since[0, 0] == 0.5
    assert not_yet.total.sum() == 0


def test_local_times_give_the_same_behaviour_as_utc() -> None:
    # across the change to summer time on 31 March 2024
    local = ["2024-03-31T00:30:00+01:00", "2024-03-31T03:30:00+02:00", "2024-04-01T01:00:00+02:00"]
    utc = ["2024-03-30T23:30:00Z", "2024-03-31T01:30:00Z", "2024-03-31T23:00:00Z"]

    given_locally, given_in_utc = (
        behaviour(
            [{"contact_id": "c1", "type": "call", "occurred_at": time} for time in times],
            as_of="2024-04-01T02:00:00+02:00",
        )
        for times in (local, utc)
    )

    assert given_locally.active_days[0].tolist() == given_in_utc.active_days[0].tolist() == [1, 2, 2]
    assert given_locally.counts[0, 0].tolist() == given_in_utc.counts[0, 0].tolist() == [2, 3, 3]
    assert given_locally.days_since[0, 0] == given_in_utc.days_since[0, 0] == 1 / 24


def test_unlisted_kind_counts_as_other_if_that_is_listed_and_not_at_all_otherwise() -> None:
    types = pd.Series(["call", "fax"])
    rows = [{"contact_id": "c1", "type": kind, "occurred_at": "2024-03-10T00:00:00Z"} for kind in types]

    assert kind_codes(types, kinds=("call", "email")).tolist() == [0, -1]
    assert kind_codes(types, kinds=("call", "other")).tolist() == [0, 1]
    assert behaviour(rows, kinds=("call", "email")).total[0].tolist() == [1, 0]
    assert behaviour(rows, kinds=("call", "other")).total[0].tolist() == [1, 1]
    assert behaviour(rows, kinds=("call", "email")).active_days[0].tolist() == [1, 1, 1]


def test_activities_of_a_deal_are_its_own_and_those_of_its_contacts_that_name_no_deal() -> None:
    tables = make_tables(
        contacts=[{}, {}, {}],
        deals=[{}, {}],
        deal_contacts=[
            {"deal_id": "d1", "contact_id": "c1"},
            {"deal_id": "d1", "contact_id": "c2"},
            {"deal_id": "d2", "contact_id": "c1"},
        ],
        activities=[
            {"deal_id": "d1", "type": "call", "occurred_at": "2024-03-01T00:00Z"},  # a1: of d1
            {"deal_id": "d1", "contact_id": "c1", "type": "call", "occurred_at": "2024-03-02T00:00Z"},  # a2: of d1 only
            {"contact_id": "c1", "type": "call", "occurred_at": "2024-03-03T00:00Z"},  # a3: of d1 and d2
            {"contact_id": "c2", "type": "call", "occurred_at": "2024-03-04T00:00Z"},  # a4: of d1
            {"contact_id": "c3", "type": "call", "occurred_at": "2024-03-05T00:00Z"},  # a5: of no deal
            {"deal_id": "gone", "contact_id": "c1", "type": "call", "occurred_at": "2024-03-06T00:00Z"},  # a6: of none
        ],
    )

    found = deal_activities(tables=tables, deal_ids=pd.Index(["d1", "d2"]), kinds=KINDS)

    assert found.stream.starts.tolist() == [0, 4, 5]
    assert (found.source_rows + 1).tolist() == [1, 2, 3, 4, 3]


def test_what_a_contact_did_before_it_was_created_counts_for_its_deal_from_its_creation_on() -> None:
    tables = make_tables(
        contacts=[{"created_at": "2024-03-05T00:00Z"}],
        deals=[{}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "c1"}, {"deal_id": "d1", "contact_id": "gone"}],
        activities=[
            {"contact_id": "c1", "type": "email", "occurred_at": "2024-03-02T00:00Z"},
            {"contact_id": "c1", "type": "call", "occurred_at": "2024-03-01T00:00Z"},
            {"contact_id": "gone", "type": "call", "occurred_at": "2024-03-03T00:00Z"},
        ],
    )

    found = deal_activities(tables=tables, deal_ids=pd.Index(["d1"]), kinds=KINDS)

    assert found.stream.times.tolist() == [at("2024-03-03T00:00Z"), at("2024-03-05T00:00Z"), at("2024-03-05T00:00Z")]
    assert found.source_rows.tolist() == [2, 1, 0]


def plain_reading(
    *, owner: list[int], times: list[int], kind: list[int], objects: list[int], as_of: list[int]
) -> Behaviour:
    """Compute the same by the definitions, one snapshot at a time."""
    windows, lives = (1.0, 2.5, 7.0), (0.5, 7.0)
    found = Behaviour(
        counts=np.zeros((len(objects), 2, 3)),
        total=np.zeros((len(objects), 2)),
        days_since=np.full((len(objects), 2), np.nan),
        decayed=np.zeros((len(objects), 2)),
        active_days=np.zeros((len(objects), 3)),
    )
    for row, (who, now) in enumerate(zip(objects, as_of, strict=True)):
        past = [(t, k) for o, t, k in zip(owner, times, kind, strict=True) if o == who >= 0 and t < now]
        for which in range(2):
            own = [t for t, k in past if k == which]
            found.total[row, which] = len(own)
            if own:
                found.days_since[row, which] = (now - max(own)) / DAY
            for place, days in enumerate(windows):
                found.counts[row, which, place] = sum(t >= now - days * DAY for t in own)
        for place, days in enumerate(windows):
            found.active_days[row, place] = len({t // DAY for t, _ in past if t >= now - days * DAY})
        for place, days in enumerate(lives):
            found.decayed[row, place] = sum(0.5 ** ((now - t) / DAY / days) for t, _ in past)
    return found


# quarters of a day meet the borders of days and windows again and again
moments = st.integers(0, 80).map(lambda quarter: 19_000 * DAY + quarter * (DAY // 4))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    facts=st.lists(st.tuples(st.integers(0, 2), moments, st.integers(0, 1)), max_size=40),
    snapshots=st.lists(st.tuples(st.integers(-1, 2), moments), min_size=1, max_size=15),
)
def test_kernel_agrees_with_a_plain_reading_of_the_definitions(
    facts: list[tuple[int, int, int]], snapshots: list[tuple[int, int]]
) -> None:
    owner, times, kind = ([fact[part] for fact in facts] for part in range(3))
    objects, as_of = ([snapshot[part] for snapshot in snapshots] for part in range(2))
    stream = fact_stream(objects=np.array(owner, dtype=np.int64), times=np.array(times, dtype=np.int64), object_count=3)
    activities = ActivityStream(
        stream=stream, kind=np.array(kind, dtype=np.int64)[stream.rows], source_rows=stream.rows, kinds=KINDS
    )

    found = behaviour_before(
        activities=activities,
        objects=np.array(objects, dtype=np.int64),
        as_of=np.array(as_of, dtype=np.int64),
        windows_days=(1.0, 2.5, 7.0),
        half_lives_days=(0.5, 7.0),
    )

    expected = plain_reading(owner=owner, times=times, kind=kind, objects=objects, as_of=as_of)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.total, expected.total)
    np.testing.assert_array_equal(found.days_since, expected.days_since)
    np.testing.assert_array_equal(found.active_days, expected.active_days)
    np.testing.assert_allclose(found.decayed, expected.decayed, rtol=1e-12)
