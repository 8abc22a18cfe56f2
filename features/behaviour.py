"""The activities of contacts and of deals in the tables, sorted for the sweep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from features.activity_stream import ActivityStream, CodedActivities, CodedBatch, Facts, activity_stream
from features.discounting import NO_DISCOUNT, Discount
from features.fact_stream import NEVER
from features.series import SeriesPlan
from features.tables import CrmTables
from features.visibility import codes, created_times, effective_time, microseconds
from features.words import TEXT, Words, places_among


def contact_activities(
    *,
    activities: pd.DataFrame,
    contact_ids: pd.Index,
    kinds: tuple[str, ...] = (),
    plan: SeriesPlan | None = None,
    discount: Discount = NO_DISCOUNT,
) -> ActivityStream:
    """Sort activities by the contact they belong to; give the kinds to count, or a whole plan of series.

    Activities of contacts that ``contact_ids`` does not have belong to nobody.
    """
    plan = plan or SeriesPlan(kinds)
    ids = _text(contact_ids)
    contact = words_of(activities["contact_id"], wanted=ids)
    return coded(activities, contact=contact, plan=plan).of_contacts(ids, plan=plan, discount=discount)


def deal_activities(
    *, tables: CrmTables, deal_ids: pd.Index, plan: SeriesPlan, discount: Discount = NO_DISCOUNT
) -> ActivityStream:
    """Sort activities by deal: those of the deal itself and, where they name no deal, those of its contacts.

    What a contact did before it was created counts for its deals from its creation on: until then nobody knew
    whose it was.
    """
    activities, deal_contacts = tables["activities"], tables["deal_contacts"]
    own = codes(activities["deal_id"], index=deal_ids)
    linked = pd.Index(deal_contacts["contact_id"].unique())
    links = pd.DataFrame(
        {
            "contact": codes(deal_contacts["contact_id"], index=linked),
            "deal": codes(deal_contacts["deal_id"], index=deal_ids),
        }
    ).drop_duplicates()
    contacts = words_of(activities["contact_id"], wanted=_text(linked))
    contact = np.where(activities["deal_id"].isna(), contacts.among(_text(linked))[contacts.places], -1)
    loose = np.flatnonzero(contact >= 0)
    through = pd.DataFrame({"contact": contact[loose], "row": loose}).merge(links, on="contact")
    created = created_times(pd.Series(linked), table=tables["contacts"], key="contact_id")[through["contact"]]
    mine = np.flatnonzero(own >= 0)
    rows = np.concatenate([mine, through["row"].to_numpy(dtype=np.int64)])
    not_before = np.concatenate([np.full(len(mine), -NEVER), np.where(created == NEVER, -NEVER, created)])
    sellers = pd.Index(sorted(activities["owner_id"].dropna().unique()), dtype="str")
    everything = coded(activities, contact=contacts, plan=plan)
    batch = everything.batches[0]
    facts = Facts(
        objects=np.concatenate([own[mine], through["deal"].to_numpy(dtype=np.int64)]),
        times=np.maximum(batch.times[rows], not_before),
        occurred=batch.occurred[rows],
        signature=everything.signatures(batch, plan)[rows],
        # Who acted last is a feature of deals.
        actor=codes(activities["owner_id"].iloc[rows], index=sellers),
    )
    found = activity_stream(lambda: [facts], plan=plan, discount=discount, object_count=len(deal_ids), with_rows=True)
    return replace(found, stream=replace(found.stream, rows=rows[found.stream.rows]))


def coded(activities: pd.DataFrame, *, contact: Words, plan: SeriesPlan) -> CodedActivities:
    """Return the table's columns as numbers, as far as the plan asks for them."""
    kind = words_of(activities["type"], wanted=pa.array(plan.kinds, type=TEXT))
    direction = words_of(activities["direction"]) if plan.directed else None
    outcome = words_of(activities["outcome"]) if plan.outcomes else None
    batch = CodedBatch(
        contact=contact.places,
        kind=kind.places,
        occurred=microseconds(activities["occurred_at"]),
        times=effective_time("activities", activities),
        direction=None if direction is None else direction.places,
        outcome=None if outcome is None else outcome.places,
    )
    return CodedActivities(
        batches=[batch],
        contacts=contact.listed,
        kinds=kind.listed,
        directions=None if direction is None else direction.listed,
        outcomes=None if outcome is None else outcome.listed,
    )


def words_of(values: pd.Series, *, wanted: pa.Array | None = None) -> Words:
    """Return a column of a table as words; of plain text those alone that are ``wanted``, if it is said which."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return Words(
            places=values.cat.codes.to_numpy().astype(np.int32, copy=False), listed=_text(values.cat.categories)
        )
    text = _text(values)
    if wanted is None:
        wanted = text.unique()
    return Words(places=places_among(text, wanted), listed=wanted)


def _text(values: pd.Series | pd.Index) -> pa.Array:
    text = pa.array(values, type=TEXT, from_pandas=True)
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
