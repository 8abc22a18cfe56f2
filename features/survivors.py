"""Merged contacts: what is told of one that was merged into another counts for the one that is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from features.tables import CrmTables

MERGED_IDS: Final = "merged_ids"


def survivors_of(contacts: pd.DataFrame) -> dict[str, str]:
    """Return for each contact that was merged into another one the contact that is left in the end.

    ``merged_ids`` lists the merged ones, separated by semicolons. Of contacts merged in a circle the smallest id is
    left.
    """
    told = contacts.loc[contacts[MERGED_IDS].notna(), ["contact_id", MERGED_IDS]]
    into = {
        loser: survivor
        for survivor, losers in told.itertuples(index=False)
        for loser in (one.strip() for one in losers.split(";"))
        if loser and loser != survivor
    }
    ends = {loser: _end(loser, into) for loser in into}
    return {loser: end for loser, end in ends.items() if loser != end}


def follow_merges(tables: CrmTables, survivors: Mapping[str, str]) -> CrmTables:
    """Return the tables, but for the activities, with every merged contact replaced by the one that is left."""
    if not survivors:
        return tables
    contacts, links, history = tables["contacts"], tables["deal_contacts"], tables["property_history"]
    of_contact = history["object_type"] == "contact"
    return CrmTables(
        frames={
            **tables.frames,
            "contacts": contacts.loc[~contacts["contact_id"].isin(list(survivors))].reset_index(drop=True),
            "deal_contacts": links.assign(contact_id=links["contact_id"].replace(survivors)),
            "property_history": history.assign(
                object_id=history["object_id"].mask(of_contact, history["object_id"].replace(survivors))
            ),
        },
        absent=tables.absent,
    )


def _end(contact: str, into: Mapping[str, str]) -> str:
    seen = [contact]
    while (following := into.get(seen[-1])) is not None:
        if following in seen:
            return min(seen[seen.index(following) :])
        seen.append(following)
    return seen[-1]
