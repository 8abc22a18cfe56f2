"""Contacts in partitions and samples: whoever has features in common stays together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.memberships import COMPANY_ID
from features.tables import CrmTables
from features.visibility import Int64Array, codes


def contact_partitions(*, tables: CrmTables, rows: pd.Series, at_most: int) -> list[pd.Index]:
    """Split the contacts so that each partition has at most so many activities.

    ``rows`` counts the activities of each contact, by its id. Contacts who were ever at one company have features in
    common and stay together, so a partition has more if the contacts of one company alone have.
    """
    ids = pd.Index(tables["contacts"]["contact_id"])
    if rows.sum() <= at_most or not len(ids):
        return [ids]
    group, _ = _groups(tables, ids)
    weight = _weights(group, ids=ids, rows=rows)
    partition = np.zeros(len(weight), dtype=np.int64)
    number, filled = 0, 0.0
    for place, own in enumerate(weight.tolist()):
        if filled and filled + own > at_most:
            number, filled = number + 1, 0.0
        partition[place] = number
        filled += own
    of_contact = partition[group]
    return [ids[of_contact == one] for one in range(number + 1)]


def sample_of_contacts(*, tables: CrmTables, rows: pd.Series, at_most: int, seed: int) -> pd.Index:
    """Return contacts with at most so many activities together, or those of one company if these alone have more.

    Whole companies are drawn, by the least hash of their contacts' ids, so that whoever is drawn has all colleagues
    there, and the draw does not hang on the order of the tables.
    """
    ids = pd.Index(tables["contacts"]["contact_id"])
    group, _ = _groups(tables, ids)
    weight = _weights(group, ids=ids, rows=rows)
    hashed = pd.util.hash_array((ids.astype(object) + f"/{seed}").to_numpy(dtype=object), categorize=False)
    least = np.full(len(weight), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, group, hashed)
    order = np.argsort(least, kind="stable")
    enough = int(np.searchsorted(np.cumsum(weight[order]), at_most, side="right"))
    drawn = np.zeros(len(weight), dtype=np.bool_)
    drawn[order[: max(1, enough)]] = True
    chosen: pd.Index = ids[drawn[group]]
    return chosen


def contacts_of_deals(tables: CrmTables) -> pd.Index:
    """Return the contacts whose activities features of deals rest on: those on deals, and their colleagues."""
    ids = pd.Index(tables["contacts"]["contact_id"])
    group, of_deals = _groups(tables, ids, with_deals=True)
    chosen: pd.Index = ids[np.isin(group, of_deals)]
    return chosen


def _weights(group: Int64Array, *, ids: pd.Index, rows: pd.Series) -> NDArray[np.float64]:
    """Count the activities of each group of contacts."""
    counts = rows.reindex(ids, fill_value=0).to_numpy(dtype=np.float64)
    return np.asarray(np.bincount(group, weights=counts), dtype=np.float64)


def _groups(tables: CrmTables, ids: pd.Index, *, with_deals: bool = False) -> tuple[Int64Array, Int64Array]:
    """Number the contacts so that those who are linked through companies have the same number, and say the deals' own.

    With deals, those who are linked through a deal, or its company, have the same number too.
    """
    contacts, deals, links = tables["contacts"], tables["deals"], tables["deal_contacts"]
    employers = pd.concat(
        [_pairs(contacts["contact_id"], contacts[COMPANY_ID]), _told(tables, "contact")], ignore_index=True
    )
    customers = pd.concat([_pairs(deals["deal_id"], deals[COMPANY_ID]), _told(tables, "deal")], ignore_index=True)
    company, companies = pd.factorize(pd.concat([employers["other"], customers["other"]]))
    deal_ids = pd.Index(deals["deal_id"])
    # Contacts are nodes first, companies next, deals last.
    edges = [(codes(employers["one"], index=ids), len(ids) + company[: len(employers)])]
    first_deal = len(ids) + len(companies)
    if with_deals:
        linked = codes(links["deal_id"], index=deal_ids)
        edges += [
            (_after(first_deal, codes(customers["one"], index=deal_ids)), len(ids) + company[len(employers) :]),
            (_after(first_deal, linked), codes(links["contact_id"], index=ids)),
        ]
    one, other = (np.concatenate([pair[side] for pair in edges]) for side in (0, 1))
    known = (one >= 0) & (other >= 0)
    count = first_deal + len(deal_ids)
    graph = coo_array((np.ones(known.sum()), (one[known], other[known])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    group, found = pd.factorize(labels[: len(ids)])
    return group.astype(np.int64), np.flatnonzero(np.isin(found, labels[first_deal:]))


def _after(first: int, places: Int64Array) -> Int64Array:
    return np.where(places >= 0, first + places, -1)


def _told(tables: CrmTables, object_type: str) -> pd.DataFrame:
    history = tables["property_history"]
    told = history.loc[(history["object_type"] == object_type) & (history["property"] == COMPANY_ID)]
    return _pairs(told["object_id"], told["value"])


def _pairs(one: pd.Series, other: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"one": one.to_numpy(), "other": other.to_numpy()}).dropna().astype("str")
