"""All columns of the deal question."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features import deal_features
from features.activity_stream import ActivityStream
from features.company_columns import company_columns
from features.company_features import Own
from features.contact_features import Column, closings_of_contacts, past_deals, tenure
from features.engines.engine import behaviour_engine
from features.fact_stream import fact_stream
from features.feature_choices import RARE_LEVEL
from features.matrix_inputs import MatrixInputs
from features.properties import PropertyValues, property_at
from features.property_columns import level_codes, property_columns
from features.season import season
from features.visibility import NEVER, Int64Array, codes, microseconds


def deal_columns(inputs: MatrixInputs) -> dict[str, Column]:
    """Return every feature of deals at each snapshot, and perhaps some that the contract does not name."""
    tables, timelines, objects, as_of = inputs.tables, inputs.timelines, inputs.objects, inputs.as_of
    contract = inputs.contract
    columns = behaviour_engine().activity_columns(inputs)
    columns |= property_columns(inputs)
    columns |= season(as_of)
    columns |= _stage_columns(inputs)
    columns |= deal_features.activity_in_stage(
        timelines=timelines, activities=inputs.activities, objects=objects, as_of=as_of
    )
    columns |= deal_features.contacts_count(tables=tables, timelines=timelines, objects=objects, as_of=as_of)
    if "amount" in contract.deal_columns:
        columns |= deal_features.amount_state(_property(inputs, "amount", deals=objects, at=as_of))
    if "expected_close_at" in contract.deal_columns:
        expected = _property(inputs, "expected_close_at", deals=objects, at=as_of)
        columns |= deal_features.close_date_state(expected, as_of=as_of)
    columns |= _seller_columns(inputs, inputs.activities)
    columns |= _first_contact_columns(inputs)
    return columns | company_columns(
        inputs, own_contacts=_contacts_on(inputs), own_deals=Own(np.arange(len(objects)), objects)
    )


def _stage_columns(inputs: MatrixInputs) -> dict[str, Column]:
    timelines, contract = inputs.timelines, inputs.contract
    state = deal_features.stage_state(timelines=timelines, objects=inputs.objects, as_of=inputs.as_of)
    row = state.pop("stage_row").astype(np.int64)
    pipeline = timelines.stages["pipeline"]
    keys = (pipeline + "/" + timelines.stages["stage"]).iloc[row]
    return state | {
        "stage": level_codes(keys, levels=(*contract.stages, RARE_LEVEL)),
        "pipeline": level_codes(pipeline.iloc[row], levels=(*contract.pipelines, RARE_LEVEL)),
    }


def _property(inputs: MatrixInputs, name: str, *, deals: Int64Array, at: Int64Array) -> PropertyValues:
    return property_at(
        tables=inputs.tables,
        object_type="deal",
        name=name,
        ids=inputs.ids,
        objects=deals,
        as_of=at,
        vouched=name in inputs.contract.vouched,
    )


def _seller_columns(inputs: MatrixInputs, activities: ActivityStream) -> dict[str, Column]:
    """Return the records of who owns the deal and of who acted last on it."""
    timelines, objects, as_of = inputs.timelines, inputs.objects, inputs.as_of
    stream = timelines.closings.stream
    closing_deal = np.repeat(np.arange(len(inputs.ids)), np.diff(stream.starts))
    columns = {}
    if "owner_id" in inputs.contract.deal_columns:
        closed_by = _property(inputs, "owner_id", deals=closing_deal, at=stream.times).value
        records = deal_features.Records(timelines=timelines, person_of_closing=closed_by)
        rate, closed = records.at(people=_property(inputs, "owner_id", deals=objects, at=as_of).value, as_of=as_of)
        columns = {"owner_win_rate": rate, "owner_closed": closed}
    actors = inputs.tables["activities"]["owner_id"]
    closer = _last_of(activities, actors, objects=closing_deal, as_of=stream.times)
    records = deal_features.Records(timelines=timelines, person_of_closing=closer)
    last_actor = _last_of(activities, actors, objects=objects, as_of=as_of)
    return columns | {"last_actor_win_rate": records.at(people=last_actor, as_of=as_of)[0]}


def _first_contact_columns(inputs: MatrixInputs) -> dict[str, Column]:
    """Describe the past of the contact of the deal that had been known longest at the as-of."""
    contacts = inputs.tables["contacts"]
    who = deal_features.first_contacts(tables=inputs.tables, timelines=inputs.timelines)[inputs.objects]
    created = np.append(microseconds(contacts["created_at"]), NEVER)[who]
    who = np.where(created < inputs.as_of, who, -1)
    closings = closings_of_contacts(tables=inputs.tables, timelines=inputs.timelines, contact_ids=inputs.contact_ids)
    columns = tenure(contacts=contacts, objects=who, as_of=inputs.as_of)
    return columns | past_deals(closings=closings, objects=who, as_of=inputs.as_of)


def _contacts_on(inputs: MatrixInputs) -> Own:
    """Return the contacts that are linked to each snapshot's deal."""
    links = inputs.tables["deal_contacts"].drop_duplicates(["deal_id", "contact_id"])
    contact = codes(links["contact_id"], index=inputs.contact_ids)
    deal = np.where(contact >= 0, codes(links["deal_id"], index=inputs.ids), -1)
    stream = fact_stream(objects=deal, times=np.zeros(len(links), dtype=np.int64), object_count=len(inputs.ids))
    count = np.diff(stream.starts)[inputs.objects]
    snapshot = np.repeat(np.arange(len(inputs.objects)), count)
    offset = np.arange(len(snapshot)) - np.repeat(np.cumsum(count) - count, count)
    return Own(snapshot, contact[stream.rows][stream.starts[inputs.objects][snapshot] + offset])


def _last_of(activities: ActivityStream, values: pd.Series, *, objects: Int64Array, as_of: Int64Array) -> np.ndarray:
    position = activities.stream.last_before(objects=objects, as_of=as_of)
    found = np.full(len(objects), None, dtype=object)
    known = position >= 0
    found[known] = values.iloc[activities.stream.rows[position[known]]].to_numpy(dtype=object)
    return found
