"""The points goal, worked out by hand."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from features.properties import PropertySettings, SafeColumns
from features.tables import CrmTables
from models.rules.goal import PointsGoal, points_goal
from models.rules.past import NoPastError
from models.rules.sheet import PointRules
from tests.features.builders import SALES_STAGES, make_tables
from tests.models.market import make_settings

AS_OF = pd.Timestamp("2024-12-31T12:00:00Z")
RULES = PointRules.model_validate(
    {
        "fit": {"criteria": [{"name": "Toys", "property": "industry", "is": "toys", "points": 10}]},
        "engagement": {
            "criteria": [
                {"name": "Demo", "activity": "demo", "within_days": 60, "points": 30},
                {"name": "Mail", "activity": "mail", "within_days": 60, "points": -5},
            ]
        },
    }
)
SAFE = PropertySettings(contacts=SafeColumns(safe=("industry", "source")))


def crm() -> CrmTables:
    return make_tables(
        contacts=[
            {"contact_id": "anna", "industry": "toys", "source": "fair"},
            {"contact_id": "ben", "industry": "tools", "source": "web"},
            {"contact_id": "cleo", "industry": "toys", "source": None},
        ],
        activities=[
            {"contact_id": "anna", "type": "demo", "occurred_at": "2024-03-01T00:00:00Z"},
            {"contact_id": "ben", "type": "demo", "occurred_at": "2024-02-01T00:00:00Z"},
            {"contact_id": "ben", "type": "demo", "occurred_at": "2024-07-01T00:00:00Z"},
            {"contact_id": "ben", "type": "mail", "occurred_at": "2024-10-01T00:00:00Z"},
        ],
        deals=[{"deal_id": "d1", "created_at": "2024-03-02T00:00:00Z"}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "anna"}],
        deal_stage_history=[{"deal_id": "d1", "stage": "won", "entered_at": "2024-03-02T00:00:00Z"}],
        stages=SALES_STAGES,
    )


def goal(tables: CrmTables | None = None, **more: object) -> PointsGoal:
    arguments = {"wins_a_month": 2.0, "source": "source", "properties": SAFE, **more}
    settings = make_settings(rules=RULES, properties=arguments.pop("properties"))
    return points_goal(tables=tables or crm(), as_of=AS_OF, settings=settings, **arguments)  # type: ignore[arg-type]


def test_a_goal_worked_out_by_hand() -> None:
    found = goal()

    # A year and half a day are twelve months. Anna earned 10 for toys, and 30 the day before she won.
    # Ben earned 30 twice, and what the mail took is not counted. Cleo earned 10 for toys.
    assert found.months == pytest.approx(12.0, abs=0.01)
    earned = {one.source: one.points_a_month * found.months for one in found.sources}
    assert earned == pytest.approx({"fair": 40, "web": 60, "not known": 10})
    assert found.everybody.points_a_month * found.months == pytest.approx(110)
    assert (found.everybody.wins, found.everybody.contacts) == (1, 3)
    assert found.everybody.points_per_win.value == pytest.approx(110)
    # Two wins a month at 110 points each, divided as the points are today.
    assert found.everybody.goal_a_month == pytest.approx(220)
    assert {one.source: one.goal_a_month for one in found.sources} == pytest.approx(
        {"web": 120, "fair": 80, "not known": 20}
    )
    assert [one.source for one in found.sources] == ["web", "fair", "not known"]


def test_the_arithmetic_is_shown() -> None:
    lines = goal().arithmetic()

    assert "3 contacts earned 110 points (9 a month) and 1 of them won (0.08 a month)" in lines[0]
    assert "= 110 points for each win" in lines[1]
    assert "2 wins x 110 points = 220 points a month, 24.0" in lines[2]


def test_a_source_without_wins_has_no_price() -> None:
    content = json.loads(json.dumps(goal().to_dict(), allow_nan=False))

    assert {one["source"]: one["points_per_win"]["value"] for one in content["sources"]} == {
        "web": None,
        "fair": 40.0,
        "not known": None,
    }


def test_points_from_before_the_window_are_not_earned_in_it() -> None:
    found = goal(since=pd.Timestamp("2024-03-01T12:00:00Z"))

    # Anna had all her points before, Cleo hers too; Ben's demo of February still counted, so only July's is earned.
    assert found.everybody.points_a_month * found.months == pytest.approx(30)


def test_a_source_that_cannot_be_seen_is_not_used() -> None:
    found = goal(properties=PropertySettings(contacts=SafeColumns(safe=("industry",))))

    assert found.sources == ()
    assert "'source' of contacts is not there, or has no history" in found.note


def test_without_wins_there_is_no_goal() -> None:
    with pytest.raises(NoPastError, match="no contact won from 2024-04-01 to 2024-12-31"):
        goal(since=pd.Timestamp("2024-04-01T00:00:00Z"))
