"""Features of the company: its other contacts and its other deals, never what is one's own or not yet known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import Question
from features.company_features import Own, colleagues
from features.fact_stream import fact_stream
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract
from features.matrix import UnusableTableError, build_matrix
from features.memberships import Memberships
from features.properties import LeftOut, PropertySettings, SafeColumns, UnknownPropertyError
from features.tables import CrmTables
from features.visibility import MICROSECONDS_PER_DAY
from tests.features.builders import SALES_STAGES, make_tables

DAY = MICROSECONDS_PER_DAY
NAN = pytest.approx(np.nan, nan_ok=True)
SETTINGS = FeatureSettings(windows_days=(7, 28), half_lives_days=(), min_level_count=1)
VOUCHED = PropertySettings(contacts=SafeColumns(safe=("company_id",)), companies=SafeColumns(safe=("size", "sector")))
AS_OF = "2024-03-01T00:00Z"


def on(date: str, contact: str) -> dict[str, str]:
    return {"contact_id": contact, "type": "call", "occurred_at": f"{date}T00:00Z"}


def entry(deal: str, stage: str, date: str) -> dict[str, str]:
    return {"deal_id": deal, "stage": stage, "entered_at": f"{date}T00:00Z"}


# ann, bob and cid work for acme, where cid came last; dot for zoo; eve for nobody
TABLES: dict[str, Any] = {
    "contacts": [
        {"contact_id": "ann", "company_id": "acme", "created_at": "2024-01-01T00:00Z"},
        {"contact_id": "bob", "company_id": "acme", "created_at": "2024-01-01T00:00Z"},
        {"contact_id": "cid", "company_id": "acme", "created_at": "2024-02-25T00:00Z"},
        {"contact_id": "dot", "company_id": "zoo", "created_at": "2024-01-01T00:00Z"},
        {"contact_id": "eve", "company_id": None, "created_at": "2024-01-01T00:00Z"},
    ],
    "companies": [
        {"company_id": "acme", "size": 50, "sector": "toys", "created_at": "2024-01-01T00:00Z"},
        {"company_id": "zoo", "size": 7, "sector": "animals", "created_at": "2024-02-28T00:00Z"},
    ],
    "activities": [
        on("2024-02-10", "ann"),
        on("2024-02-24", "bob"),
        on("2024-02-20", "bob"),
        on("2024-01-15", "bob"),
        on("2024-02-03", "cid"),  # before cid was created: counts from 25 February on
        on("2024-02-28", "dot"),
        on("2024-03-01", "bob"),  # at the as-of: not yet known
    ],
    "deals": [{"deal_id": f"d{number}", "created_at": "2024-01-02T00:00Z"} for number in range(1, 6)],
    "deal_contacts": [
        {"deal_id": "d1", "contact_id": "ann"},
        {"deal_id": "d2", "contact_id": "bob"},
        {"deal_id": "d3", "contact_id": "bob"},
        {"deal_id": "d4", "contact_id": "ann"},
        {"deal_id": "d4", "contact_id": "bob"},
        {"deal_id": "d5", "contact_id": "dot"},
    ],
    "deal_stage_history": [
        entry("d1", "demo", "2024-01-05"),
        entry("d2", "demo", "2024-01-05"),
        entry("d2", "won", "2024-02-01"),
        entry("d3", "demo", "2024-01-05"),
        entry("d3", "lost", "2024-02-02"),
        entry("d4", "demo", "2024-02-05"),
        entry("d5", "demo", "2024-02-05"),
    ],
    "stages": SALES_STAGES,
    "property_history": [],
}


def learn(
    question: Question, tables: CrmTables, properties: PropertySettings = VOUCHED
) -> tuple[FeatureContract, list[LeftOut]]:
    return learn_contract(question=question, tables=tables, settings=SETTINGS, properties=properties)


def row_of(question: Question, thing: str, *, as_of: str = AS_OF, **changed: Any) -> pd.Series:
    tables = make_tables(**TABLES | changed)
    contract, _ = learn(question, make_tables(**TABLES))
    snapshots = pd.DataFrame({f"{question[:-1]}_id": [thing], "as_of": [pd.Timestamp(as_of)]})
    return build_matrix(tables=tables, snapshots=snapshots, contract=contract).features.iloc[0]


def test_colleagues_are_the_other_contacts_known_at_the_company() -> None:
    before, after = row_of("contacts", "ann", as_of="2024-02-25T00:00Z"), row_of("contacts", "ann")

    # cid is known from just after 25 February on
    assert (before["colleagues"], after["colleagues"]) == (1, 2)
    assert row_of("contacts", "dot")["colleagues"] == 0


def test_activity_of_colleagues_leaves_ones_own_out() -> None:
    ann, bob = row_of("contacts", "ann"), row_of("contacts", "bob")

    # 7 days before is 23 February: bob on the 24th, cid's known since the 25th; 28 days before is 2 February
    assert (ann["colleague_activity_7d"], ann["colleague_activity_28d"]) == (2, 3)
    assert (bob["colleague_activity_7d"], bob["colleague_activity_28d"]) == (1, 2)
    assert ann["colleagues_active_28d"] == bob["colleagues_active_28d"] == 2


def test_without_a_company_nothing_is_known_of_it() -> None:
    row = row_of("contacts", "eve")

    company = [name for name in row.index if name.startswith(("colleague", "company"))]
    assert len(company) == 9
    assert [name for name in company if not np.isnan(row[name])] == []


def test_deals_of_the_company_leave_ones_own_out() -> None:
    ann, bob = row_of("contacts", "ann"), row_of("contacts", "bob")

    # d4 is both ann's and bob's, d1 ann's alone; d2 and d3 are bob's
    assert (ann["company_open_deals"], ann["company_won_deals"], ann["company_lost_deals"]) == (0, 1, 1)
    assert (bob["company_open_deals"], bob["company_won_deals"], bob["company_lost_deals"]) == (1, 0, 0)


def test_deals_count_from_just_after_what_became_of_them() -> None:
    moments = ["2024-01-05T00:00Z", "2024-01-06T00:00Z", "2024-02-01T00:00Z", "2024-02-02T00:00Z", "2024-02-03T00:00Z"]
    names = ["company_open_deals", "company_won_deals", "company_lost_deals"]

    # of cid's company: d1, d2 and d3 open from 5 January on, d2 won on 1 February, d3 lost on the 2nd
    cid = [{**row, "created_at": "2024-01-01T00:00Z"} for row in TABLES["contacts"]]
    found = [row_of("contacts", "cid", as_of=as_of, contacts=cid)[names].tolist() for as_of in moments]

    assert found == [[0, 0, 0], [3, 0, 0], [3, 0, 0], [2, 1, 0], [1, 1, 1]]


def test_win_taken_back_counts_until_then() -> None:
    history = [
        entry("d2", "won", "2024-02-01"),
        {**entry("d2", "demo", "2024-02-01"), "entered_at": "2024-02-01T20:00Z"},
    ]
    names = ["company_open_deals", "company_won_deals"]

    found = [
        row_of("contacts", "ann", as_of=as_of, deal_stage_history=history)[names].tolist()
        for as_of in ("2024-02-01T10:00Z", "2024-02-02T00:00Z")
    ]

    assert found == [[0, 1], [1, 0]]


def test_a_deal_counts_the_contacts_and_deals_beyond_its_own() -> None:
    d1, d4, d5 = (row_of("deals", deal) for deal in ("d1", "d4", "d5"))

    # beyond ann (d1): bob and cid; beyond ann and bob (d4): cid alone; zoo has only dot, on d5 herself
    assert [row["colleagues"] for row in (d1, d4, d5)] == [2, 1, 0]
    assert [row["colleague_activity_28d"] for row in (d1, d4, d5)] == [3, 1, 0]
    assert [row["company_open_deals"] for row in (d1, d4, d5)] == [1, 1, 0]
    assert [row["company_won_deals"] for row in (d1, d4, d5)] == [1, 1, 0]


def test_properties_of_the_company_are_joined_once_the_company_is_known() -> None:
    early, late = row_of("contacts", "dot", as_of="2024-02-28T00:00Z"), row_of("contacts", "dot")

    assert np.isnan(early[["company_property_size", "company_property_sector"]]).all()
    # sectors in order: animals, toys, the rest
    assert (late["company_property_size"], late["company_property_sector"]) == (7, 0)
    assert row_of("deals", "d1")["company_property_sector"] == 1


def test_history_of_a_companys_property_is_read_at_the_as_of() -> None:
    history = [
        {"object_type": "company", "object_id": "acme", "property": "tier", "value": value, "known_at": known}
        for value, known in (("low", "2024-01-05T00:00Z"), ("top", "2024-02-20T00:00Z"))
    ]
    tables = make_tables(**TABLES | {"property_history": history})
    contract, _ = learn("contacts", tables)
    snapshots = pd.DataFrame(
        {"contact_id": ["ann"] * 2, "as_of": [pd.Timestamp("2024-02-20T00:00Z"), pd.Timestamp(AS_OF)]}
    )

    found = build_matrix(tables=tables, snapshots=snapshots, contract=contract).features

    assert contract.company_properties["tier"] == ("low", "top", "(other)")
    assert found["company_property_tier"].tolist() == [0, 1]


def test_history_of_the_link_is_enough_to_use_it() -> None:
    history = [
        {"object_id": contact, "property": "company_id", "value": "acme", "known_at": f"2024-0{month}-01T00:00Z"}
        for contact, month in (("ann", 1), ("bob", 2))
    ]
    tables = make_tables(**TABLES | {"property_history": history})
    contract, left_out = learn("contacts", tables, PropertySettings())
    snapshots = pd.DataFrame(
        {"contact_id": ["ann"] * 2, "as_of": [pd.Timestamp("2024-02-01T00:00Z"), pd.Timestamp(AS_OF)]}
    )
    assert learn("contacts", tables)[0].company_links == {"contact": False}  # it goes before the vouched column

    found = build_matrix(tables=tables, snapshots=snapshots, contract=contract).features

    assert contract.company_links == {"contact": False}
    assert ("contacts", "company_id") not in {(item.table, item.column) for item in left_out}
    # bob was known to be there from 1 February on; his call of 15 January counts from then on
    assert found["colleagues"].tolist() == [0, 1]
    assert found["colleague_activity_28d"].tolist() == [0, 2]


def test_without_a_usable_link_the_company_is_left_out_and_named() -> None:
    contract, left_out = learn(
        "contacts", make_tables(**TABLES), PropertySettings(companies=SafeColumns(safe=("size",)))
    )

    reasons = {(item.table, item.column): item.reason for item in left_out}
    assert [name for name in contract.names if name.startswith(("colleague", "company"))] == []
    assert "no history" in reasons["contacts", "company_id"]
    assert "nobody is known to belong to a company" in reasons["companies", "size"]
    assert "no history" in reasons["companies", "sector"]


def test_vouching_for_a_column_that_companies_lack_is_an_error() -> None:
    with pytest.raises(UnknownPropertyError, match=r"properties\.companies\.safe names 'sizes'"):
        learn("deals", make_tables(**TABLES), PropertySettings(companies=SafeColumns(safe=("sizes",))))


def test_contract_with_properties_of_companies_refuses_a_source_that_has_lost_them() -> None:
    with pytest.raises(UnusableTableError, match="'companies', which the source no longer has"):
        row_of("contacts", "ann", companies=None)


def test_contract_with_links_from_a_history_refuses_a_source_that_has_lost_it() -> None:
    history = [{"object_id": "ann", "property": "company_id", "value": "acme"}]
    contract, _ = learn("contacts", make_tables(**TABLES | {"property_history": history}), PropertySettings())
    snapshots = pd.DataFrame({"contact_id": ["ann"], "as_of": [pd.Timestamp(AS_OF)]})

    with pytest.raises(UnusableTableError, match="'property_history', which the source no longer has"):
        build_matrix(tables=make_tables(**TABLES | {"property_history": None}), snapshots=snapshots, contract=contract)


def plain_colleagues(
    company_of: list[int], facts: list[tuple[int, int]], own: set[int], company: int, now: int
) -> list[float]:
    """Count (colleagues, active, activities in each window) by the definitions; everybody is known from time 0 on."""
    others = [who for who, where in enumerate(company_of) if where == company and who not in own]
    recent = {days: [who for who, time in facts if who in others and now - days * DAY <= time < now] for days in (2, 9)}
    return [len(others) if now > 0 else 0, len(set(recent[9])), len(recent[2]), len(recent[9])]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    company_of=st.lists(st.integers(-1, 2), min_size=4, max_size=4),
    facts=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30).map(lambda half: half * DAY // 2)), max_size=30),
    snapshots=st.lists(
        st.tuples(st.sets(st.integers(0, 3), max_size=3), st.integers(-1, 2), st.integers(1, 32)),
        min_size=1,
        max_size=9,
    ),
)
def test_sweep_over_companies_agrees_with_a_plain_reading(
    company_of: list[int], facts: list[tuple[int, int]], snapshots: list[tuple[set[int], int, int]]
) -> None:
    people = np.arange(4)
    known = np.zeros(4, dtype=np.int64)
    members = Memberships(stream=fact_stream(objects=people, times=known, object_count=4), company=np.array(company_of))
    activity = fact_stream(
        objects=np.array([who for who, _ in facts], dtype=np.int64),
        times=np.array([time for _, time in facts], dtype=np.int64),
        object_count=4,
    )
    pairs = [(row, who) for row, (own, _, _) in enumerate(snapshots) for who in own]

    found = colleagues(
        members=members,
        activity=activity,
        companies=np.array([company for _, company, _ in snapshots]),
        as_of=np.array([half * DAY // 2 for _, _, half in snapshots]),
        own=Own(
            np.array([row for row, _ in pairs], dtype=np.int64), np.array([who for _, who in pairs], dtype=np.int64)
        ),
        company_count=3,
        windows_days=(2, 9),
    )

    for row, (own, company, half) in enumerate(snapshots):
        told = [float(column[row]) for column in found.values()]
        expected = plain_colleagues(company_of, facts, own, company, half * DAY // 2)
        assert told == (expected if company >= 0 else [NAN] * 4)
