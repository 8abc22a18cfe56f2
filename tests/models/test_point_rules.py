"""The manual point rules, replayed from what was known, and mapped to a probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.properties import PropertySettings, SafeColumns
from features.tables import CrmTables
from models.calibration import sigmoid
from models.point_rules import PointRules, Points, PointsMap, apply_rules, fit_points_map
from tests.features.builders import make_tables

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

    assert points.names == ("industry", "small", "demo", "visits", "silent")
    assert points.groups == ("fit", "fit", "engagement", "engagement", "engagement")
    assert points.by_criterion.tolist() == [
        # Anna: toys; 250 people; a demo two days before; two visits.
        [15, 0, 30, 10, 0],
        # Ben: 5 people, and his only visit is four months old.
        [0, -20, 0, 0, -15],
        # Cleo: nothing is known of her, and nothing happened since January. Her demo is yet to come.
        [0, 0, 0, 0, -15],
    ]
    assert points.fit.tolist() == [15, -20, 0]
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
    assert replay(rules_of(test)).total.tolist() == met


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

    assert found == [0, 0, 0, 1]


def test_a_property_that_cannot_be_seen_in_the_past_is_left_out_with_its_reason() -> None:
    points = replay(rules_of({"name": "toys", "property": "industry", "is": "toys"}), properties=PropertySettings())

    assert points.total.tolist() == [0, 0, 0]
    assert [(item.table, item.column, item.reason) for item in points.left_out] == [
        (
            "point_rules",
            "toys",
            "property 'industry' has no history and is not vouched for, so the past cannot be replayed",
        )
    ]


def test_a_kind_of_activity_that_never_occurs_is_left_out_with_its_reason() -> None:
    points = replay(rules_of(engagement=({"name": "fair", "activity": "trade_fair"},)))

    assert [(item.column, item.reason) for item in points.left_out] == [
        ("fair", "no activity of kind 'trade_fair' in the tables")
    ]


def test_without_any_activity_nobody_is_called_silent() -> None:
    tables = make_tables(contacts=[{"contact_id": "anna"}])

    points = replay(rules_of(engagement=({"inactive_days": 60, "points": -15},)), tables=tables, who=("anna",))

    assert points.total.tolist() == [0]
    assert [item.reason for item in points.left_out] == ["no activity in the tables"]


def test_a_cap_holds_a_group_on_both_sides_and_the_criteria_still_add_up() -> None:
    rules = rules_of(
        {"property": "industry", "is": "toys", "points": 60},
        {"property": "country", "is": "DE", "points": 30},
        {"property": "country", "is": "FR", "points": -80},
        fit_more={"cap": 45},
    )

    points = replay(rules)

    assert points.fit.tolist() == [45, -45, 0]
    assert points.by_criterion.tolist() == [[30, 15, 0], [0, 0, -45], [0, 0, 0]]


def test_points_that_cancel_stay_visible() -> None:
    rules = rules_of(
        {"property": "industry", "is": "toys", "points": 10}, {"property": "country", "is": "DE", "points": -10}
    )

    points = replay(rules, who=("anna",))

    assert points.by_criterion.tolist() == [[10, -10]]
    assert points.total.tolist() == [0]


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(st.integers(-60, 60), min_size=5, max_size=5),
    caps=st.tuples(st.integers(1, 100), st.integers(1, 100)),
)
def test_criteria_add_up_to_the_total(points: list[int], caps: tuple[int, int]) -> None:
    tests: list[dict[str, Any]] = [
        {"property": "industry", "is": "toys"},
        {"property": "employees", "between": [0, 1000]},
        {"property": "newsletter", "known": True},
        {"activity": "visit"},
        {"inactive_days": 60},
    ]
    lines = [{**test, "points": given_points} for test, given_points in zip(tests, points, strict=True)]

    found = replay(
        rules_of(*lines[:3], engagement=tuple(lines[3:]), fit_more={"cap": caps[0]}, engagement_more={"cap": caps[1]})
    )

    assert found.by_criterion.sum(axis=1) == pytest.approx(found.total, abs=1e-9)
    assert np.all(np.abs(found.fit) <= caps[0])
    assert np.all(np.abs(found.engagement) <= caps[1])


def test_grades_are_thirds_of_the_caps() -> None:
    points = Points(
        total=np.zeros(4),
        fit=np.array([60.0, 40.0, 39.9, -10.0]),
        engagement=np.array([10.0, 20.0, 19.9, 9.9]),
        by_criterion=np.zeros((4, 0)),
        names=(),
        groups=(),
        left_out=(),
    )
    rules = PointRules.model_validate({"fit": {"cap": 60, "criteria": []}, "engagement": {"cap": 30, "criteria": []}})

    assert points.grades(rules).tolist() == ["A2", "A1", "B2", "C3"]


def test_no_criteria_give_no_points() -> None:
    points = replay(PointRules())

    assert points.by_criterion.shape == (3, 0)
    assert points.total.tolist() == [0, 0, 0]


def test_no_snapshots_have_no_points() -> None:
    assert replay(rules_of({"property": "industry", "is": "toys"}), who=()).total.tolist() == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"points": 5}, "exactly one of property, activity, inactive_days"),
        ({"property": "a", "is": 1, "activity": "b"}, "exactly one of property, activity, inactive_days"),
        ({"property": "a"}, "exactly one of is, in, contains, between, known beside property"),
        ({"property": "a", "is": 1, "known": True}, "exactly one of is, in, contains, between, known beside property"),
        ({"activity": "a", "is": 1}, "and none without it"),
        ({"activity": "a", "is": 1, "contains": "b"}, "and none without it"),
        ({"property": "a", "is": 1, "within_days": 7}, "beside activity only"),
        ({"inactive_days": 7, "at_least": 3}, "beside activity only"),
        ({"property": "a", "between": [10, 5]}, "the smaller number of between first"),
        ({"property": "a", "between": [10]}, "between"),
        ({"activity": "a", "at_least": 0}, "greater than or equal to 1"),
        ({"activity": "a", "within_days": 0}, "greater than 0"),
        ({"property": "a", "equals": 1}, "Extra inputs are not permitted"),
        ({"property": "a", "is": 1, "points": "many"}, "valid number"),
    ],
)
def test_a_bad_line_is_refused_and_named(line: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        rules_of(line)


def test_a_sheet_with_an_unknown_group_is_refused() -> None:
    with pytest.raises(ValidationError, match="behaviour"):
        PointRules.model_validate({"behaviour": {"criteria": []}})


def test_rules_survive_being_written_to_a_bundle() -> None:
    rules = rules_of(
        {"property": "newsletter", "in": [True, "maybe", 3]},
        {"property": "employees", "between": [1, 2]},
        engagement=({"activity": "visit", "at_least": 2, "within_days": 7}, {"inactive_days": 60}),
    )

    assert PointRules.model_validate_json(rules.model_dump_json(by_alias=True)) == rules


def draw_points(*, slope: float, rows: int = 30_000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    points = generator.integers(-2, 9, rows) * 10.0
    return points, (generator.random(rows) < sigmoid(-2.0 + slope * points / 10)).astype(float)


def test_the_map_finds_what_ten_points_are_worth() -> None:
    points, y_obs = draw_points(slope=0.4)

    found = fit_points_map(points=points, y_obs=y_obs, weight=np.ones(len(points)))

    assert found.slope == pytest.approx(0.4, abs=0.02)
    assert found.intercept == pytest.approx(-2.0, abs=0.1)
    assert found.predict(np.array([20.0]))[0] == pytest.approx(sigmoid(np.array([-1.2]))[0], abs=0.02)


@given(st.lists(st.tuples(st.integers(-100, 100), st.booleans()), min_size=1, max_size=60))
def test_more_points_never_mean_less(rows: list[tuple[int, bool]]) -> None:
    points, won = (np.array(column, dtype=float) for column in zip(*rows, strict=True))

    found = fit_points_map(points=points, y_obs=won, weight=np.ones(len(rows)))

    predicted = found.predict(np.linspace(-200, 200, 41))
    assert np.all(np.diff(predicted) >= 0)
    assert np.all((predicted >= 0) & (predicted <= 1))


def test_points_that_point_the_wrong_way_give_the_base_rate() -> None:
    points, y_obs = draw_points(slope=-0.4)

    found = fit_points_map(points=points, y_obs=y_obs, weight=np.ones(len(points)))

    assert found.slope == 0.0
    assert found.predict(np.array([-50.0, 90.0])) == pytest.approx([y_obs.mean()] * 2)


def test_points_that_are_all_the_same_give_the_base_rate() -> None:
    found = fit_points_map(points=np.full(4, 10.0), y_obs=np.array([0.0, 0, 0, 1]), weight=np.array([1.0, 1, 1, 3]))

    assert found.predict(np.array([10.0])) == pytest.approx([0.5])


def test_a_falling_map_is_refused() -> None:
    with pytest.raises(ValidationError):
        PointsMap(intercept=0.0, slope=-0.1)
