"""The contracts: what a typed frame must hold, and how a broken one is told."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from features.contracts import CONTRACTS, UnknownTableError, empty_frame, property_columns, quoted, validate, violations
from features.tables import TABLE_NAMES
from tests.features.builders import SALES_STAGES, make_frame, make_tables


def test_every_table_has_a_contract_whose_key_and_times_are_columns_of_the_right_kind() -> None:
    for table in TABLE_NAMES:
        contract = CONTRACTS[table]

        assert set(contract.key) <= set(contract.required)
        for time in (contract.occurred, contract.known):
            assert time is None or contract.column(time).kind == "time"
        assert all(column.meaning for column in contract.columns)


@pytest.mark.parametrize("table", TABLE_NAMES)
def test_empty_frame_keeps_its_own_contract(table: str) -> None:
    frame = empty_frame(table)

    assert len(frame) == 0
    assert tuple(frame.columns) == CONTRACTS[table].names
    assert validate(table, frame) == []


def test_typed_frames_without_fault_give_no_finding() -> None:
    tables = make_tables(
        contacts=[{"age": 41}, {"age": None}],
        deals=[{"amount": 10}],
        stages=SALES_STAGES,
        property_history=[{"property": "industry", "value": None}],
    )

    findings = [finding for table in TABLE_NAMES for finding in validate(table, tables[table])]

    assert findings == []


def test_missing_column_is_named_with_what_was_found() -> None:
    frame = make_frame("deals", [{}]).drop(columns=["pipeline", "amount"])

    findings = validate("deals", frame)

    assert [(finding.severity, finding.code, finding.column) for finding in findings] == [
        ("error", "missing-column", "pipeline")
    ]
    assert "found deal_id, created_at, currency" in findings[0].message


def test_activities_with_neither_id_column_miss_one() -> None:
    frame = make_frame("activities", [{}]).drop(columns=["contact_id", "deal_id"])

    findings = validate("activities", frame)

    assert [finding.code for finding in findings] == ["missing-column"]
    assert "contact_id or deal_id" in findings[0].message


def test_wrong_dtype_is_an_error_even_without_rows() -> None:
    frame = empty_frame("deals").astype({"amount": "str"})

    findings = validate("deals", frame)

    assert [(finding.code, finding.column) for finding in findings] == [("wrong-type", "amount")]


def test_naive_time_dtype_is_a_wrong_type() -> None:
    frame = make_frame("contacts", [{}])
    frame["created_at"] = frame["created_at"].dt.tz_localize(None)

    findings = validate("contacts", frame)

    assert [(finding.code, finding.column) for finding in findings] == [("wrong-type", "created_at")]


def test_missing_and_blank_required_values_are_counted_with_their_rows() -> None:
    frame = make_frame("contacts", [{"contact_id": "c1"}, {"contact_id": None}, {"contact_id": ""}])

    found = violations("contacts", frame)

    assert [(finding.code, finding.count, finding.examples) for finding in found.findings] == [
        ("missing-value", 2, ("row 2", "row 3"))
    ]
    assert found.offending.tolist() == [False, True, True]


def test_second_use_of_a_key_is_a_duplicate() -> None:
    frame = make_frame("deal_contacts", [{"deal_id": deal, "contact_id": "c1"} for deal in ("d1", "d2", "d1", "d1")])

    found = violations("deal_contacts", frame, origin="deal_contacts.csv", row_numbers=np.array([1, 2, 4, 5]))

    assert [(finding.code, finding.count, finding.examples) for finding in found.findings] == [
        ("duplicate-key", 2, ("row 4: 'd1, c1'", "row 5: 'd1, c1'"))
    ]
    assert found.offending.tolist() == [False, False, True, True]


def test_same_stage_may_be_entered_twice_at_different_times() -> None:
    frame = make_frame(
        "deal_stage_history",
        [{"deal_id": "d1", "entered_at": "2024-01-01T00:00Z"}, {"deal_id": "d1", "entered_at": "2024-01-02T00:00Z"}],
    )

    assert validate("deal_stage_history", frame) == []


def test_property_columns_are_those_the_contract_does_not_name() -> None:
    tables = make_tables(contacts=[{"industry": "food", "email": "x", "age": 3}], owners=[{"team": "north"}])

    assert property_columns("contacts", tables["contacts"]) == ["industry", "age"]
    assert property_columns("owners", tables["owners"]) == []


def test_unknown_table_is_refused_by_name() -> None:
    with pytest.raises(UnknownTableError, match="found 'leads'"):
        validate("leads", pd.DataFrame())


def test_personal_values_are_never_quoted() -> None:
    shown = [quoted("email", "x"), quoted("name", "Ada"), quoted("contact_id", "ada@example.org")]

    assert set(shown) == {"(not shown: personal)"}
    assert quoted("stage", "x" * 100) == "'" + "x" * 60 + "...'"


def test_importing_the_contracts_does_not_import_pandera() -> None:
    code = "import sys, features.contracts, features.sources.folder, features.checks; print('pandera' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "False"
