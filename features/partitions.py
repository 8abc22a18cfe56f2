"""Contacts in partitions that can be worked on one after the other: colleagues stay together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.memberships import COMPANY_ID
from features.tables import CrmTables
from features.visibility import codes


def contact_partitions(*, tables: CrmTables, rows: pd.Series, at_most: int) -> list[pd.Index]:
    """Split the contacts so that each partition has at most so many activities.

    ``rows`` counts the activities of each contact, by its id. Contacts who were ever at one company have features in
    common and stay together, so a partition has more if the contacts of one company alone have.
    """
    ids = pd.Index(tables["contacts"]["contact_id"])
    if rows.sum() <= at_most or not len(ids):
        return [ids]
    group = _colleagues(tables, ids)
    weight = np.bincount(group, weights=rows.reindex(ids, fill_value=0).to_numpy())
    partition = np.zeros(len(weight), dtype=np.int64)
    number, filled = 0, 0.0
    for place, own in enumerate(weight.tolist()):
        if filled and filled + own > at_most:
            number, filled = number + 1, 0.0
        partition[place] = number
        filled += own
    of_contact = partition[group]
    return [ids[of_contact == one] for one in range(number + 1)]


def _colleagues(tables: CrmTables, ids: pd.Index) -> np.ndarray:
    """Number the contacts so that those who are linked through companies have the same number."""
    contacts, history = tables["contacts"], tables["property_history"]
    told = history.loc[(history["object_type"] == "contact") & (history["property"] == COMPANY_ID)]
    links = pd.concat(
        [
            pd.DataFrame({"contact": contacts["contact_id"], "company": contacts[COMPANY_ID]}),
            pd.DataFrame({"contact": told["object_id"], "company": told["value"]}),
        ]
    ).dropna()
    contact = codes(links["contact"].astype("str"), index=ids)
    company, companies = pd.factorize(links["company"])
    known = contact >= 0
    count = len(ids) + len(companies)
    graph = coo_array((np.ones(known.sum()), (contact[known], len(ids) + company[known])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels[: len(ids)], dtype=np.int64)
