"""Which company contacts and deals belonged to, as far as it was known at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.fact_stream import FactStream, fact_stream
from features.properties import TABLE_OF, ObjectType
from features.tables import CrmTables
from features.visibility import NEVER, Int64Array, codes, created_times, microseconds

COMPANY_ID = "company_id"


@dataclass(frozen=True)
class Memberships:
    """Each object's companies (codes, -1 for none) in the order in which they became known.

    ``company`` runs parallel to the stream.
    """

    stream: FactStream
    company: Int64Array

    def at(self, *, objects: Int64Array, as_of: Int64Array) -> Int64Array:
        """Return the company of each object as it was known strictly before the as-of, or -1."""
        position = self.stream.last_before(objects=objects, as_of=as_of)
        return np.where(position >= 0, np.append(self.company, -1)[position], -1)

    def first_known(self) -> Int64Array:
        """Return when a company of each object was first known, ``NEVER`` if it never was."""
        first, last = self.stream.starts[:-1], self.stream.starts[1:]
        return np.where(first < last, np.append(self.stream.times, NEVER)[first], NEVER)


@dataclass(frozen=True)
class CompanyLinks:
    """The companies by code, and who belongs to which; None where no column that may be used tells it."""

    company_ids: pd.Index
    contacts: Memberships | None
    deals: Memberships | None


def company_links(
    *, tables: CrmTables, links: Mapping[ObjectType, bool], deal_ids: pd.Index, contact_of_deal: Int64Array
) -> CompanyLinks:
    """Read the links that may be used: from the vouched column (``links`` is true) or from its history.

    A deal without a link of its own belongs to the company of the contact on it that was known first.
    """
    rows = {kind: _rows(tables, kind, vouched=vouched) for kind, vouched in links.items()}
    company_ids = pd.Index(pd.concat([frame["company"] for frame in rows.values()]).dropna().unique())
    contact_ids = pd.Index(tables["contacts"]["contact_id"])
    contacts = _memberships(rows["contact"], company_ids, ids=contact_ids) if "contact" in rows else None
    deals = _memberships(rows["deal"], company_ids, ids=deal_ids) if "deal" in rows else None
    if deals is None and contacts is not None:
        created = created_times(pd.Series(deal_ids), table=tables["deals"], key="deal_id")
        deals = _through_contact(contacts, contact_of_deal=contact_of_deal, created=created)
    return CompanyLinks(company_ids=company_ids, contacts=contacts, deals=deals)


def _rows(tables: CrmTables, kind: ObjectType, *, vouched: bool) -> pd.DataFrame:
    """Return (object, company, time) for every time that a link of these objects became known."""
    history, table, key = tables["property_history"], tables[TABLE_OF[kind]], f"{kind}_id"
    if not vouched:
        own = history.loc[(history["object_type"] == kind) & (history["property"] == COMPANY_ID)]
        created = created_times(own["object_id"], table=table, key=key)
        known = np.maximum(microseconds(own["known_at"]), np.where(created == NEVER, -NEVER, created))
        return pd.DataFrame({"object": own["object_id"], "company": own["value"], "time": known})
    filled = table.loc[table[COMPANY_ID].notna()]
    return pd.DataFrame(
        {"object": filled[key], "company": filled[COMPANY_ID], "time": microseconds(filled["created_at"])}
    )


def _memberships(rows: pd.DataFrame, company_ids: pd.Index, *, ids: pd.Index) -> Memberships:
    company = codes(rows["company"], index=company_ids)
    stream = fact_stream(
        objects=codes(rows["object"], index=ids), times=rows["time"].to_numpy(dtype=np.int64), object_count=len(ids)
    )
    return Memberships(stream=stream, company=company[stream.rows])


def _through_contact(contacts: Memberships, *, contact_of_deal: Int64Array, created: Int64Array) -> Memberships:
    starts = contacts.stream.starts
    safe = np.maximum(contact_of_deal, 0)
    count = np.where(contact_of_deal >= 0, starts[safe + 1] - starts[safe], 0)
    deal = np.repeat(np.arange(len(contact_of_deal)), count)
    position = np.repeat(starts[safe], count) + np.arange(len(deal)) - np.repeat(np.cumsum(count) - count, count)
    stream = fact_stream(
        objects=deal,
        times=np.maximum(contacts.stream.times[position], created[deal]),
        object_count=len(contact_of_deal),
        ties=(contacts.stream.times[position],),
    )
    return Memberships(stream=stream, company=contacts.company[position[stream.rows]])
