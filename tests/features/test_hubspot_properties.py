"""HubSpot's properties carry the class that says how they are known in time."""

from __future__ import annotations

import csv

import pytest

from features import hubspot_properties
from features.hubspot_properties import WORDS, Known, ObjectType, hubspot_class, hubspot_reason
from features.properties import PropertySettings, SafeColumns, usable_properties
from features.vouching import vouching_findings
from tests.features.builders import make_tables


@pytest.mark.parametrize(
    ("object_type", "name", "known"),
    [
        ("contact", "lifecyclestage", "leak_lifecycle"),
        ("contact", "num_associated_deals", "leak_outcome"),
        ("contact", "hubspotscore", "leak_model"),
        ("contact", "gender", "personal_or_id"),
        ("contact", "hs_analytics_num_visits", "counter"),
        ("contact", "hs_analytics_source", "first_touch"),
        ("contact", "jobtitle", "mutable"),
        ("contact", "hubspot_owner_id", "treatment"),
        ("contact", "favourite_colour", None),
        ("deal", "closed_lost_reason", "leak_outcome"),
        ("deal", "hs_is_closed_won", "leak_outcome"),
        ("deal", "hs_likelihood_to_close", "leak_model"),
        ("deal", "lifecyclestage", None),
        ("company", "lifecyclestage", None),
    ],
)
def test_property_has_its_class(object_type: ObjectType, name: str, known: Known | None) -> None:
    assert hubspot_class(object_type=object_type, name=name) == known


def test_only_leaks_and_personal_data_stay_out_by_name() -> None:
    with hubspot_properties._TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    objects: dict[str, ObjectType] = {"contact": "contact", "deal": "deal"}

    out = {
        row["known"] for row in rows if hubspot_reason(object_type=objects[row["object_type"]], name=row["property"])
    }

    assert {row["known"] for row in rows} == set(WORDS)
    assert sum(row["object_type"] == "contact" for row in rows) == 390
    assert out == {"leak_outcome", "leak_lifecycle", "leak_model", "personal_or_id"}


def test_a_leak_stays_out_by_name_even_with_a_history_and_is_used_with_a_warning_if_vouched_for() -> None:
    tables = make_tables(
        contacts=[{"lifecyclestage": "customer", "jobtitle": "buyer"}],
        property_history=[
            {"property": "lifecyclestage", "value": "lead", "known_at": "2024-02-01T00:00Z"},
            {"property": "jobtitle", "value": "buyer", "known_at": "2024-02-01T00:00Z"},
        ],
    )
    vouched = PropertySettings(contacts=SafeColumns(safe=("lifecyclestage", "jobtitle")))

    used, left_out = usable_properties(tables=tables, object_type="contact", settings=PropertySettings())
    used_if_vouched, _ = usable_properties(tables=tables, object_type="contact", settings=vouched)
    found = vouching_findings(tables=tables, settings=vouched)

    assert used == ["jobtitle"]
    assert [(item.column, item.reason.split(":")[0]) for item in left_out] == [("lifecyclestage", "knows the outcome")]
    assert used_if_vouched == ["lifecyclestage", "jobtitle"]
    assert [(one.severity, one.code, one.table, one.column) for one in found] == [
        ("warning", "vouched-against-its-name", "contacts", "lifecyclestage")
    ]
    assert vouching_findings(tables=tables, settings=PropertySettings()) == []
