"""The words of a spreadsheet, read as criteria."""

from __future__ import annotations

from typing import Any

import pytest

from models.rules.language import SheetLine, UnreadableLineError, read_criterion, read_points, read_sheet


@pytest.mark.parametrize(
    ("text", "criterion"),
    [
        ("industry is software", {"property": "industry", "is": "software"}),
        ('"Job level" IS "C level"', {"property": "Job level", "is": "C level"}),
        ("Company  industry = toys", {"company_property": "industry", "is": "toys"}),
        ("country in DE, AT,CH", {"property": "country", "in": ("DE", "AT", "CH")}),
        ('country is one of "Great Britain"; US', {"property": "country", "in": ("Great Britain", "US")}),
        ("title contains head", {"property": "title", "contains": "head"}),
        ("employees between 50 and 500", {"property": "employees", "between": (50, 500)}),
        ("employees at least 49,5", {"property": "employees", "between": (49.5, None)}),
        ("employees at most 500", {"property": "employees", "between": (None, 500)}),
        ("phone is known", {"property": "phone", "known": True}),
        ("phone is empty", {"property": "phone", "known": False}),
        ("did demo_request", {"activity": "demo_request"}),
        ("Did call or meeting 3 times in 28 days", {
            "activity": ("call", "meeting"), "at_least": 3, "within_days": 28}),
        ('did page_view named "our prices" within 7 days', {
            "activity": "page_view", "name_contains": "our prices", "within_days": 7}),
        ("each webinar up to 30 points halving every 14 days", {
            "activity": "webinar", "per_event": True, "cap": 30, "half_life_days": 14}),
        ("did any fading 20 % a month", {"activity": "any", "fade_percent_per_month": 20}),
        ("inactive for 60 days", {"inactive_days": 60}),
        ("nothing for 30 days", {"inactive_days": 30}),
        ("open deal", {"deal": "open"}),
        ("open deal in stage Offer worth 5000 to 9000", {"deal": "open", "stage": "Offer", "amount": (5000, 9000)}),
        ("open deal worth at least 5000", {"deal": "open", "amount": (5000, None)}),
        ("lost deal before", {"deal": "lost"}),
        ("won a deal before", {"deal": "won"}),
    ],
)  # fmt: skip
def test_each_shape_of_a_line(text: str, criterion: dict[str, Any]) -> None:
    found = read_criterion(text, points=5)

    said = found.model_dump(by_alias=True, exclude_defaults=True)
    assert said == {"name": " ".join(text.split()), "points": 5, **criterion}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Has budget", "it is none of: NAME is VALUE"),
        ("", "it is none of"),
        ("did call in 30 days halving every 10 days", "within_days or points that fade, not both"),
        ("each call 3 times", "per_event or at_least, not both"),
        ("employees between 500 and 50", "the smaller number of between first"),
        ("did call 0 times", "greater than or equal to 1"),
    ],
)
def test_a_line_that_is_none_is_refused_with_the_reason(text: str, told: str) -> None:
    with pytest.raises(UnreadableLineError, match=told):
        read_criterion(text, points=5)


@pytest.mark.parametrize(
    ("text", "points"),
    [("15", 15), (" +15 ", 15), ("-7,5", -7.5), ("−10", -10), ("15 points", 15), ("20 Punkte", 20), ("3 pts.", 3)],
)
def test_points_as_people_write_them(text: str, points: float) -> None:
    assert read_points(text) == points


@pytest.mark.parametrize("text", ["", "many", "10-20", "1.000.000", "nan", "inf"])
def test_what_is_no_number_of_points_is_refused(text: str) -> None:
    with pytest.raises(UnreadableLineError, match="no number of points"):
        read_points(text)


def test_a_sheet_goes_to_its_groups_and_what_could_not_be_read_is_kept() -> None:
    lines = [
        SheetLine(2, "industry is toys", "15"),
        SheetLine(3, "did demo", "80"),
        SheetLine(4, "open deal", "70", group=" Sales "),
        SheetLine(5, "Has budget", "10"),
        SheetLine(6, "did  demo", "20"),
        SheetLine(7, "did call", "20", group="cap"),
        SheetLine(8, "did mail", "20", group="Fit"),
    ]

    draft = read_sheet(lines)

    assert [(name, group.cap, [one.name for one in group.criteria]) for name, group in draft.rules.groups()] == [
        ("fit", 100, ["industry is toys", "did mail"]),
        ("engagement", 100, ["did demo"]),
        ("Sales", 100, ["open deal"]),
    ]
    assert [(line.number, reason[:20]) for line, reason in draft.unread] == [
        (5, "it is none of: NAME "),
        (6, "the same criterion s"),
        (7, "no group may be call"),
    ]


def test_a_spreadsheet_has_no_limits_so_its_groups_get_room() -> None:
    draft = read_sheet([SheetLine(1, "did demo", "80"), SheetLine(2, "each call up to 50 points", "10")])

    assert draft.rules.engagement.cap == 130
