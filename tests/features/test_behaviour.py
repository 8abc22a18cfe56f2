"""Behaviour features: windows to the instant, decay, active days, answers, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.behaviour import contact_activities, deal_activities
from features.series import SeriesPlan
from features.sweep import Behaviour, behaviour_before
from features.visibility import MICROSECONDS_PER_DAY, instant
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

    assert found.decayed[0, 0] == pytest.approx([0.25 + 0.5, 2**-0.5 + 2**-0.25])


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
    rows = [{"contact_id": "c1", "type": kind, "occurred_at": "2024-03-10T00:00:00Z"} for kind in ("call", "fax")]

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

    found = deal_activities(tables=tables, deal_ids=pd.Index(["d1", "d2"]), plan=SeriesPlan(KINDS))

    assert found.stream.starts.tolist() == [0, 4, 5]
    assert (found.stream.rows + 1).tolist() == [1, 2, 3, 4, 3]


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

    found = deal_activities(tables=tables, deal_ids=pd.Index(["d1"]), plan=SeriesPlan(KINDS))

    assert found.stream.times.tolist() == [at("2024-03-03T00:00Z"), at("2024-03-05T00:00Z"), at("2024-03-05T00:00Z")]
    assert found.stream.rows.tolist() == [2, 1, 0]


# a call and an e-mail two weeks before; then they and we take turns
CONVERSATION = [
    {"contact_id": "c1", "type": "note", "occurred_at": "2024-02-01T00:00Z"},  # nobody's turn changes
    {"contact_id": "c1", "type": "email", "direction": "outbound", "occurred_at": "2024-02-02T00:00Z"},  # we ask
    {"contact_id": "c1", "type": "email", "direction": "outbound", "occurred_at": "2024-02-04T00:00Z"},  # and again
    {"contact_id": "c1", "type": "email", "direction": "inbound", "occurred_at": "2024-02-05T00:00Z"},  # after 3 days
    {"contact_id": "c1", "type": "email", "direction": "inbound", "occurred_at": "2024-02-06T12:00Z"},
    {"contact_id": "c1", "type": "call", "direction": "outbound", "occurred_at": "2024-02-07T00:00Z"},  # after 2 days
    {"contact_id": "c1", "type": "email", "direction": "inbound", "occurred_at": "2024-02-08T00:00Z"},  # after 1 day
]


def conversation_at(*times: str) -> list[list[float]]:
    ids = pd.Index(["c1"])
    return (
        behaviour_before(
            activities=contact_activities(
                activities=make_frame("activities", CONVERSATION),
                contact_ids=ids,
                plan=SeriesPlan(("call", "email", "note"), directed=True),
            ),
            objects=np.zeros(len(times), dtype=np.int64),
            as_of=np.array([at(time) for time in times]),
            windows_days=(),
            half_lives_days=(),
        )
        .answers.round(9)
        .tolist()
    )


def test_answers_are_timed_from_the_first_message_that_waited() -> None:
    nothing, asked, answered, mutual = conversation_at(
        "2024-02-02T00:00Z", "2024-02-05T00:00Z", "2024-02-06T00:00Z", "2024-02-09T00:00Z"
    )

    nan = pytest.approx(np.nan, nan_ok=True)
    assert nothing == [nan] * 6
    # on 5 February our message of the 2nd has waited three days, and its answer is not yet known
    assert asked == [nan, nan, nan, nan, 3.0, nan]
    # a day later they have answered after three days, and wait for us since
    assert answered == [3.0, 3.0, nan, nan, nan, 1.0]
    # we answered after two days, and they after one: two on average
    assert mutual == [1.0, 2.0, 2.0, 2.0, nan, 1.0]


def test_engagement_of_each_side_fades_on_its_own() -> None:
    ids = pd.Index(["c1"])
    found = behaviour_before(
        activities=contact_activities(
            activities=make_frame("activities", CONVERSATION[:4]),
            contact_ids=ids,
            plan=SeriesPlan(("email", "note"), directed=True),
        ),
        objects=np.array([0]),
        as_of=np.array([at("2024-02-06T00:00Z")]),
        windows_days=(),
        half_lives_days=(1,),
    )

    # the note 5 days before, our messages 4 and 2 days before, theirs a day before
    assert found.decayed[0, :, 0] == pytest.approx([2**-5 + 2**-4 + 2**-2 + 2**-1, 2**-1, 2**-4 + 2**-2])


def test_an_activity_belongs_to_its_kind_its_direction_and_its_outcome() -> None:
    plan = SeriesPlan(("call", "meeting"), directed=True, outcomes=(("call", "connected"), ("meeting", "held")))
    rows = [
        {"type": "call", "direction": "outbound", "outcome": "connected"},
        {"type": "call", "direction": "outbound", "outcome": "held"},  # not an outcome of calls
        {"type": "meeting", "direction": "inbound", "outcome": "held"},
        {"type": "meeting", "outcome": "no_show"},
    ]
    found = behaviour_before(
        activities=contact_activities(
            activities=make_frame("activities", [{"contact_id": "c1", **row} for row in rows]),
            contact_ids=pd.Index(["c1"]),
            plan=plan,
        ),
        objects=np.array([0]),
        as_of=np.array([at("2024-01-02T00:00Z")]),
        windows_days=(7,),
        half_lives_days=(),
    )

    assert plan.names == ("call", "meeting", "inbound", "outbound", "call_connected", "meeting_held")
    assert found.total[0].tolist() == [2, 2, 1, 2, 1, 1]
    assert found.counts[0, :, 0].tolist() == [2, 2, 1, 2]


def test_activities_centuries_away_break_nothing() -> None:
    rows = [
        {"contact_id": "c1", "type": "call", "occurred_at": "1700-01-01T00:00:00Z"},
        {"contact_id": "c1", "type": "email", "occurred_at": "2024-03-09T12:00:00Z"},
        {"contact_id": "c1", "type": "email", "occurred_at": "2999-01-01T00:00:00Z"},
    ]

    now, long_ago = behaviour(rows), behaviour(rows, as_of="1700-01-02T00:00:00Z")

    assert now.total[0].tolist() == [1, 1]
    assert now.decayed[0, 0] == pytest.approx([2 ** (-1 / 7), 2 ** (-1 / 28)])
    assert long_ago.total[0].tolist() == [1, 0]
    assert long_ago.decayed[0, 0] == pytest.approx([2 ** (-1 / 7), 2 ** (-1 / 28)])
