"""Which company contacts and deals belonged to, and since when it was known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.memberships import CompanyLinks, Memberships, company_links
from features.tables import CrmTables
from features.visibility import NEVER, instant
from tests.features.builders import make_tables


def at(time: str) -> int:
    return instant(pd.Timestamp(time, tz="UTC"))


def tables_of(**changed: Any) -> CrmTables:
    tables: dict[str, Any] = {
        "contacts": [
            {"contact_id": "ann", "company_id": "acme", "created_at": "2024-01-10T00:00Z"},
            {"contact_id": "bob", "company_id": None, "created_at": "2024-01-01T00:00Z"},
        ],
        "deals": [
            {"deal_id": "d1", "company_id": "zoo", "created_at": "2024-01-05T00:00Z"},
            {"deal_id": "d2", "created_at": "2024-02-01T00:00Z"},
        ],
        "property_history": [],
    }
    return make_tables(**tables | changed)


def links_of(tables: CrmTables, **links: bool) -> CompanyLinks:
    kinds: Any = links
    # d1 and d2 both have ann
    return company_links(tables=tables, links=kinds, deal_ids=pd.Index(["d1", "d2"]), contact_of_deal=np.array([0, 0]))


def company_of(links: CompanyLinks, members: Memberships | None, thing: int, time: str) -> str | None:
    assert members is not None
    code = members.at(objects=np.array([thing]), as_of=np.array([at(time)]))[0]
    return None if code < 0 else str(links.company_ids[code])


def test_vouched_link_is_known_from_just_after_creation_on() -> None:
    links = links_of(tables_of(), contact=True)

    assert company_of(links, links.contacts, 0, "2024-01-10") is None
    assert company_of(links, links.contacts, 0, "2024-01-11") == "acme"
    assert company_of(links, links.contacts, 1, "2024-06-01") is None


def test_history_tells_changes_of_company() -> None:
    history = [
        {"object_id": "ann", "property": "company_id", "value": "old", "known_at": "2024-01-02T00:00Z"},
        {"object_id": "ann", "property": "company_id", "value": "new", "known_at": "2024-02-01T00:00Z"},
        {"object_id": "ann", "property": "company_id", "value": None, "known_at": "2024-03-01T00:00Z"},
    ]

    links = links_of(tables_of(property_history=history), contact=False)

    # the first value was known before ann was there
    told = [company_of(links, links.contacts, 0, f"2024-{day}") for day in ("01-09", "01-11", "02-02", "03-02")]
    assert told == [None, "old", "new", None]


def test_deal_belongs_to_its_own_company_where_that_may_be_used() -> None:
    links = links_of(tables_of(), contact=True, deal=True)

    assert company_of(links, links.deals, 0, "2024-01-06") == "zoo"
    assert company_of(links, links.deals, 1, "2024-06-01") is None


def test_deal_without_a_usable_link_belongs_to_the_company_of_its_first_contact() -> None:
    links = links_of(tables_of(), contact=True)

    # d1 was there before ann, d2 after her
    assert [company_of(links, links.deals, 0, day) for day in ("2024-01-10", "2024-01-11")] == [None, "acme"]
    assert [company_of(links, links.deals, 1, day) for day in ("2024-02-01", "2024-02-02")] == [None, "acme"]


def test_only_the_links_asked_for_are_read() -> None:
    links = links_of(tables_of(), deal=True)

    assert links.contacts is None
    assert links.company_ids.tolist() == ["zoo"]


def test_first_known_is_when_the_earliest_link_became_known() -> None:
    links = links_of(tables_of(), contact=True)

    assert links.contacts is not None
    assert links.contacts.first_known().tolist() == [at("2024-01-10"), NEVER]
