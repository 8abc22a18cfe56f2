"""Series: what is counted together, the clock of working hours, and what machines do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.activity_stream import ActivityStream
from features.behaviour import contact_activities, words_of
from features.discounting import Discount
from features.series import SeriesPlan
from features.signatures import signatures_of
from features.sweep import behaviour_before
from features.visibility import effective_time, instant, microseconds
from tests.features.builders import make_frame

IDS = pd.Index(["c1", "c2"])


def at(time: str) -> int:
    return instant(pd.Timestamp(time))


def stream_of(rows: list[dict[str, str]], *, kinds: tuple[str, ...], discount: Discount) -> ActivityStream:
    activities = make_frame("activities", rows)
    return contact_activities(activities=activities, contact_ids=IDS, plan=SeriesPlan(kinds), discount=discount)


def counted(rows: list[dict[str, str]], *, kinds: tuple[str, ...], discount: Discount) -> list[int]:
    """Return which rows count, told by their times, which differ."""
    times = effective_time("activities", make_frame("activities", rows)).tolist()
    return [times.index(time) for time in stream_of(rows, kinds=kinds, discount=discount).stream.times]


def opened(*seconds: float, kind: str = "email_open", contact: str = "c1") -> list[dict[str, str]]:
    start = pd.Timestamp("2024-03-01T10:00:00Z")
    return [
        {"type": kind, "contact_id": contact, "occurred_at": (start + pd.Timedelta(seconds=after)).isoformat()}
        for after in seconds
    ]


@pytest.mark.parametrize(
    ("time", "offset", "working"),
    [
        ("2024-03-01T08:00:00Z", 0, True),  # a Friday
        ("2024-03-01T07:59:59.999999Z", 0, False),
        ("2024-03-01T17:59:59.999999Z", 0, True),
        ("2024-03-01T18:00:00Z", 0, False),
        ("2024-03-02T12:00:00Z", 0, False),  # a Saturday
        ("2024-03-03T23:30:00Z", 9, True),  # Monday 8:30 in Tokyo
        ("2024-03-01T13:00:00Z", -5.5, False),  # 7:30 on that clock
        ("1969-12-31T12:00:00Z", 0, True),  # the Wednesday before 1970
        # the hour that Berlin had twice, and the one it skipped, are each one hour of the world's clock
        ("2024-10-27T02:30:00+02:00", 0, False),
        ("2024-04-02T09:30:00+02:00", 0, False),
        ("2024-04-02T10:00:00+02:00", 0, True),
    ],
)
def test_working_hours_are_monday_to_friday_8_to_18_on_the_configured_clock(
    time: str, offset: float, working: bool
) -> None:
    plan = SeriesPlan(("call",), utc_offset_hours=offset)
    activities = make_frame("activities", [{"type": "call", "contact_id": "c1", "occurred_at": time}])

    signature = signatures_of(
        plan,
        kind=words_of(activities["type"]),
        direction=None,
        outcome=None,
        occurred=microseconds(activities["occurred_at"]),
    )

    starts, members = plan.members()
    series = [plan.names[place] for place in members[starts[signature[0]] : starts[signature[0] + 1]]]
    assert series == (["call", "working_hours"] if working else ["call"])


def test_opens_in_a_burst_count_once() -> None:
    # one, then a scanner three seconds later that never pauses longer than two seconds, then one after three more
    rows = opened(0, 3, 4, 6, 7.5, 10.5)

    found = counted(rows, kinds=("email_open",), discount=Discount())

    assert found == [0, 1, 5]


def test_bursts_are_of_one_kind_and_one_contact() -> None:
    rows = [*opened(0), *opened(1, kind="email_click"), *opened(1.5, contact="c2"), *opened(2)]

    found = counted(rows, kinds=("email_click", "email_open"), discount=Discount())

    # the open of c1 after two seconds follows its own first one
    assert sorted(found) == [0, 1, 2]


def test_calls_never_come_in_bursts() -> None:
    found = counted(opened(0, 1, 2, kind="call"), kinds=("call",), discount=Discount())

    assert found == [0, 1, 2]


def test_bursts_can_be_allowed_and_named_otherwise() -> None:
    rows = opened(0, 1, kind="scan")

    assert len(counted(rows, kinds=("scan",), discount=Discount())) == 2
    assert len(counted(rows, kinds=("scan",), discount=Discount(burst_kinds=("scan",)))) == 1
    assert len(counted(opened(0, 1), kinds=("email_open",), discount=Discount(burst_seconds=0))) == 2


def test_an_open_that_became_known_late_does_not_take_the_place_of_one_known_before() -> None:
    late, early = opened(0, 1)
    rows = [{**late, "known_at": "2024-03-05T00:00:00Z"}, early]

    found = counted(rows, kinds=("email_open",), discount=Discount())

    # until 5 March only the second one is known, so it counts, and the first one never does
    assert found == [1]


def test_of_one_day_no_more_than_the_limit_counts() -> None:
    rows = [
        {"type": "call", "contact_id": "c1", "occurred_at": f"2024-03-0{day}T10:00:{second:02d}Z"}
        for day in (1, 2)
        for second in range(5)
    ]

    found = counted(rows, kinds=("call",), discount=Discount(max_per_day=3))

    assert found == [0, 1, 2, 5, 6, 7]
    assert len(counted(rows, kinds=("call",), discount=Discount(max_per_day=0))) == 10


def test_the_limit_of_a_day_holds_when_other_days_become_known_in_between() -> None:
    first = "2024-03-01T10:00:0{second}Z"
    rows = [
        {"type": "call", "contact_id": "c1", "occurred_at": first.format(second=0)},
        {"type": "call", "contact_id": "c1", "occurred_at": first.format(second=1)},
        # a call of the day before, known between the others
        {
            "type": "call",
            "contact_id": "c1",
            "occurred_at": "2024-02-29T10:00:00Z",
            "known_at": first.format(second=2),
        },
        {"type": "call", "contact_id": "c1", "occurred_at": first.format(second=3)},
    ]

    found = counted(rows, kinds=("call",), discount=Discount(max_per_day=2))

    assert found == [0, 1, 2]


def test_activities_at_one_instant_are_ordered_by_kind_however_they_were_delivered() -> None:
    rows = [*opened(0, kind="visit"), *opened(0, kind="call"), *opened(0, kind="email")]
    kinds = ("call", "email", "visit")

    streams = [stream_of(order, kinds=kinds, discount=Discount()) for order in (rows, rows[::-1])]

    for found in streams:
        assert found.kind_at(np.array([0, 1, 2, -1])).tolist()[:3] == [0, 1, 2]


def test_what_is_discounted_is_not_counted_anywhere() -> None:
    found = behaviour_before(
        activities=stream_of(opened(0, 1, 2), kinds=("email_open",), discount=Discount()),
        objects=np.array([0]),
        as_of=np.array([at("2024-03-02T10:00:00Z")]),
        windows_days=(7,),
        half_lives_days=(1,),
    )

    assert (found.total[0, 0], found.counts[0, 0, 0], found.active_days[0, 0]) == (1, 1, 1)
    assert found.decayed[0, 0, 0] == pytest.approx(0.5)
