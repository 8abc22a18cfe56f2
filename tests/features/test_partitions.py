"""Partitions of contacts: colleagues together, none too large, everybody in exactly one."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from features.partitions import contact_partitions
from features.tables import CrmTables
from tests.features.builders import make_tables


def crm(companies: Mapping[str, str | None], *, history: tuple[tuple[str, str], ...] = ()) -> CrmTables:
    return make_tables(
        contacts=[{"contact_id": contact, "company_id": company} for contact, company in companies.items()],
        property_history=[
            {"object_type": "contact", "object_id": contact, "property": "company_id", "value": company}
            for contact, company in history
        ],
    )


def partitions(tables: CrmTables, rows: Mapping[str, int], *, at_most: int) -> list[list[str]]:
    counts = pd.Series(rows, dtype="int64")
    return [sorted(part) for part in contact_partitions(tables=tables, rows=counts, at_most=at_most)]


def test_what_fits_is_one_partition() -> None:
    tables = crm({"c1": None, "c2": None})

    assert partitions(tables, {"c1": 5, "c2": 5}, at_most=10) == [["c1", "c2"]]


def test_contacts_are_split_once_their_activities_are_too_many() -> None:
    tables = crm({"c1": None, "c2": None, "c3": None, "quiet": None})

    assert partitions(tables, {"c1": 6, "c2": 4, "c3": 1}, at_most=10) == [["c1", "c2"], ["c3", "quiet"]]


def test_colleagues_stay_together_even_if_they_are_too_many() -> None:
    tables = crm({"c1": "acme", "c2": None, "c3": "acme"})

    assert partitions(tables, {"c1": 8, "c2": 3, "c3": 8}, at_most=10) == [["c1", "c3"], ["c2"]]


def test_former_colleagues_stay_together_too() -> None:
    tables = crm({"c1": "acme", "c2": None, "c3": "other"}, history=(("c3", "acme"), ("c3", "other")))

    assert partitions(tables, {"c1": 8, "c2": 3, "c3": 8}, at_most=10) == [["c1", "c3"], ["c2"]]


@settings(max_examples=50, deadline=None)
@given(
    companies=st.lists(st.sampled_from(["acme", "best", "cable", None, None]), min_size=1, max_size=12),
    rows=st.lists(st.integers(0, 9), min_size=12, max_size=12),
    at_most=st.integers(1, 20),
)
def test_everybody_is_in_one_partition_with_all_colleagues(
    companies: list[str | None], rows: list[int], at_most: int
) -> None:
    company_of = {f"c{number}": company for number, company in enumerate(companies)}
    counts = dict(zip(company_of, rows, strict=False))

    found = partitions(crm(company_of), counts, at_most=at_most)

    assert sorted(contact for part in found for contact in part) == sorted(company_of)
    for part in found:
        busy_groups = {company_of[contact] or contact for contact in part if counts[contact]}
        assert sum(counts[contact] for contact in part) <= at_most or len(busy_groups) == 1
    homes = [{company_of[contact] for contact in part} - {None} for part in found]
    assert sum(map(len, homes)) == len(set().union(*homes))
