"""What gave points, as it is published beside them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.properties import PropertySettings
from models.comparisons import Comparison
from models.rules.reasons import write_points
from models.rules.replay import LogLine, Points, apply_rules
from models.rules.sheet import PointRules
from tests.features.builders import make_tables

AS_OF = pd.Timestamp("2026-03-01T00:00:00Z")
RULES = PointRules.model_validate(
    {
        "engagement": {
            "cap": 40,
            "criteria": [
                {"name": "Asked", "activity": "demo_request", "points": 30},
                {"name": "Webinars", "activity": "webinar", "per_event": True, "points": 7.5},
                {"name": "Clicks", "activity": "click", "half_life_days": 30, "points": 10},
                {"name": "Silent", "inactive_days": 5, "points": -5},
            ],
        },
    }
)


def replayed(*acts: tuple[str, str]) -> Points:
    """One contact that did these things on these days of February; and one nobody knows anything of."""
    tables = make_tables(
        contacts=[{"contact_id": "c1", "created_at": "2026-01-01T00:00:00Z"}],
        activities=[
            {
                "activity_id": str(place),
                "contact_id": "c1",
                "occurred_at": pd.Timestamp(f"{day}T00:00:00Z"),
                "type": kind,
            }
            for place, (kind, day) in enumerate(acts)
        ],
    )
    snapshots = pd.DataFrame({"contact_id": pd.Series(["c1"], dtype="str"), "as_of": AS_OF})
    return apply_rules(rules=RULES, tables=tables, snapshots=snapshots, properties=PropertySettings())


def test_lines_come_by_size_with_how_often_they_counted_and_how_far_they_faded() -> None:
    points = replayed(
        ("demo_request", "2026-02-01"),
        ("webinar", "2026-02-02"),
        ("webinar", "2026-02-03"),
        ("click", "2026-01-30"),
    )

    (text,) = write_points(points, rules=RULES, comparisons=(), question="contacts")

    # 30 + 2 x 7.5 + half of 10 - 5 is 45, and the group holds 5 back.
    assert [(one["criterion"], one["points"], one["words"]) for one in json.loads(text)] == [
        ("Asked", 30.0, "Asked"),
        ("Webinars", 15.0, "Webinars (counted 2 times)"),
        ("Clicks", 5.0, "Clicks (faded to 50%)"),
        ("Silent", -5.0, "Silent"),
        ("limit of engagement", -5.0, "limit of engagement"),
    ]
    assert points.total.tolist() == [40.0]


def test_a_criterion_is_compared_with_who_bought() -> None:
    points = replayed(("demo_request", "2026-02-27"))
    comparisons = [Comparison(won=(0.41,), others=(0.06,))] * 3 + [Comparison(won=(None,), others=(0.1,))]

    (text,) = write_points(points, rules=RULES, comparisons=comparisons, question="contacts")

    assert json.loads(text) == [
        {
            "criterion": "Asked",
            "group": "engagement",
            "points": 30.0,
            "words": "Asked (held for 41% of contacts who bought, 6% of others)",
        }
    ]


def test_unknown_points_have_no_lines_and_no_points_have_none() -> None:
    lines = (LogLine("Toys", "fit", "property"),)
    judged = np.array([[False], [True], [True]])
    points = Points(np.array([[0], [0], [1500]]), lines, np.array([[0.0], [0.0], [1.0]]), judged, ())
    rules = PointRules.model_validate(
        {"fit": {"criteria": [{"name": "Toys", "property": "industry", "is": "toys", "points": 15}]}}
    )

    told = write_points(points, rules=rules, comparisons=(), question="deals", rows=np.array([0, 1, 2, -1, 2]))

    assert [None if one is None else json.loads(one) for one in told] == [
        None,
        [],
        [{"criterion": "Toys", "group": "fit", "points": 15.0, "words": "Toys"}],
        None,
        [{"criterion": "Toys", "group": "fit", "points": 15.0, "words": "Toys"}],
    ]


@given(st.lists(st.lists(st.integers(-(10**7), 10**7), min_size=3, max_size=3), min_size=1, max_size=5))
def test_lines_always_add_up_to_the_points(hundredths: list[list[int]]) -> None:
    lines = tuple(LogLine(name, "fit", "property") for name in "abc")
    rules = PointRules.model_validate(
        {"fit": {"criteria": [{"name": name, "property": "p", "is": "x", "points": 1} for name in "abc"]}}
    )
    given_points = np.array(hundredths)
    ones = np.ones(given_points.shape)
    points = Points(given_points, lines, ones, ones.astype(bool), ())

    told = write_points(points, rules=rules, comparisons=(), question="contacts")

    for text, total in zip(told, points.total, strict=True):
        found = [one["points"] for one in json.loads(text)]
        assert sum(found) == pytest.approx(total, abs=1e-9)
        assert [abs(one) for one in found] == sorted(map(abs, found), reverse=True)
