"""The rule sheet: what it may say, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from models.rules.sheet import PointRules, nearest


def rules_of(*fit: dict[str, Any], engagement: tuple[dict[str, Any], ...] = (), **more: Any) -> PointRules:
    named = [{"name": f"rule {place}", "points": 1, **line} for place, line in enumerate((*fit, *engagement))]
    return PointRules.model_validate(
        {
            "fit": {"criteria": named[: len(fit)], **more.get("fit_more", {})},
            "engagement": {"criteria": named[len(fit) :], **more.get("engagement_more", {})},
        }
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"points": 5}, "exactly one of property, company_property"),
        ({"property": "a", "is": 1, "activity": "b"}, "exactly one of property, company_property"),
        ({"property": "a"}, "exactly one of is, in, contains, between, known beside property"),
        ({"property": "a", "is": 1, "known": True}, "exactly one of is, in, contains, between, known beside property"),
        ({"activity": "a", "is": 1}, "and none without it"),
        ({"activity": "a", "is": 1, "contains": "b"}, "and none without it"),
        ({"property": "a", "is": 1, "within_days": 7}, "may have .* beside activity"),
        ({"inactive_days": 7, "at_least": 3}, "may have at_least beside activity or deal only"),
        ({"property": "a", "between": [10, 5]}, "the smaller number of between first"),
        ({"property": "a", "between": [10]}, "between"),
        ({"activity": "a", "at_least": 0}, "greater than or equal to 1"),
        ({"activity": "a", "within_days": 0}, "greater than 0"),
        ({"company_property": "a"}, "exactly one of is, in, contains, between, known beside property or company"),
        ({"property": "a", "between": [None, None]}, "at least one number of between"),
        ({"property": "a", "is": 1, "stage": "demo"}, "stage beside deal only"),
        ({"activity": "a", "per_event": True, "at_least": 2}, "per_event or at_least, not both"),
        ({"activity": "a", "cap": 20}, "cap beside per_event only"),
        ({"activity": "a", "within_days": 7, "half_life_days": 7}, "within_days or points that fade, not both"),
        ({"activity": "a", "half_life_days": 7, "fade_percent_per_month": 7}, "not both"),
        ({"activity": "a", "fade_percent_per_month": 101}, "less than or equal to 100"),
        ({"inactive_days": 7, "half_life_days": 7}, "half_life_days beside activity only"),
        ({"deal": "won", "stage": "demo"}, "beside 'deal: open' only"),
        ({"deal": "open", "amount": [10, 5]}, "the smaller number of amount first"),
        ({"property": "a", "is": 1, "points": float("nan")}, "finite number"),
        ({"property": "a", "equals": 1}, "Extra inputs are not permitted"),
        ({"property": "a", "is": 1, "points": "many"}, "valid number"),
    ],
)
def test_a_bad_line_is_refused_and_named(line: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        rules_of(line)


@pytest.mark.parametrize(
    ("sheet", "told"),
    [
        ({"behaviour": 5}, "behaviour"),
        ({"behaviour": {"criterion": []}}, "criteria"),
        ({"fit": {"criteria": [], "cap": 0}}, "greater than 0"),
        ({"fit": {"criteria": [], "floor": 1}}, "less than or equal to 0"),
        ({"fit": {"criteria": [], "grade_from": [10, 20]}}, "best grade first"),
        ({"thresholds": {"mql": 50, "sql": 40}}, "sql must not lie below mql"),
        ({"floor": 3}, "less than or equal to 0"),
    ],
)
def test_a_bad_sheet_is_refused(sheet: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        PointRules.model_validate(sheet)


def test_two_criteria_of_one_name_are_refused_in_whatever_groups() -> None:
    line = {"name": "Toys", "property": "industry", "is": "toys", "points": 5}

    with pytest.raises(ValidationError, match="'Toys' twice"):
        PointRules.model_validate({"fit": {"criteria": [line]}, "own": {"criteria": [line]}})


def test_criteria_on_a_property_are_left_out_of_every_group() -> None:
    toys = {"name": "Toys", "property": "industry", "is": "toys", "points": 5}
    theirs = {"name": "Toy company", "company_property": "industry", "is": "toys", "points": 5}
    home = {"name": "Home", "property": "country", "is": "DE", "points": 5}
    rules = PointRules.model_validate({"fit": {"criteria": [toys]}, "own": {"cap": 7, "criteria": [theirs, home]}})

    left = rules.without(["industry"])

    assert [(name, group.cap, [one.name for one in group.criteria]) for name, group in left.groups()] == [
        ("fit", 100, []),
        ("engagement", 100, []),
        ("own", 7, ["Toy company", "Home"]),
    ]


def test_rules_survive_being_written_to_a_bundle() -> None:
    rules = PointRules.model_validate(
        {
            "fit": {
                "grade_from": [20, 10],
                "criteria": [
                    {"name": "a", "points": 1, "property": "newsletter", "in": [True, "maybe", 3]},
                    {"name": "b", "points": 1.25, "property": "employees", "between": [1, None]},
                ],
            },
            "engagement": {
                "floor": 0,
                "criteria": [
                    {"name": "c", "points": 1, "activity": ["visit", "call"], "at_least": 2, "within_days": 7},
                    {"name": "d", "points": 1, "activity": "any", "per_event": True, "cap": 9, "half_life_days": 14},
                    {"name": "e", "points": -1, "inactive_days": 60},
                ],
            },
            "account": {"criteria": [{"name": "f", "points": 3, "deal": "open", "stage": "demo", "amount": [1, 2]}]},
            "cap": 100,
            "thresholds": {"mql": 30},
        }
    )

    assert PointRules.model_validate_json(rules.model_dump_json(by_alias=True)) == rules


@pytest.mark.parametrize(("word", "hint"), [("industy", "; did you mean 'industry'?"), ("shoe_size", "")])
def test_the_nearest_known_word_is_offered(word: str, hint: str) -> None:
    assert nearest(word, ["country", "industry"]) == hint
