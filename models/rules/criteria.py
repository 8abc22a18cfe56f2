"""Whether, and how strongly, each criterion of a rule sheet held at a snapshot, from what was known then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numba import njit

from features.contact_features import closings_of_contacts, deals_of_contacts, past_deals
from features.deal_features import first_contacts
from features.episodes import Timelines, build_timelines
from features.fact_stream import FactStream, fact_stream
from features.memberships import COMPANY_ID, company_links
from features.properties import (
    TABLE_OF,
    ObjectType,
    PropertySettings,
    exclusion_reason,
    history_properties,
    property_at,
    usable_properties,
)
from features.snapshots import idle_days
from features.tables import CrmTables
from features.visibility import (
    MICROSECONDS_PER_DAY,
    NEVER,
    Int64Array,
    codes,
    created_times,
    effective_time,
    microseconds,
)
from models.boosting import FloatArray
from models.property_tests import BoolArray, PropertyColumn, holds, inside
from models.rules.sheet import ANY_ACTIVITY, Criterion, nearest

DAYS_PER_MONTH: Final = 30.0


@dataclass(frozen=True)
class Answer:
    """How many times a criterion's points count at each snapshot, and where that can be said at all.

    ``times`` is 0 or 1, a fraction where points fade, a number of events where each one counts. ``why_not`` says why
    the criterion can be judged nowhere.
    """

    times: FloatArray
    judged: BoolArray
    why_not: str | None = None


@dataclass(frozen=True)
class _Activities:
    """The activities of all contacts, their kinds and names as codes."""

    contact: Int64Array
    time: Int64Array
    kind: Int64Array
    kinds: pd.Index
    name: Int64Array
    names: pd.Index

    def of(self, criterion: Criterion) -> tuple[BoolArray, str]:
        """Return which activities a criterion is about, and how a person would call them."""
        wanted = (criterion.activity,) if isinstance(criterion.activity, str) else criterion.activity or ()
        rows = np.ones(len(self.kind), dtype=bool)
        if ANY_ACTIVITY not in wanted:
            rows = np.isin(self.kind, self.kinds.get_indexer(pd.Index(wanted, dtype=object)))
            rows &= self.kind >= 0
        words = "of kind " + " or ".join(map(repr, wanted))
        if criterion.name_contains is not None:
            held = self.names.to_series().astype("str").str.contains(criterion.name_contains, case=False, regex=False)
            rows &= np.append(held.to_numpy(dtype=bool), False)[self.name]
            words += f" whose name contains {criterion.name_contains!r}"
        return rows, words


class CriteriaAtSnapshots:
    """Answers criteria at contact snapshots; what several criteria ask for is looked up once.

    A criterion can be judged at a snapshot only from facts before its as-of: a missing value, a company nobody named,
    or a kind of activity that nobody had begun to record by then leave it unknown, and unknown is not "no".
    """

    def __init__(self, *, tables: CrmTables, snapshots: pd.DataFrame, properties: PropertySettings) -> None:
        tables.require_complete(snapshots["contact_id"])
        self._tables = tables
        self._properties = properties
        self._ids = pd.Index(tables["contacts"]["contact_id"])
        self._objects = codes(snapshots["contact_id"], index=self._ids)
        self._as_of = microseconds(snapshots["as_of"])
        self._usable: dict[ObjectType, list[str]] = {}
        self._seen: dict[tuple[ObjectType, str], PropertyColumn] = {}

    def answer(self, criterion: Criterion) -> Answer:
        """Answer one criterion."""
        by_subject: dict[str, Callable[[Criterion], Answer]] = {
            "property": self._property,
            "company_property": self._company_property,
            "activity": self._activity,
            "inactive_days": self._inactivity,
            "deal": self._open_deal if criterion.deal == "open" else self._past_deals,
        }
        return by_subject[criterion.subject()](criterion)

    def _nowhere(self, why_not: str) -> Answer:
        rows = len(self._objects)
        return Answer(times=np.zeros(rows), judged=np.zeros(rows, dtype=bool), why_not=why_not)

    def _since(self, times: Int64Array) -> BoolArray:
        """Say from which snapshots on anything of a kind had been recorded, of anybody."""
        return np.asarray(self._as_of > (times.min() if len(times) else NEVER), dtype=np.bool_)

    def _property(self, criterion: Criterion) -> Answer:
        name = str(criterion.property)
        why_not = self._unusable("contact", name)
        if why_not:
            return self._nowhere(why_not)
        values = self._values("contact", name, ids=self._ids, objects=self._objects)
        return self._tested(criterion, values, there=self._recorded("contact", name))

    def _company_property(self, criterion: Criterion) -> Answer:
        name = str(criterion.company_property)
        why_not = self._unusable("contact", COMPANY_ID) or self._unusable("company", name)
        if why_not:
            return self._nowhere(why_not)
        ids, companies = self._companies
        values = self._values("company", name, ids=ids, objects=companies)
        return self._tested(criterion, values, there=(companies >= 0) & self._recorded("company", name))

    def _tested(self, criterion: Criterion, values: PropertyColumn, *, there: BoolArray) -> Answer:
        filled = values.place >= 0
        if criterion.known is not None:
            return Answer(times=(there & (filled == criterion.known)).astype(np.float64), judged=there)
        return Answer(times=values.where(lambda distinct: holds(criterion, distinct)), judged=filled)

    def _unusable(self, object_type: ObjectType, name: str) -> str | None:
        table = TABLE_OF[object_type]
        if not self._tables.has(table):
            return f"there is no table {table}"
        if object_type not in self._usable:
            found, _ = usable_properties(tables=self._tables, object_type=object_type, settings=self._properties)
            self._usable[object_type] = found
        if name in self._usable[object_type]:
            return None
        columns = {*self._tables[table].columns, *history_properties(self._tables, object_type)}
        if name not in columns:
            return f"the table {table} has no property {name!r}{nearest(name, columns)}"
        if self._tables[table][name].isna().all():
            return f"property {name!r} is empty everywhere in the table {table}"
        reason = exclusion_reason(object_type=object_type, name=name)
        if reason is not None:
            return f"property {name!r} is left out: {reason}"
        return f"property {name!r} has no history and is not vouched for, so the past cannot be replayed"

    def _values(self, object_type: ObjectType, name: str, *, ids: pd.Index, objects: Int64Array) -> PropertyColumn:
        if (object_type, name) not in self._seen:
            found = property_at(
                tables=self._tables,
                object_type=object_type,
                name=name,
                ids=ids,
                objects=objects,
                as_of=self._as_of,
                vouched=name in self._properties.safe(object_type),
            ).value
            place, distinct = pd.factorize(found)
            self._seen[object_type, name] = PropertyColumn(np.asarray(place, dtype=np.int64), np.asarray(distinct))
        return self._seen[object_type, name]

    def _recorded(self, object_type: ObjectType, name: str) -> BoolArray:
        """Say from when on an empty value means empty: always, if vouched for; else once a history had begun."""
        if name in self._properties.safe(object_type):
            return np.ones(len(self._objects), dtype=bool)
        history = self._tables["property_history"]
        own = (history["object_type"] == object_type) & (history["property"] == name)
        return self._since(microseconds(history.loc[own, "known_at"]))

    @cached_property
    def _companies(self) -> tuple[pd.Index, Int64Array]:
        """Return the ids of the companies, and the place of each snapshot's company; -1 where none was known."""
        links = company_links(
            tables=self._tables,
            links={"contact": COMPANY_ID in self._properties.safe("contact")},
            deal_ids=self._timelines.deal_ids,
            contact_of_deal=first_contacts(tables=self._tables, timelines=self._timelines),
        )
        if links.contacts is None:
            return links.company_ids, np.full(len(self._objects), -1)
        company = links.contacts.at(objects=self._objects, as_of=self._as_of)
        created = created_times(pd.Series(links.company_ids), table=self._tables["companies"], key="company_id")
        is_there = np.append(created, NEVER)[company] < self._as_of
        return links.company_ids, np.where(is_there, company, -1)

    @cached_property
    def _activities(self) -> _Activities:
        activities = self._tables["activities"]
        kind, kinds = pd.factorize(activities["type"].astype(object))
        name, names = pd.factorize(activities["name"].astype(object))
        return _Activities(
            contact=codes(activities["contact_id"], index=self._ids),
            time=effective_time("activities", activities),
            kind=np.asarray(kind, dtype=np.int64),
            kinds=pd.Index(kinds),
            name=np.asarray(name, dtype=np.int64),
            names=pd.Index(names),
        )

    def _activity(self, criterion: Criterion) -> Answer:
        rows, words = self._activities.of(criterion)
        if not rows.any():
            return self._nowhere(f"no activity {words} in the tables")
        time = self._activities.time[rows]
        stream = fact_stream(objects=self._activities.contact[rows], times=time, object_count=len(self._ids))
        return Answer(times=self._times(criterion, stream), judged=self._since(time))

    def _times(self, criterion: Criterion, stream: FactStream) -> FloatArray:
        if criterion.per_event and criterion.fades():
            half_life, month = _fading(criterion)
            return np.asarray(
                _faded_sum(stream.starts, stream.times, self._objects, self._as_of, half_life, month), dtype=np.float64
            )
        seen = stream.before(objects=self._objects, as_of=self._as_of)
        if criterion.within_days is not None:
            window = int(np.round(criterion.within_days * MICROSECONDS_PER_DAY))
            seen = seen - stream.before(objects=self._objects, as_of=self._as_of - window)
        if criterion.per_event:
            return seen.astype(np.float64)
        met = (seen >= criterion.at_least).astype(np.float64)
        return met * self._freshness(criterion, stream) if criterion.fades() else met

    def _freshness(self, criterion: Criterion, stream: FactStream) -> FloatArray:
        """Return what is left of the points since the newest of the activities."""
        half_life, month = _fading(criterion)
        newest = stream.last_before(objects=self._objects, as_of=self._as_of)
        age = (self._as_of - np.append(stream.times, 0)[newest]).astype(np.float64)
        left = np.exp2(age * half_life) if half_life else np.maximum(0.0, 1.0 - age * month)
        return np.where(newest >= 0, left, 0.0)

    def _inactivity(self, criterion: Criterion) -> Answer:
        activities = self._tables["activities"]
        if not len(activities):
            return self._nowhere("no activity in the tables")
        idle = self._idle > float(criterion.inactive_days or 0.0)
        return Answer(times=idle.astype(np.float64), judged=self._since(self._activities.time))

    @cached_property
    def _idle(self) -> FloatArray:
        return idle_days(
            contacts=self._tables["contacts"],
            activities=self._tables["activities"],
            objects=self._objects,
            as_of=self._as_of,
        )

    @cached_property
    def _timelines(self) -> Timelines:
        return build_timelines(self._tables)

    def _past_deals(self, criterion: Criterion) -> Answer:
        if not len(self._tables["deal_contacts"]):
            return self._nowhere("no deal of a contact in the tables")
        closings = closings_of_contacts(tables=self._tables, timelines=self._timelines, contact_ids=self._ids)
        counted = past_deals(closings=closings, objects=self._objects, as_of=self._as_of)[f"{criterion.deal}_deals"]
        return Answer(
            times=(counted >= criterion.at_least).astype(np.float64), judged=self._since(self._timelines.stream.times)
        )

    def _open_deal(self, criterion: Criterion) -> Answer:
        if not len(self._tables["deal_contacts"]):
            return self._nowhere("no deal of a contact in the tables")
        if criterion.amount is not None and (why_not := self._unusable("deal", "amount")):
            return self._nowhere(f"deals: {why_not}")
        timelines = self._timelines
        is_meant = self._stages(criterion)
        if not is_meant.any():
            stages = {*timelines.stages["stage"], *timelines.stages["label"].dropna()}
            return self._nowhere(
                f"no open stage {criterion.stage!r} in the tables{nearest(str(criterion.stage), stages)}"
            )
        pairs = deals_of_contacts(tables=self._tables, timelines=timelines, contact_ids=self._ids)
        snapshot, deal = pairs.join(self._objects)
        position = timelines.stream.last_before(objects=deal, as_of=self._as_of[snapshot])
        chosen = position >= 0
        chosen[chosen] = is_meant[timelines.stage[position[chosen]]]
        snapshot, deal = snapshot[chosen], deal[chosen]
        judged = self._since(timelines.stream.times)
        if criterion.amount is not None:
            amount = self._amounts(deal, as_of=self._as_of[snapshot])
            unknown = np.zeros(len(judged), dtype=bool)
            unknown[snapshot[np.isnan(amount)]] = True
            snapshot = snapshot[inside(amount, criterion.amount)]
            judged = judged & ~unknown
        met = np.bincount(snapshot, minlength=len(judged)) >= criterion.at_least
        return Answer(times=met.astype(np.float64), judged=judged | met)

    def _stages(self, criterion: Criterion) -> BoolArray:
        stages = self._timelines.stages
        meant = (stages["outcome"] == "open").to_numpy(dtype=bool)
        if criterion.stage is None:
            return np.asarray(meant, dtype=np.bool_)
        wanted = [criterion.stage] if isinstance(criterion.stage, str) else list(criterion.stage)
        return np.asarray(meant & (stages["stage"].isin(wanted) | stages["label"].isin(wanted)).to_numpy(dtype=bool))

    def _amounts(self, deals: Int64Array, *, as_of: Int64Array) -> FloatArray:
        values = property_at(
            tables=self._tables,
            object_type="deal",
            name="amount",
            ids=self._timelines.deal_ids,
            objects=deals,
            as_of=as_of,
            vouched="amount" in self._properties.safe("deal"),
        ).value
        return pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=np.float64)


def _fading(criterion: Criterion) -> tuple[float, float]:
    """Return what the exponent of 2 loses, or the share that is lost, in a microsecond."""
    half_life = -1.0 / (criterion.half_life_days * MICROSECONDS_PER_DAY) if criterion.half_life_days else 0.0
    percent = criterion.fade_percent_per_month or 0.0
    return half_life, percent / 100.0 / (DAYS_PER_MONTH * MICROSECONDS_PER_DAY)


@njit(cache=True)
def _faded_sum(starts, times, objects, as_of, half_life, month):  # type: ignore[no-untyped-def]  # compiled by Numba
    total = np.zeros(objects.shape[0])
    for snapshot in range(objects.shape[0]):
        item = objects[snapshot]
        if item < 0:
            continue
        for position in range(starts[item], starts[item + 1]):
            age = as_of[snapshot] - times[position]
            if age <= 0:
                break
            if half_life != 0.0:
                total[snapshot] += np.exp2(age * half_life)
            else:
                total[snapshot] += max(0.0, 1.0 - age * month)
    return total
