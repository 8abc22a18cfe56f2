"""The manual point rules, replayed from what was known, and mapped to a probability."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.properties import PropertySettings, SafeColumns
from features.tables import CrmTables
from models.rules.replay import Points, apply_rules
from models.rules.sheet import PointRules
from tests.features.builders import SALES_STAGES, make_frame, make_tables

AS_OF = "2024-06-01T00:00:00Z"
SAFE = PropertySettings(contacts=SafeColumns(safe=("industry", "country", "employees", "newsletter", "title")))


def rules_of(*fit: dict[str, Any], engagement: tuple[dict[str, Any], ...] = (), **more: Any) -> PointRules:
    named = [{"name": f"rule {place}", "points": 1, **line} for place, line in enumerate((*fit, *engagement))]
    return PointRules.model_validate(
        {
            "fit": {"criteria": named[: len(fit)], **more.get("fit_more", {})},
            "engagement": {"criteria": named[len(fit) :], **more.get("engagement_more", {})},
        }
    )


def crm() -> CrmTables:
    return make_tables(
        contacts=[
            {"contact_id": "anna", "industry": "toys", "country": "DE", "employees": 250, "newsletter": True,
             "title": "Head of Toys"},
            {"contact_id": "ben", "industry": "tools", "country": "FR", "employees": 5, "newsletter": False,
             "title": "clerk"},
            {"contact_id": "cleo", "industry": None, "country": None, "employees": None, "newsletter": None,
             "title": None},
        ],
        activities=[
            {"contact_id": "anna", "type": "demo", "occurred_at": "2024-05-30T00:00:00Z"},
            {"contact_id": "anna", "type": "visit", "occurred_at": "2024-05-02T00:00:00Z"},
            {"contact_id": "anna", "type": "visit", "occurred_at": "2024-05-29T00:00:00Z"},
            {"contact_id": "ben", "type": "visit", "occurred_at": "2024-02-01T00:00:00Z"},
            {"contact_id": "cleo", "type": "demo", "occurred_at": "2024-06-02T00:00:00Z"},
        ],
    )  # fmt: skip


def replay(
    rules: PointRules,
    *,
    tables: CrmTables | None = None,
    who: tuple[str, ...] = ("anna", "ben", "cleo"),
    as_of: str = AS_OF,
    properties: PropertySettings | None = None,
) -> Points:
    properties = properties or (SAFE if tables is None else PropertySettings())
    snapshots = pd.DataFrame({"contact_id": pd.Series(who, dtype="str"), "as_of": pd.Timestamp(as_of).as_unit("us")})
    return apply_rules(rules=rules, tables=tables or crm(), snapshots=snapshots, properties=properties)


def test_a_sheet_worked_out_by_hand() -> None:
    rules = rules_of(
        {"name": "industry", "property": "industry", "in": ["toys", "games"], "points": 15},
        {"name": "small", "property": "employees", "between": [0, 10], "points": -20},
        engagement=(
            {"name": "demo", "activity": "demo", "within_days": 28, "points": 30},
            {"name": "visits", "activity": "visit", "at_least": 2, "points": 10},
            {"name": "silent", "inactive_days": 60, "points": -15},
        ),
    )

    points = replay(rules)

    assert [line.name for line in points.lines] == ["industry", "small", "demo", "visits", "silent"]
    assert [line.group for line in points.lines] == ["fit", "fit", "engagement", "engagement", "engagement"]
    assert points.log.tolist() == [
        # Anna: toys; 250 people; a demo two days before; two visits.
        [15, 0, 30, 10, 0],
        # Ben: 5 people, and his only visit is four months old.
        [0, -20, 0, 0, -15],
        # Cleo: nothing is known of her, and nothing happened since January. Her demo is yet to come.
        [0, 0, 0, 0, -15],
    ]
    # Of Cleo nothing is known that could fit or not, and that is not 0.
    assert points.fit.tolist() == pytest.approx([15, -20, np.nan], nan_ok=True)
    assert points.engagement.tolist() == [40, -15, -15]
    assert points.total.tolist() == [55, -35, -15]
    assert points.left_out == ()


@pytest.mark.parametrize(
    ("test", "met"),
    [
        ({"property": "industry", "is": "toys"}, [1, 0, 0]),
        ({"property": "industry", "is": "Toys"}, [0, 0, 0]),
        ({"property": "industry", "in": ["tools", "toys"]}, [1, 1, 0]),
        ({"property": "title", "contains": "HEAD OF"}, [1, 0, 0]),
        ({"property": "title", "contains": "."}, [0, 0, 0]),
        ({"property": "employees", "between": [5, 249]}, [0, 1, 0]),
        ({"property": "employees", "between": [5, 250]}, [1, 1, 0]),
        ({"property": "employees", "is": 250}, [1, 0, 0]),
        ({"property": "employees", "is": "250"}, [1, 0, 0]),
        ({"property": "employees", "in": [5, 6]}, [0, 1, 0]),
        ({"property": "employees", "contains": "25"}, [1, 0, 0]),
        ({"property": "newsletter", "is": True}, [1, 0, 0]),
        ({"property": "newsletter", "is": False}, [0, 1, 0]),
        ({"property": "newsletter", "in": [True, False]}, [1, 1, 0]),
        ({"property": "industry", "known": True}, [1, 1, 0]),
        ({"property": "industry", "known": False}, [0, 0, 1]),
        ({"property": "industry", "is": "nan"}, [0, 0, 0]),
        ({"property": "industry", "is": "None"}, [0, 0, 0]),
        ({"property": "industry", "between": [0, 10]}, [0, 0, 0]),
    ],
)
def test_each_test_of_a_property(test: dict[str, Any], met: list[int]) -> None:
    points = replay(rules_of(test))

    assert points.times[:, 0].tolist() == met
    # A missing value is neither met nor missed; only whether it is there is known.
    assert points.judged[:, 0].tolist() == [True, True, "known" in test]


@pytest.mark.parametrize(
    ("test", "met"),
    [
        ({"activity": "visit"}, [1, 1, 0]),
        ({"activity": "visit", "at_least": 2}, [1, 0, 0]),
        ({"activity": "visit", "within_days": 30}, [1, 0, 0]),
        ({"activity": "visit", "at_least": 2, "within_days": 29}, [0, 0, 0]),
        ({"activity": "visit", "at_least": 2, "within_days": 30}, [1, 0, 0]),
        ({"inactive_days": 2}, [0, 1, 1]),
        ({"inactive_days": 1}, [1, 1, 1]),
        ({"inactive_days": 130}, [0, 0, 1]),
    ],
)
def test_each_test_of_behaviour(test: dict[str, Any], met: list[int]) -> None:
    assert replay(rules_of(engagement=(test,))).total.tolist() == met


def test_a_new_contact_has_not_been_silent_for_long() -> None:
    tables = make_tables(
        contacts=[{"contact_id": "new", "created_at": "2024-05-25T00:00:00Z"}, {"contact_id": "old"}],
        activities=[{"contact_id": "someone else"}],
    )

    points = replay(rules_of(engagement=({"inactive_days": 60, "points": -15},)), tables=tables, who=("new", "old"))

    assert points.total.tolist() == [0, -15]


def test_an_activity_after_the_as_of_or_not_yet_known_gives_nothing() -> None:
    tables = make_tables(
        contacts=[{"contact_id": name} for name in ("after", "at", "logged late", "before")],
        activities=[
            {"contact_id": "after", "occurred_at": "2024-06-01T00:00:01Z"},
            {"contact_id": "at", "occurred_at": AS_OF},
            {"contact_id": "logged late", "occurred_at": "2024-05-01T00:00:00Z", "known_at": "2024-06-03T00:00:00Z"},
            {"contact_id": "before", "occurred_at": "2024-05-31T23:59:59Z"},
        ],
    )
    rules = rules_of(engagement=({"activity": "email_open"},))

    points = replay(rules, tables=tables, who=("after", "at", "logged late", "before"))

    assert points.total.tolist() == [0, 0, 0, 1]


def test_a_property_with_history_counts_as_it_stood() -> None:
    tables = make_tables(
        contacts=[{"contact_id": "anna", "level": "boss"}],
        property_history=[
            {"object_id": "anna", "property": "level", "value": "clerk", "known_at": "2024-02-01T00:00:00Z"},
            {"object_id": "anna", "property": "level", "value": "boss", "known_at": "2024-05-01T00:00:00Z"},
        ],
    )
    rules = rules_of({"property": "level", "is": "boss"})

    found = [
        replay(rules, tables=tables, who=("anna",), as_of=as_of, properties=PropertySettings()).total[0]
        for as_of in ("2024-01-15T00:00:00Z", "2024-03-01T00:00:00Z", "2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z")
    ]

    # Before the history begins the level is unknown, which is not 0.
    assert found == pytest.approx([np.nan, 0, 0, 1], nan_ok=True)


@pytest.mark.parametrize(
    ("criterion", "reason"),
    [
        (
            {"property": "industry", "is": "toys"},
            "property 'industry' has no history and is not vouched for, so the past cannot be replayed",
        ),
        ({"property": "industri", "is": "toys"}, "no property 'industri'; did you mean 'industry'?"),
        ({"company_property": "size", "is": 1}, "property 'company_id' is empty everywhere"),
        ({"deal": "open", "amount": [1, 2]}, "no deal of a contact in the tables"),
        ({"activity": "trade_fair"}, "no activity of kind 'trade_fair' in the tables"),
        ({"activity": ["demo", "visit"], "name_contains": "prices"}, "whose name contains 'prices' in the tables"),
        ({"deal": "open"}, "no deal of a contact in the tables"),
    ],
)
def test_what_can_be_judged_nowhere_is_left_out_with_its_reason(criterion: dict[str, Any], reason: str) -> None:
    points = replay(rules_of({"name": "it", **criterion}), tables=crm())

    assert np.isnan(points.total).all()
    assert [(item.table, item.column) for item in points.left_out] == [("point_rules", "it")]
    assert reason in points.left_out[0].reason


def test_a_criterion_on_a_table_that_is_not_there_is_left_out() -> None:
    tables = make_tables(contacts=[{"contact_id": "anna", "company_id": "toys inc"}])
    properties = PropertySettings(contacts=SafeColumns(safe=("company_id",)), companies=SafeColumns(safe=("size",)))

    points = replay(
        rules_of({"company_property": "size", "is": 1}), tables=tables, who=("anna",), properties=properties
    )

    assert [item.reason for item in points.left_out] == ["there is no table companies"]


def test_without_any_activity_nobody_is_called_silent() -> None:
    tables = make_tables(contacts=[{"contact_id": "anna"}])

    points = replay(rules_of(engagement=({"inactive_days": 60, "points": -15},)), tables=tables, who=("anna",))

    assert np.isnan(points.total).all()
    assert [item.reason for item in points.left_out] == ["no activity in the tables"]


def test_before_a_kind_of_activity_was_recorded_nobody_is_known_to_have_done_none() -> None:
    tables = make_tables(
        contacts=[{"contact_id": "anna"}, {"contact_id": "ben"}],
        activities=[{"contact_id": "ben", "type": "demo", "occurred_at": "2024-05-01T00:00:00Z"}],
    )
    rules = rules_of(engagement=({"activity": "demo"}, {"inactive_days": 30, "points": -1}))

    before, after = (
        replay(rules, tables=tables, who=("anna", "ben"), as_of=as_of).total.tolist()
        for as_of in ("2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z")
    )

    assert before == pytest.approx([np.nan, np.nan], nan_ok=True)
    assert after == [-1, 1]


kinds = st.sampled_from(["visit", "demo"])


@settings(max_examples=50, deadline=None)
@given(
    events=st.lists(st.tuples(st.integers(0, 99), kinds), max_size=12),
    as_ofs=st.lists(st.integers(1, 120), min_size=1, max_size=4),
    within=st.none() | st.integers(1, 60),
    at_least=st.integers(1, 3),
    per_event=st.booleans(),
    fading=st.sampled_from([{}, {"half_life_days": 20}, {"fade_percent_per_month": 40}]),
)
def test_activities_count_as_a_plain_reading_of_the_sheet_says(
    events: list[tuple[int, str]],
    as_ofs: list[int],
    within: int | None,
    at_least: int,
    per_event: bool,
    fading: dict[str, float],
) -> None:
    start = pd.Timestamp("2024-01-01T00:00:00Z")
    anchor = {"contact_id": "ben", "type": "visit", "occurred_at": start.isoformat()}
    tables = make_tables(
        contacts=[{"contact_id": "anna", "created_at": "2023-12-31T00:00:00Z"}, {"contact_id": "ben"}],
        activities=[
            anchor,
            *(
                {"contact_id": "anna", "type": kind, "occurred_at": (start + pd.Timedelta(days=day)).isoformat()}
                for day, kind in events
            ),
        ],
    )
    window = {} if fading else {"within_days": within}
    once = {} if per_event else {"at_least": at_least}
    rules = rules_of(
        engagement=({"activity": "visit", "points": 10, "per_event": per_event, **window, **once, **fading},),
        engagement_more={"cap": 10_000},
    )

    def left(age: int) -> float:
        if "half_life_days" in fading:
            return float(0.5 ** (age / 20))
        return max(0.0, 1 - 0.4 * age / 30) if fading else 1.0

    for as_of in as_ofs:
        ages = [as_of - day for day, kind in events if kind == "visit" and day < as_of]
        counted = [age for age in ages if fading or within is None or age <= within]
        expected = sum(map(left, counted)) if per_event else left(min(counted)) if len(counted) >= at_least else 0.0

        found = replay(rules, tables=tables, who=("anna",), as_of=(start + pd.Timedelta(days=as_of)).isoformat())

        assert found.total[0] == pytest.approx(round(10 * expected, 2), abs=0.0101)


VISITS = ("2024-03-02T00:00:00Z", "2024-05-02T00:00:00Z", "2024-05-17T00:00:00Z")


@pytest.mark.parametrize(
    ("criterion", "given"),
    [
        # The visits lie 91, 30 and 15 days back.
        ({"per_event": True}, 30.0),
        ({"per_event": True, "within_days": 30}, 20.0),
        ({"per_event": True, "cap": 25}, 25.0),
        ({"per_event": True, "points": -10, "cap": 25}, -25.0),
        ({"half_life_days": 15}, 5.0),
        ({"per_event": True, "half_life_days": 15}, 10 * (2 ** (-91 / 15) + 0.25 + 0.5)),
        ({"fade_percent_per_month": 50}, 7.5),
        ({"per_event": True, "fade_percent_per_month": 50}, 12.5),
        ({"per_event": True, "fade_percent_per_month": 50, "cap": 9.99}, 9.99),
        ({"at_least": 3, "half_life_days": 15}, 5.0),
        ({"at_least": 4, "half_life_days": 15}, 0.0),
        ({"points": 1 / 3}, 0.33),
    ],
)
def test_points_for_each_event_and_points_that_fade(criterion: dict[str, Any], given: float) -> None:
    tables = make_tables(
        contacts=[{"contact_id": "anna"}],
        activities=[
            *({"contact_id": "anna", "type": "visit", "occurred_at": at} for at in VISITS),
            {"contact_id": "anna", "type": "visit", "occurred_at": "2024-06-02T00:00:00Z"},
        ],
    )
    rules = rules_of(engagement=({"activity": "visit", "points": 10, **criterion},))

    points = replay(rules, tables=tables, who=("anna",))

    assert points.total[0] == pytest.approx(round(given, 2), abs=1e-12)


@pytest.mark.parametrize(
    ("criterion", "given"),
    [
        ({"activity": ["visit", "demo"]}, [3, 1]),
        ({"activity": "any"}, [4, 1]),
        ({"activity": "any", "name_contains": "PRICING"}, [2, 0]),
        ({"activity": "visit", "name_contains": "pricing"}, [1, 0]),
        ({"activity": "visit", "name_contains": "."}, [0, 1]),
    ],
)
def test_kinds_and_names_of_activities(criterion: dict[str, Any], given: list[int]) -> None:
    tables = make_tables(
        contacts=[{"contact_id": "anna"}, {"contact_id": "ben"}],
        activities=[
            {"contact_id": "anna", "type": "visit", "name": "Our pricing page"},
            {"contact_id": "anna", "type": "visit", "name": "Home"},
            {"contact_id": "anna", "type": "demo"},
            {"contact_id": "anna", "type": "mail", "name": "pricing"},
            {"contact_id": "ben", "type": "visit", "name": "/a.html"},
        ],
    )
    rules = rules_of(engagement=({"per_event": True, **criterion},))

    assert replay(rules, tables=tables, who=("anna", "ben")).total.tolist() == given


def dealings() -> CrmTables:
    return make_tables(
        contacts=[{"contact_id": name} for name in ("anna", "ben", "cleo", "dan")],
        deals=[
            {"deal_id": "a", "created_at": "2024-02-01T00:00:00Z", "amount": 900},
            {"deal_id": "b", "created_at": "2024-03-01T00:00:00Z", "amount": 50},
            {"deal_id": "c", "created_at": "2024-02-01T00:00:00Z"},
        ],
        deal_contacts=[
            {"deal_id": "a", "contact_id": "anna"},
            {"deal_id": "b", "contact_id": "ben"},
            {"deal_id": "c", "contact_id": "cleo"},
        ],
        deal_stage_history=[
            {"deal_id": "a", "stage": "demo", "entered_at": "2024-02-01T00:00:00Z"},
            {"deal_id": "a", "stage": "offer", "entered_at": "2024-05-01T00:00:00Z"},
            {"deal_id": "a", "stage": "won", "entered_at": "2024-07-01T00:00:00Z"},
            {"deal_id": "b", "stage": "demo", "entered_at": "2024-03-01T00:00:00Z"},
            {"deal_id": "b", "stage": "lost", "entered_at": "2024-04-01T00:00:00Z"},
            {"deal_id": "c", "stage": "demo", "entered_at": "2024-02-01T00:00:00Z"},
        ],
        stages=SALES_STAGES,
    )


@pytest.mark.parametrize(
    ("criterion", "as_of", "given"),
    [
        ({"deal": "open"}, AS_OF, [1, 0, 1, 0]),
        ({"deal": "open"}, "2024-03-15T00:00:00Z", [1, 1, 1, 0]),
        ({"deal": "open", "at_least": 2}, AS_OF, [0, 0, 0, 0]),
        ({"deal": "open", "stage": "offer"}, AS_OF, [1, 0, 0, 0]),
        ({"deal": "open", "stage": ["Offer", "Demo"]}, AS_OF, [1, 0, 1, 0]),
        ({"deal": "open", "stage": "offer"}, "2024-05-01T00:00:00Z", [0, 0, 0, 0]),
        # Nobody knows what Cleo's deal is worth.
        ({"deal": "open", "amount": [100, None]}, AS_OF, [1, 0, np.nan, 0]),
        ({"deal": "open", "amount": [None, 100]}, AS_OF, [0, 0, np.nan, 0]),
        ({"deal": "lost"}, AS_OF, [0, 1, 0, 0]),
        ({"deal": "won"}, AS_OF, [0, 0, 0, 0]),
        ({"deal": "won"}, "2024-07-02T00:00:00Z", [1, 0, 0, 0]),
        # Before the first deal of all nobody had begun to record them.
        ({"deal": "won"}, "2024-02-01T00:00:00Z", [np.nan] * 4),
    ],
)
def test_criteria_on_deals(criterion: dict[str, Any], as_of: str, given: list[float]) -> None:
    properties = PropertySettings(deals=SafeColumns(safe=("amount",)))

    points = replay(
        rules_of(engagement=(criterion,)),
        tables=dealings(),
        who=("anna", "ben", "cleo", "dan"),
        as_of=as_of,
        properties=properties,
    )

    assert points.total.tolist() == pytest.approx(given, nan_ok=True)


@pytest.mark.parametrize(
    ("criterion", "reason"),
    [
        ({"deal": "open", "stage": "Offr"}, "no open stage 'Offr' in the tables; did you mean 'Offer'?"),
        ({"deal": "open", "stage": "won"}, "no open stage 'won'"),
        ({"deal": "open", "amount": [1, None]}, "deals: property 'amount' has no history"),
    ],
)
def test_criteria_on_deals_that_cannot_be_judged(criterion: dict[str, Any], reason: str) -> None:
    points = replay(rules_of(engagement=(criterion,)), tables=dealings(), who=("anna",))

    assert reason in points.left_out[0].reason


def test_a_company_counts_once_it_is_linked_and_created() -> None:
    tables = make_tables(
        contacts=[{"contact_id": name} for name in ("anna", "ben", "cleo", "dan")],
        companies=[
            {"company_id": "toys inc", "size": "big"},
            {"company_id": "new inc", "size": "big", "created_at": "2024-07-01T00:00:00Z"},
            {"company_id": "small inc", "size": "small"},
        ],
        property_history=[
            {"object_id": "anna", "property": "company_id", "value": "toys inc", "known_at": "2024-03-01T00:00:00Z"},
            {"object_id": "ben", "property": "company_id", "value": "new inc", "known_at": "2024-03-01T00:00:00Z"},
            {"object_id": "cleo", "property": "company_id", "value": "small inc", "known_at": "2024-03-01T00:00:00Z"},
        ],
    )
    rules = rules_of({"company_property": "size", "is": "big", "points": 5})
    who = ("anna", "ben", "cleo", "dan")

    before, now = (
        replay(
            rules,
            tables=tables,
            who=who,
            as_of=as_of,
            properties=PropertySettings(companies=SafeColumns(safe=("size",))),
        ).total.tolist()
        for as_of in ("2024-02-01T00:00:00Z", AS_OF)
    )

    assert before == pytest.approx([np.nan] * 4, nan_ok=True)
    assert now == pytest.approx([5, np.nan, 0, np.nan], nan_ok=True)


def test_own_groups_count_in_the_total_and_the_total_has_limits_of_its_own() -> None:
    rules = PointRules.model_validate(
        {
            "fit": {"criteria": [{"name": "toys", "property": "industry", "is": "toys", "points": 40}]},
            "campaign": {
                "cap": 70,
                "floor": -5,
                "criteria": [
                    {"name": "home", "property": "country", "is": "DE", "points": 60},
                    {"name": "abroad", "property": "country", "is": "FR", "points": -20.5},
                ],
            },
            "cap": 90,
            "floor": 0,
        }
    )

    points = replay(rules, who=("anna", "ben"))

    assert [line.name for line in points.lines] == [
        "toys", "home", "abroad", "limit of campaign", "limit of the total",
    ]  # fmt: skip
    assert points.log.tolist() == [[40, 60, 0, 0, -10], [0, 0, -20.5, 15.5, 5]]
    assert points.of_group("campaign").tolist() == [60, -5]
    assert points.total.tolist() == [90, 0]


def test_a_cap_holds_a_group_on_both_sides_and_the_criteria_still_add_up() -> None:
    rules = rules_of(
        {"property": "industry", "is": "toys", "points": 60},
        {"property": "country", "is": "DE", "points": 30},
        {"property": "country", "is": "FR", "points": -80},
        fit_more={"cap": 45},
    )

    points = replay(rules)

    assert points.fit.tolist() == pytest.approx([45, -45, np.nan], nan_ok=True)
    assert [line.name for line in points.lines][3:] == ["limit of fit"]
    assert points.log.tolist() == [[60, 30, 0, -45], [0, 0, -80, 35], [0, 0, 0, 0]]


def test_points_that_cancel_stay_visible() -> None:
    rules = rules_of(
        {"property": "industry", "is": "toys", "points": 10}, {"property": "country", "is": "DE", "points": -10}
    )

    points = replay(rules, who=("anna",))

    assert points.log.tolist() == [[10, -10]]
    assert points.total.tolist() == [0]


hundredths = st.integers(-6000, 6000).map(lambda number: number / 100)


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(hundredths, min_size=7, max_size=7),
    caps=st.tuples(st.integers(1, 100), st.integers(1, 100), st.none() | st.integers(1, 100)),
    floor=st.none() | st.integers(-50, 0),
    half_life=st.floats(0.5, 500),
)
def test_the_total_is_the_log_to_the_hundredth(
    points: list[float], caps: tuple[int, int, int | None], floor: int | None, half_life: float
) -> None:
    tests: list[dict[str, Any]] = [
        {"property": "industry", "is": "toys"},
        {"property": "employees", "between": [0, 1000]},
        {"property": "newsletter", "known": True},
        {"activity": "visit", "half_life_days": half_life},
        {"activity": "any", "per_event": True, "cap": 33.33, "fade_percent_per_month": 17},
        {"activity": "visit", "per_event": True},
        {"inactive_days": 60},
    ]
    lines = [{"name": str(place), **test, "points": points[place]} for place, test in enumerate(tests)]
    rules = PointRules.model_validate(
        {
            "fit": {"cap": caps[0], "criteria": lines[:3]},
            "engagement": {"cap": caps[1], "floor": floor, "criteria": lines[3:]},
            "cap": caps[2],
            "floor": floor,
        }
    )

    found = replay(rules)

    assert (found.hundredths.sum(axis=1) / 100).tolist() == found.total.tolist()
    assert np.all(np.nan_to_num(np.abs(found.fit)) <= caps[0])
    assert np.all(found.engagement <= caps[1])
    assert np.all(found.engagement >= (-caps[1] if floor is None else floor))
    assert np.all(found.total <= (np.inf if caps[2] is None else caps[2]))
    assert np.all(found.total >= (-np.inf if floor is None else floor))


LATER = {
    "activities": {"contact_id": "dan", "type": "visit", "name": "prices"},
    "property_history": {"object_id": "cleo", "property": "level", "value": "boss"},
    "deal_stage_history": {"deal_id": "c", "stage": "lost"},
}


@pytest.mark.parametrize("table", list(LATER))
@settings(max_examples=12, deadline=None)
@given(later=st.integers(0, 400), kind=st.sampled_from(["visit", "demo", "fair"]))
def test_what_becomes_known_later_changes_no_points(table: str, later: int, kind: str) -> None:
    tables = dealings()
    known = {
        "activities": [{"contact_id": "anna", "type": "visit", "occurred_at": "2024-05-20T00:00:00Z"}],
        "property_history": [
            {"object_id": "anna", "property": "level", "value": "boss", "known_at": "2024-02-01T00:00:00Z"}
        ],
    }
    at = pd.Timestamp(AS_OF) + pd.Timedelta(hours=later)
    time_column = {"activities": "occurred_at", "property_history": "known_at", "deal_stage_history": "entered_at"}
    fact = {**LATER[table], time_column[table]: at.isoformat()}
    if table == "activities":
        fact["type"] = kind
    rules = rules_of(
        {"property": "level", "is": "boss", "points": 5},
        {"property": "level", "known": False, "points": 7},
        engagement=(
            {"activity": "visit", "per_event": True, "half_life_days": 30, "points": 9},
            {"activity": "fair", "points": 11},
            {"inactive_days": 30, "points": -3},
            {"deal": "lost", "points": -8},
            {"deal": "open", "stage": "demo", "points": 6},
        ),
    )

    def points_with(*facts: dict[str, Any]) -> Points:
        frames = dict(tables.frames)
        for name, rows in {**known, table: [*known.get(table, ()), *facts]}.items():
            added = make_frame(name, rows) if rows else frames[name].iloc[:0]
            frames[name] = added if name in known else pd.concat([frames[name], added], ignore_index=True)
        whole = CrmTables(frames=frames, absent=tables.absent)
        return replay(rules, tables=whole, who=("anna", "ben", "cleo", "dan"))

    before, after = points_with(), points_with(fact)

    assert after.log.tolist() == before.log.tolist()
    assert after.judged.tolist() == before.judged.tolist()


@pytest.mark.parametrize(
    ("grade_from", "grades"), [(None, ["A1", "A3", "C2", None]), ((50, 10), ["A2", "A3", "B2", None])]
)
def test_grades_are_thirds_of_the_caps_unless_the_sheet_says_where_they_begin(
    grade_from: tuple[float, float] | None, grades: list[str | None]
) -> None:
    rules = rules_of(
        {"property": "industry", "is": "toys", "points": 60},
        {"property": "employees", "between": [0, 10], "points": 19},
        engagement=(
            {"activity": "demo", "points": 20},
            {"inactive_days": 60, "points": 10},
        ),
        fit_more={"cap": 60, "grade_from": grade_from},
        engagement_more={"cap": 30, "grade_from": grade_from},
    )

    points = replay(rules)

    # Anna: 60 and 20; without her demo 0. Ben: 19 and 10. Of Cleo it is not known who she is.
    assert points.grades(rules)[[0, 1, 2]].tolist() == [grades[0], grades[2], grades[3]]
    assert replay(rules, as_of="2024-05-30T00:00:00Z").grades(rules)[0] == grades[1]


def test_no_criteria_give_no_points() -> None:
    points = replay(PointRules())

    assert points.log.shape == (3, 0)
    assert np.isnan(points.total).all()


def test_no_snapshots_have_no_points() -> None:
    assert replay(rules_of({"property": "industry", "is": "toys"}), who=()).total.tolist() == []


def crowd(*, contacts: int, activities: int) -> CrmTables:
    generator = np.random.default_rng(1)
    small = make_tables(contacts=[{"industry": "a", "employees": 3}], activities=[{"name": "page"}])
    ids = np.array([f"c{number:06d}" for number in range(contacts)])
    days = np.sort(generator.uniform(1, 365, activities))
    moments = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(days, unit="D")
    people = small["contacts"].iloc[np.zeros(contacts, dtype=int)].reset_index(drop=True)
    events = small["activities"].iloc[np.zeros(activities, dtype=int)].reset_index(drop=True)
    frames = {
        **small.frames,
        "contacts": people.assign(
            contact_id=pd.Series(ids, dtype="str"),
            industry=pd.Series(generator.choice([f"i{number}" for number in range(20)], contacts), dtype="str"),
            employees=generator.integers(1, 5000, contacts).astype(float),
        ),
        "activities": events.assign(
            contact_id=pd.Series(ids[generator.integers(0, contacts, activities)], dtype="str"),
            occurred_at=pd.Series(moments).astype("datetime64[us, UTC]"),
            type=pd.Series(generator.choice([f"k{number}" for number in range(12)], activities), dtype="str"),
            name=pd.Series(generator.choice([f"page {number}" for number in range(500)], activities), dtype="str"),
        ),
    }
    return CrmTables(frames=frames, absent=small.absent)


@pytest.mark.slow
def test_a_hundred_thousand_contacts_and_forty_criteria_take_seconds() -> None:
    tables = crowd(contacts=100_000, activities=2_000_000)
    rules = rules_of(
        *({"property": "industry", "in": [f"i{number}", f"i{number + 1}"]} for number in range(12)),
        *({"property": "employees", "between": [number, 100 * number + 50]} for number in range(5)),
        engagement=(
            *({"activity": f"k{number}", "within_days": 30 + number, "at_least": 2} for number in range(10)),
            *({"activity": f"k{number}", "per_event": True, "half_life_days": 30} for number in range(6)),
            *({"activity": "any", "name_contains": f"page {number}", "per_event": True} for number in range(4)),
            *({"inactive_days": 30 + number, "points": -1} for number in range(3)),
        ),
    )
    properties = PropertySettings(contacts=SafeColumns(safe=("industry", "employees")))
    replay(rules, who=("anna",))
    started = time.process_time()

    points = replay(
        rules,
        tables=tables,
        who=tuple(tables["contacts"]["contact_id"]),
        as_of="2025-01-01T00:00:00Z",
        properties=properties,
    )

    assert len(points.criteria) == 40
    assert time.process_time() - started < 20
    assert (points.hundredths.sum(axis=1) / 100).tolist() == points.total.tolist()
