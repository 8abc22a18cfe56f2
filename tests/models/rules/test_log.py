"""One contact's points, line by line."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from features.properties import PropertySettings, SafeColumns
from models.rules.log import PointLog, UnknownContactError, point_log
from models.rules.sheet import PointRules
from tests.features.builders import make_tables

RULES = PointRules.model_validate(
    {
        "fit": {
            "cap": 12,
            "criteria": [
                {"name": "Toys", "property": "industry", "is": "toys", "points": 10},
                {"name": "Germany", "property": "country", "is": "DE", "points": 5},
                {"name": "Boss", "property": "level", "is": "boss", "points": 20},
            ],
        },
        "engagement": {"criteria": [{"name": "Demo", "activity": "demo", "points": 30, "half_life_days": 10}]},
        "thresholds": {"mql": 20, "sql": 40},
    }
)
SAFE = PropertySettings(contacts=SafeColumns(safe=("industry", "country", "level")))


def log(*, contact: str = "anna", as_of: str = "2024-03-11T00:00:00Z") -> PointLog:
    tables = make_tables(
        contacts=[
            {"contact_id": "anna", "industry": "toys", "country": "DE", "level": None},
            {"contact_id": "ben", "created_at": "2024-06-01T00:00:00Z", "level": "clerk"},
        ],
        activities=[{"contact_id": "anna", "type": "demo", "occurred_at": "2024-03-01T00:00:00Z"}],
    )
    return point_log(rules=RULES, tables=tables, contact_id=contact, as_of=pd.Timestamp(as_of), properties=SAFE)


def test_each_line_says_what_it_gave_and_they_add_up() -> None:
    found = log()

    assert [(line.group, line.name, line.state, line.points) for line in found.lines] == [
        ("fit", "Toys", "held", 10),
        ("fit", "Germany", "held", 5),
        ("fit", "Boss", "not known", 0),
        ("engagement", "Demo", "held", 15),
        ("fit", "limit of fit", "limit", -3),
    ]
    assert found.groups == (("fit", 12), ("engagement", 15))
    assert found.total == sum(line.points for line in found.lines) == 27
    assert (found.grade, found.reached) == ("A3", ("MQL",))


def test_what_is_not_known_is_not_zero() -> None:
    found = log(as_of="2024-02-01T00:00:00Z")

    assert dict(found.groups) == {"fit": 12, "engagement": None}
    assert (found.total, found.grade, found.reached) == (12, None, ())
    assert json.loads(json.dumps(found.to_dict()))["groups"] == {"fit": 12, "engagement": None}


def test_what_did_not_hold_is_told_apart_from_what_is_not_known() -> None:
    states = {line.name: line.state for line in log(contact="ben", as_of="2024-07-01T00:00:00Z").lines}

    assert (states["Boss"], states["Toys"], states["Demo"]) == ("did not hold", "not known", "did not hold")


@pytest.mark.parametrize(("contact", "as_of"), [("nobody", "2024-07-01T00:00:00Z"), ("ben", "2024-06-01T00:00:00Z")])
def test_a_contact_that_was_not_known_is_refused(contact: str, as_of: str) -> None:
    with pytest.raises(UnknownContactError, match="was not known as of 2024-0"):
        log(contact=contact, as_of=as_of)
