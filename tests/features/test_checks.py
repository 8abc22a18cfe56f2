"""Cross-table checks: each contradiction has its finding, and sound tables have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from features.checks import NaiveAsOfError, check_tables
from features.findings import Finding
from tests.features.builders import SALES_STAGES, make_tables

SOUND: Mapping[str, Any] = {
    "contacts": [{"contact_id": "c1", "company_id": "o1", "owner_id": "u1"}],
    "companies": [{"company_id": "o1"}],
    "activities": [{"contact_id": "c1", "deal_id": "d1", "owner_id": "u1", "direction": "inbound"}],
    "deals": [{"deal_id": "d1", "company_id": "o1", "owner_id": "u1"}],
    "deal_contacts": [{"deal_id": "d1", "contact_id": "c1"}],
    "deal_stage_history": [
        {"deal_id": "d1", "stage": "demo", "entered_at": "2024-01-01T00:00:00Z"},
        {"deal_id": "d1", "stage": "won", "entered_at": "2024-02-01T00:00:00Z"},
    ],
    "stages": SALES_STAGES,
    "property_history": [{"object_type": "contact", "object_id": "c1", "property": "city", "value": "Ulm"}],
    "owners": [{"owner_id": "u1"}],
}
OTHER_STAGES = (
    {"pipeline": "service", "stage": "visit", "label": "Visit", "position": 1, "outcome": "open"},
    {"pipeline": "service", "stage": "done", "label": "Done", "position": 2, "outcome": "won"},
    {"pipeline": "service", "stage": "gone", "label": "Gone", "position": 3, "outcome": "lost"},
)


def check(as_of: str | None = None, **changed: Any) -> list[Finding]:
    tables = make_tables(**{**SOUND, **changed})
    return check_tables(tables, as_of=None if as_of is None else pd.Timestamp(as_of))


def brief(findings: list[Finding]) -> list[tuple[str, str, str, int]]:
    return [(finding.severity, finding.code, finding.table, finding.count) for finding in findings]


def test_sound_tables_have_no_finding() -> None:
    assert check(as_of="2024-03-01T00:00:00Z") == []


def test_stage_that_no_pipeline_has_is_an_error() -> None:
    findings = check(deal_stage_history=[*SOUND["deal_stage_history"], {"deal_id": "d1", "stage": "dmeo"}])

    assert brief(findings) == [("error", "unknown-stage", "deal_stage_history", 1)]
    assert findings[0].examples == ("row 3: deal_id 'd1', pipeline 'sales', stage 'dmeo'",)


def test_stage_of_exactly_one_other_pipeline_is_a_warning() -> None:
    findings = check(
        stages=[*SALES_STAGES, *OTHER_STAGES],
        deal_stage_history=[*SOUND["deal_stage_history"], {"deal_id": "d1", "stage": "visit"}],
    )

    assert brief(findings) == [("warning", "stage-in-other-pipeline", "deal_stage_history", 1)]


def test_stage_of_two_other_pipelines_is_an_error() -> None:
    third = [{**stage, "pipeline": "partner"} for stage in OTHER_STAGES]

    findings = check(
        stages=[*SALES_STAGES, *OTHER_STAGES, *third],
        deal_stage_history=[*SOUND["deal_stage_history"], {"deal_id": "d1", "stage": "visit"}],
    )

    assert brief(findings) == [("error", "unknown-stage", "deal_stage_history", 1)]


def test_deal_in_a_pipeline_without_stages_is_an_error() -> None:
    findings = check(
        deals=[*SOUND["deals"], {"deal_id": "d2", "pipeline": "renewal"}],
        deal_stage_history=[*SOUND["deal_stage_history"], {"deal_id": "d2", "stage": "demo"}],
    )

    assert brief(findings) == [("error", "unknown-pipeline", "deals", 1)]


def test_deals_without_history_are_counted() -> None:
    findings = check(deals=[*SOUND["deals"], *({"deal_id": f"x{row}"} for row in range(5))])

    assert brief(findings) == [("warning", "deal-without-history", "deals", 5)]
    assert findings[0].examples == ("row 2: deal_id 'x0'", "row 3: deal_id 'x1'", "row 4: deal_id 'x2'")


@pytest.mark.parametrize(
    ("table", "row", "code", "severity"),
    [
        ("deal_stage_history", {"deal_id": "d9", "stage": "demo"}, "unknown-deal", "warning"),
        ("activities", {"activity_id": "a9", "contact_id": "c9"}, "unknown-contact", "warning"),
        ("activities", {"activity_id": "a9", "deal_id": "d9"}, "unknown-deal", "warning"),
        ("activities", {"activity_id": "a9", "deal_id": "d1", "owner_id": "u9"}, "unknown-owner", "info"),
        ("activities", {"activity_id": "a9"}, "unattached-activity", "error"),
        ("activities", {"activity_id": "a9", "deal_id": "d1", "direction": "sideways"}, "bad-value", "warning"),
        ("deal_contacts", {"deal_id": "d9", "contact_id": "c1"}, "unknown-deal", "warning"),
        ("deal_contacts", {"deal_id": "d1", "contact_id": "c9"}, "unknown-contact", "warning"),
        ("contacts", {"contact_id": "c2", "company_id": "o9"}, "unknown-company", "warning"),
        ("contacts", {"contact_id": "c2", "owner_id": "u9"}, "unknown-owner", "info"),
        (
            "property_history",
            {"object_type": "company", "object_id": "o9", "property": "p"},
            "unknown-object",
            "warning",
        ),
        ("property_history", {"object_type": "ticket", "object_id": "t1", "property": "p"}, "bad-value", "warning"),
    ],
)
def test_row_that_points_nowhere_is_found(table: str, row: dict[str, Any], code: str, severity: str) -> None:
    findings = check_tables(make_tables(**{**SOUND, table: [*SOUND[table], row]}), as_of=None)

    assert brief(findings) == [(severity, code, table, 1)]


def test_references_into_an_absent_table_are_told_once_as_the_absent_table() -> None:
    findings = check(companies=None, owners=None)

    assert brief(findings) == [("info", "absent-table", "companies", 0), ("info", "absent-table", "owners", 0)]


def test_absent_activities_say_that_behaviour_is_left_out() -> None:
    findings = check(activities=None)

    assert brief(findings) == [("info", "absent-table", "activities", 0)]
    assert "behaviour features are left out" in findings[0].message


@pytest.mark.parametrize(
    ("year", "found"),
    [
        ("1989-12-31T23:59:59", 1),
        ("1990-01-01T00:00:00", 0),
        ("2100-12-31T23:00:00", 0),
        ("2101-01-01T00:00:00", 1),
        ("0001-01-01T00:00:00", 1),
        ("9999-12-31T23:59:59", 1),
    ],
)
def test_years_before_1990_and_after_2100_are_impossible(year: str, found: int) -> None:
    findings = check(contacts=[{"contact_id": "c1", "created_at": f"{year}Z"}])

    assert brief(findings) == [("error", "impossible-time", "contacts", 1)] * found


def test_impossible_expectation_is_only_a_warning() -> None:
    findings = check(deals=[{"deal_id": "d1", "expected_close_at": "2204-01-01T00:00:00Z"}])

    assert brief(findings) == [("warning", "impossible-time", "deals", 1)]


def test_stage_entered_more_than_a_day_before_the_deal_existed_is_a_warning() -> None:
    history = [
        {"deal_id": "d1", "stage": "demo", "entered_at": "2023-12-31T00:00:00Z"},
        {"deal_id": "d1", "stage": "won", "entered_at": "2023-12-30T23:59:59Z"},
    ]

    findings = check(deal_stage_history=history)

    assert brief(findings) == [("warning", "stage-before-deal", "deal_stage_history", 1)]
    assert findings[0].examples[0].startswith("row 2: deal_id 'd1', stage 'won', entered_at 2023-12-30T23:59:59")


def test_facts_at_or_after_the_as_of_or_known_only_then_are_not_yet_known() -> None:
    rows = [
        {"activity_id": "a1", "contact_id": "c1", "occurred_at": "2024-02-29T23:59:59Z"},
        {"activity_id": "a2", "contact_id": "c1", "occurred_at": "2024-03-01T00:00:00Z"},
        {
            "activity_id": "a3",
            "contact_id": "c1",
            "occurred_at": "2024-02-01T00:00:00Z",
            "known_at": "2024-03-02T00:00Z",
        },
    ]

    findings = check(as_of="2024-03-01T00:00:00Z", activities=rows)

    assert brief(findings) == [("info", "not-yet-known", "activities", 2)]


def test_as_of_without_zone_is_refused() -> None:
    with pytest.raises(NaiveAsOfError, match="must have a zone"):
        check(as_of="2024-03-01T00:00:00")


@pytest.mark.parametrize("probability", [-0.1, 1.1, 20.0])
def test_probability_outside_0_to_1_is_an_error(probability: float) -> None:
    findings = check(stages=[{**SALES_STAGES[0], "probability": probability}, *SALES_STAGES[1:]])

    assert brief(findings) == [("error", "bad-probability", "stages", 1)]


def test_stage_without_probability_is_fine() -> None:
    assert check(stages=[{**stage, "probability": None} for stage in SALES_STAGES]) == []


def test_outcome_that_is_none_of_the_three_is_an_error() -> None:
    findings = check(stages=[{**SALES_STAGES[0], "outcome": "Open"}, *SALES_STAGES[1:]])

    assert brief(findings) == [("error", "bad-outcome", "stages", 1)]


def test_pipeline_without_won_stage_is_an_error_and_without_lost_stage_a_warning() -> None:
    findings = check(stages=[*SALES_STAGES, OTHER_STAGES[0]])

    assert brief(findings) == [("error", "no-won-stage", "stages", 1), ("warning", "no-lost-stage", "stages", 1)]
    assert "'service'" in findings[0].message


def test_no_won_deal_at_all_is_a_warning() -> None:
    findings = check(deal_stage_history=SOUND["deal_stage_history"][:1])

    assert brief(findings) == [("warning", "no-won-deal", "deals", 1)]


def test_needed_table_without_rows_is_an_error_and_an_optional_one_a_warning() -> None:
    findings = check(contacts=[], deal_contacts=[], activities=[], property_history=[])

    assert brief(findings) == [
        ("error", "empty-table", "contacts", 0),
        ("warning", "empty-table", "activities", 0),
        ("warning", "empty-table", "deal_contacts", 0),
        ("warning", "empty-table", "property_history", 0),
    ]


def test_nothing_at_all_is_an_error() -> None:
    findings = check_tables(make_tables(), as_of=None)

    assert [finding.code for finding in findings if finding.severity == "error"] == ["empty-table"]


def test_activities_in_parts_are_found_wrong_as_they_are_together() -> None:
    wrong: list[dict[str, Any]] = [
        {"contact_id": "c8"},
        {"deal_id": "d1", "direction": "sideways"},
        {},
        {"contact_id": "c9", "occurred_at": "1901-01-01T00:00:00Z"},
        {"contact_id": "c7", "occurred_at": "2024-05-01T00:00:00Z"},
    ]
    tables = make_tables(**{**SOUND, "activities": wrong})
    as_of = pd.Timestamp("2024-03-01T00:00:00Z")
    activities = tables["activities"]

    parts = [activities.iloc[:2], activities.iloc[2:2], activities.iloc[2:]]
    found = check_tables(tables.without_activities(), as_of=as_of, activities=parts)

    assert {one.code for one in found} >= {"unknown-contact", "bad-value", "unattached-activity", "impossible-time"}
    assert found == check_tables(tables, as_of=as_of)


def test_checks_repair_nothing() -> None:
    tables = make_tables(**{**SOUND, "activities": [{"activity_id": "a9"}]})
    before = tables.digest()

    check_tables(tables, as_of=pd.Timestamp("2024-01-01T00:00:00Z"))

    assert tables.digest() == before


def test_personal_ids_are_not_quoted() -> None:
    findings = check(activities=[{"contact_id": "ada@example.org"}])

    assert [finding.code for finding in findings] == ["unknown-contact"]
    assert "ada@" not in str(findings)
