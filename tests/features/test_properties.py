"""Properties as they were: history first, vouched columns second, everything else left out with the reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.errors import LeadScoringError
from features.properties import (
    MissingPropertyError,
    PropertySettings,
    PropertyValues,
    SafeColumns,
    UnknownPropertyError,
    property_at,
    usable_properties,
)
from features.tables import CrmTables
from features.visibility import instant
from tests.features.builders import make_tables

NOTHING_VOUCHED = PropertySettings()


def vouching(*contact_columns: str) -> PropertySettings:
    return PropertySettings(contacts=SafeColumns(safe=contact_columns))


TABLES = make_tables(
    contacts=[
        {"email": "ada@example.org", "source": "fair", "lifecyclestage": "customer", "level": "boss", "seats": 5},
        {"email": "bob@example.org", "source": None, "lifecyclestage": "lead", "level": "boss", "seats": None},
    ],
    property_history=[
        {"object_id": "c1", "property": "level", "value": "junior", "known_at": "2024-02-01T00:00Z"},
        {"object_id": "c1", "property": "level", "value": None, "known_at": "2024-03-01T00:00Z"},
        {"object_id": "c1", "property": "level", "value": "senior", "known_at": "2024-04-01T00:00Z"},
        {"object_id": "c1", "property": "phone", "value": "1234", "known_at": "2024-02-01T00:00Z"},
        {"object_id": "c1", "property": "nickname", "value": "ad", "known_at": "2024-02-01T00:00Z"},
        {"object_type": "deal", "object_id": "c1", "property": "source", "value": "x", "known_at": "2024-02-01T00:00Z"},
    ],
)


def usable(settings: PropertySettings, tables: CrmTables = TABLES) -> tuple[list[str], dict[str | None, str]]:
    names, left_out = usable_properties(tables=tables, object_type="contact", settings=settings)
    assert {entry.table for entry in left_out} <= {"contacts"}
    return names, {entry.column: entry.reason for entry in left_out}


def values_of(name: str, *snapshots: tuple[str, str], vouched: bool = True) -> PropertyValues:
    """Look a property up at (contact, as-of) pairs."""
    ids = pd.Index(TABLES["contacts"]["contact_id"])
    return property_at(
        tables=TABLES,
        object_type="contact",
        name=name,
        ids=ids,
        objects=np.asarray(ids.get_indexer(pd.Index([contact for contact, _ in snapshots])), dtype=np.int64),
        as_of=np.array([instant(pd.Timestamp(as_of)) for _, as_of in snapshots]),
        vouched=vouched,
    )


def plain(values: object) -> list[object]:
    return [None if pd.isna(value) else value for value in values]  # type: ignore[attr-defined]


def test_columns_without_history_are_left_out_with_the_reason_unless_vouched_for() -> None:
    names, reasons = usable(vouching("source"))

    assert names == ["source", "level", "nickname"]
    assert set(reasons) == {"email", "lifecyclestage", "seats", "phone"}
    assert reasons["seats"] == (
        "no history: the table shows today's value, perhaps written after the outcome; "
        "vouch for it in properties.contacts.safe if it is not"
    )


def test_personal_columns_are_never_used_unless_vouched_for_even_with_history() -> None:
    not_vouched, reasons = usable(NOTHING_VOUCHED)
    vouched, _ = usable(vouching("email"))

    assert "email" not in not_vouched
    assert "phone" not in not_vouched
    assert reasons["email"] == reasons["phone"] == "personal data: never used unless vouched for"
    assert "email" in vouched


def test_columns_that_are_never_filled_are_passed_over() -> None:
    names, left_out = usable_properties(
        tables=make_tables(contacts=[{"source": None}]), object_type="contact", settings=NOTHING_VOUCHED
    )

    assert names == []
    assert left_out == []


def test_history_of_another_kind_of_object_does_not_count() -> None:
    names, reasons = usable(NOTHING_VOUCHED)

    assert "source" not in names
    assert "source" in reasons


def test_vouching_for_a_column_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UnknownPropertyError) as raised:
        usable(vouching("sources"))

    assert isinstance(raised.value, LeadScoringError)
    assert str(raised.value) == (
        "properties.contacts.safe names 'sources', which the table contacts does not have; "
        "it has company_id, owner_id, email, source, lifecyclestage, level, seats. Correct the name or remove it."
    )


def test_history_gives_the_newest_value_known_strictly_before_the_as_of() -> None:
    found = values_of(
        "level",
        ("c1", "2024-02-01T00:00Z"),
        ("c1", "2024-02-01T00:00:00.000001Z"),
        ("c1", "2024-03-01T00:00Z"),
        ("c1", "2024-04-02T00:00Z"),
        vouched=False,
    )

    assert plain(found.value) == [None, "junior", "junior", "senior"]
    assert plain(found.first) == [None, "junior", "junior", "junior"]
    assert found.changes.tolist() == [0.0, 0.0, 0.0, 2.0]


def test_cleared_value_is_missing_and_counts_as_a_change() -> None:
    found = values_of("level", ("c1", "2024-03-15T00:00Z"))

    assert plain(found.value) == [None]
    assert plain(found.first) == ["junior"]
    assert found.changes.tolist() == [1.0]


def test_column_that_is_not_vouched_for_stays_unread_where_the_history_has_nothing() -> None:
    # the column says "boss" for both; c2 has no history of it
    found = values_of("level", ("c1", "2024-01-15T00:00Z"), ("c2", "2024-06-01T00:00Z"), vouched=False)

    assert plain(found.value) == [None, None]


def test_history_that_begins_later_changes_no_earlier_value_of_a_vouched_column() -> None:
    def at(day: str, *, history: bool) -> object:
        tables = make_tables(
            contacts=[{"contact_id": "c1", "created_at": "2024-01-01T00:00Z", "source": "event"}],
            property_history=[
                {
                    "object_type": "contact",
                    "object_id": "c1",
                    "property": "source",
                    "value": "partner",
                    "known_at": "2024-06-01T00:00Z",
                }
            ]
            if history
            else None,
        )
        moment = np.array([pd.Timestamp(day).value // 1000], dtype=np.int64)
        found = property_at(
            tables=tables,
            object_type="contact",
            name="source",
            ids=pd.Index(["c1"], dtype="str"),
            objects=np.array([0]),
            as_of=moment,
            vouched=True,
        )
        return found.value[0]

    assert at("2024-03-01T00:00Z", history=False) == "event"
    assert at("2024-03-01T00:00Z", history=True) == "event"
    assert at("2024-07-01T00:00Z", history=True) == "partner"


def test_vouched_column_is_the_same_at_every_moment() -> None:
    found = values_of("source", ("c1", "2024-01-15T00:00Z"), ("c1", "2024-06-01T00:00Z"), ("c2", "2024-06-01T00:00Z"))

    assert plain(found.value) == plain(found.first) == ["fair", "fair", None]
    assert found.changes.tolist() == [0.0, 0.0, 0.0]


def test_column_that_is_not_vouched_for_is_not_read_even_if_there_is_no_history() -> None:
    found = values_of("lifecyclestage", ("c1", "2024-06-01T00:00Z"), vouched=False)

    assert plain(found.value) == [None]
    assert found.changes.tolist() == [0.0]


def test_unknown_object_has_no_value() -> None:
    assert plain(values_of("source", ("nobody", "2024-06-01T00:00Z")).value) == [None]
    assert plain(values_of("level", ("nobody", "2024-06-01T00:00Z")).value) == [None]


def test_property_that_the_source_has_lost_is_an_error_that_names_it() -> None:
    with pytest.raises(MissingPropertyError, match=r"contacts\.industry, which the source no longer has"):
        values_of("industry", ("c1", "2024-06-01T00:00Z"))
