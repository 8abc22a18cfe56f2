"""The matrix: snapshots x features, built to a contract that was learnt on the training past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features import contact_features, deal_features
from features.behaviour import (
    ActivityStream,
    behaviour_before,
    contact_activities,
    deal_activities,
)
from features.contact_features import Column
from features.episodes import Timelines, build_timelines
from features.errors import LeadScoringError
from features.feature_contract import OBJECT_TYPE, RARE_LEVEL, FeatureContract
from features.properties import PropertyValues, property_at
from features.tables import CrmTables
from features.visibility import NEVER, Int64Array, codes, created_times, microseconds


class UnusableTableError(LeadScoringError):
    """A table that the model rests on is missing."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"the model was trained with the table {table!r}, which the source no longer has; "
            "bring it back or train again."
        )


class NotYetKnownError(LeadScoringError):
    """A snapshot looks at an object before anything was known of it."""

    def __init__(self, *, question: str, object_id: str, as_of: pd.Timestamp, count: int) -> None:
        self.question, self.object_id, self.as_of = question, object_id, as_of
        super().__init__(
            f"every snapshot must look at one of the {question} known before its as-of; {count} do not, "
            f"the first at {object_id!r} as of {as_of.isoformat()}; leave those out."
        )


@dataclass(frozen=True)
class Matrix:
    """Snapshots (object, id, as-of, weight where sampled) and, row by row, their features (float64, NaN missing)."""

    snapshots: pd.DataFrame
    features: pd.DataFrame


def build_matrix(*, tables: CrmTables, snapshots: pd.DataFrame, contract: FeatureContract) -> Matrix:
    """Compute every feature of the contract at every snapshot.

    Each value rests only on facts whose effective time lies before the snapshot's as-of. Unseen values of a
    category become its rare level; what the contract names and the tables lack is an error, and so is a snapshot
    of an object that was not known by then.
    """
    _refuse_missing_tables(tables, contract)
    timelines = build_timelines(tables)
    as_of = microseconds(snapshots["as_of"])
    build = _contact_columns if contract.question == "contacts" else _deal_columns
    columns = build(tables=tables, timelines=timelines, snapshots=snapshots, as_of=as_of, contract=contract)
    return Matrix(
        snapshots=snapshots.reset_index(drop=True),
        features=pd.DataFrame({name: columns[name] for name in contract.names}, dtype=np.float64),
    )


def _refuse_missing_tables(tables: CrmTables, contract: FeatureContract) -> None:
    from_history = {*contract.properties, *contract.deal_columns} - set(contract.vouched)
    needed = {"activities": contract.has_activities, "property_history": bool(from_history)}
    for table, is_needed in needed.items():
        if is_needed and not tables.has(table):
            raise UnusableTableError(table)


def _refuse_unknown(snapshots: pd.DataFrame, *, known: NDArray[np.bool_], contract: FeatureContract) -> None:
    unknown = np.flatnonzero(~known)
    if len(unknown):
        first = snapshots.iloc[unknown[0]]
        raise NotYetKnownError(
            question=contract.question,
            object_id=str(first[f"{OBJECT_TYPE[contract.question]}_id"]),
            as_of=first["as_of"],
            count=len(unknown),
        )


def _contact_columns(
    *, tables: CrmTables, timelines: Timelines, snapshots: pd.DataFrame, as_of: Int64Array, contract: FeatureContract
) -> dict[str, Column]:
    contacts = tables["contacts"]
    ids = pd.Index(contacts["contact_id"])
    objects = codes(snapshots["contact_id"], index=ids)
    created = created_times(snapshots["contact_id"], table=contacts, key="contact_id")
    _refuse_unknown(snapshots, known=created < as_of, contract=contract)
    activities = contact_activities(activities=tables["activities"], contact_ids=ids, kinds=contract.kinds)
    columns = _behaviour_columns(activities, objects=objects, as_of=as_of, contract=contract)
    columns |= _property_columns(tables, contract, ids=ids, objects=objects, as_of=as_of)
    columns |= contact_features.tenure(contacts=contacts, objects=objects, as_of=as_of)
    columns |= contact_features.open_deals(
        tables=tables, timelines=timelines, contact_ids=ids, objects=objects, as_of=as_of
    )
    closings = contact_features.closings_of_contacts(tables=tables, timelines=timelines, contact_ids=ids)
    return columns | contact_features.past_deals(closings=closings, objects=objects, as_of=as_of)


def _deal_columns(
    *, tables: CrmTables, timelines: Timelines, snapshots: pd.DataFrame, as_of: Int64Array, contract: FeatureContract
) -> dict[str, Column]:
    ids = timelines.deal_ids
    objects = codes(snapshots["deal_id"], index=ids)
    known = timelines.stream.last_before(objects=objects, as_of=as_of) >= 0
    _refuse_unknown(snapshots, known=known, contract=contract)
    activities = deal_activities(tables=tables, deal_ids=ids, kinds=contract.kinds)
    columns = _behaviour_columns(activities, objects=objects, as_of=as_of, contract=contract)
    columns |= _property_columns(tables, contract, ids=ids, objects=objects, as_of=as_of)

    state = deal_features.stage_state(timelines=timelines, objects=objects, as_of=as_of)
    stage_row = state.pop("stage_row").astype(np.int64)
    keys = (timelines.stages["pipeline"] + "/" + timelines.stages["stage"]).iloc[stage_row]
    columns |= state
    columns["stage"] = _level_codes(keys, levels=(*contract.stages, RARE_LEVEL))
    columns["pipeline"] = _level_codes(
        timelines.stages["pipeline"].iloc[stage_row], levels=(*contract.pipelines, RARE_LEVEL)
    )
    columns |= deal_features.activity_in_stage(timelines=timelines, activities=activities, objects=objects, as_of=as_of)
    columns |= deal_features.contacts_count(tables=tables, timelines=timelines, objects=objects, as_of=as_of)

    def of_deal(name: str, *, deals: Int64Array = objects, at: Int64Array = as_of) -> PropertyValues:
        return property_at(
            tables=tables,
            object_type="deal",
            name=name,
            ids=ids,
            objects=deals,
            as_of=at,
            vouched=name in contract.vouched,
        )

    if "amount" in contract.deal_columns:
        columns |= deal_features.amount_state(of_deal("amount"))
    if "expected_close_at" in contract.deal_columns:
        columns |= deal_features.close_date_state(of_deal("expected_close_at"), as_of=as_of)

    stream = timelines.closings.stream
    closing_deal = np.repeat(np.arange(len(ids)), np.diff(stream.starts))
    if "owner_id" in contract.deal_columns:
        closed_by = of_deal("owner_id", deals=closing_deal, at=stream.times).value
        records = deal_features.Records(timelines=timelines, person_of_closing=closed_by)
        rate, closed = records.at(people=of_deal("owner_id").value, as_of=as_of)
        columns |= {"owner_win_rate": rate, "owner_closed": closed}
    actors = tables["activities"]["owner_id"].to_numpy(dtype=object)
    records = deal_features.Records(
        timelines=timelines,
        person_of_closing=_last_of(activities, actors, objects=closing_deal, as_of=stream.times),
    )
    last_actor = _last_of(activities, actors, objects=objects, as_of=as_of)
    columns["last_actor_win_rate"], _ = records.at(people=last_actor, as_of=as_of)
    return columns | _first_contact_columns(tables, timelines, objects=objects, as_of=as_of)


def _first_contact_columns(
    tables: CrmTables, timelines: Timelines, *, objects: Int64Array, as_of: Int64Array
) -> dict[str, Column]:
    """Describe the past of the contact of the deal that had been known longest at the as-of."""
    contacts = tables["contacts"]
    ids = pd.Index(contacts["contact_id"])
    links = tables["deal_contacts"]
    linked = pd.DataFrame(
        {
            "deal": codes(links["deal_id"], index=timelines.deal_ids),
            "contact": codes(links["contact_id"], index=ids),
        }
    ).query("deal >= 0 and contact >= 0")
    linked = linked.assign(created=microseconds(contacts["created_at"])[linked["contact"]])
    oldest = linked.sort_values(["deal", "created", "contact"], kind="stable").drop_duplicates("deal")
    contact_of_deal = np.full(len(timelines.deal_ids), -1)
    contact_of_deal[oldest["deal"]] = oldest["contact"]
    who = contact_of_deal[objects]
    created = np.append(microseconds(contacts["created_at"]), NEVER)[who]
    who = np.where(created < as_of, who, -1)
    closings = contact_features.closings_of_contacts(tables=tables, timelines=timelines, contact_ids=ids)
    columns = contact_features.tenure(contacts=contacts, objects=who, as_of=as_of)
    return columns | contact_features.past_deals(closings=closings, objects=who, as_of=as_of)


def _behaviour_columns(
    activities: ActivityStream, *, objects: Int64Array, as_of: Int64Array, contract: FeatureContract
) -> dict[str, Column]:
    summary = behaviour_before(
        activities=activities,
        objects=objects,
        as_of=as_of,
        windows_days=contract.windows_days,
        half_lives_days=contract.half_lives_days,
    )
    columns: dict[str, Column] = {}
    for k, kind in enumerate(contract.kinds):
        for w, days in enumerate(contract.windows_days):
            columns[f"{kind}_{days:g}d"] = summary.counts[:, k, w]
        columns[f"{kind}_total"] = summary.total[:, k]
        columns[f"days_since_{kind}"] = summary.days_since[:, k]
    ever = np.where(np.isnan(summary.days_since), np.inf, summary.days_since).min(axis=1, initial=np.inf)
    columns["days_since_any"] = np.where(np.isinf(ever), np.nan, ever)
    for h, days in enumerate(contract.half_lives_days):
        columns[f"warmth_{days:g}d"] = summary.decayed[:, h]
    for w, days in enumerate(contract.windows_days):
        columns[f"active_days_{days:g}d"] = summary.active_days[:, w]
    position = activities.stream.last_before(objects=objects, as_of=as_of)
    last = activities.kind[np.maximum(position, 0)] if len(activities.kind) else np.zeros(len(objects))
    columns["last_kind"] = np.where(position >= 0, last, np.nan)
    return columns


def _property_columns(
    tables: CrmTables, contract: FeatureContract, *, ids: pd.Index, objects: Int64Array, as_of: Int64Array
) -> dict[str, Column]:
    columns = {}
    for name, levels in contract.properties.items():
        values = property_at(
            tables=tables,
            object_type=OBJECT_TYPE[contract.question],
            name=name,
            ids=ids,
            objects=objects,
            as_of=as_of,
            vouched=name in contract.vouched,
        ).value
        series = pd.Series(values, dtype=object)
        columns[f"property_{name}"] = (
            _level_codes(series, levels=levels)
            if levels
            else pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64)
        )
    return columns


def _level_codes(values: pd.Series, *, levels: tuple[str, ...]) -> Column:
    """Return each value's place in ``levels``; an unlisted one takes the last (rare) level, a missing one NaN."""
    found = codes(values.astype(object), index=pd.Index(levels, dtype=object))
    rare = len(levels) - 1
    return np.where(values.isna().to_numpy(), np.nan, np.where(found >= 0, found, rare))


def _last_of(activities: ActivityStream, values: np.ndarray, *, objects: Int64Array, as_of: Int64Array) -> np.ndarray:
    position = activities.stream.last_before(objects=objects, as_of=as_of)
    found = np.full(len(objects), None, dtype=object)
    known = position >= 0
    found[known] = values[activities.source_rows[position[known]]]
    return found
