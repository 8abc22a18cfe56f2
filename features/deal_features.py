"""Features of open deals at an as-of beyond behaviour: stage, pace, amount, expected close date, people."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.activity_stream import ActivityStream
from features.contact_features import Column, position_share
from features.episodes import OPEN, Tally, Timelines
from features.fact_stream import fact_stream
from features.properties import PropertyValues
from features.tables import CrmTables
from features.visibility import MICROSECONDS_PER_DAY, Int64Array, codes, link_times, microseconds

PRIOR_CLOSINGS = 5.0
"""Pseudo-closings at the overall rate that a person's own record is shrunk by."""


def stage_state(*, timelines: Timelines, objects: Int64Array, as_of: Int64Array) -> dict[str, Column]:
    """Describe where each deal stands and how it came there; ``stage_row`` is its row in ``timelines.stages``."""
    stream = timelines.stream
    seen = stream.before(objects=objects, as_of=as_of)
    first = stream.starts[objects]
    here = first + seen - 1
    share = position_share(timelines)
    back = (share[1:] < share[:-1]) & (timelines.outcome[1:] == OPEN) & (timelines.outcome[:-1] == OPEN)
    reopened = (timelines.outcome[1:] == OPEN) & (timelines.outcome[:-1] != OPEN)
    furthest = _running_maximum(np.where(timelines.outcome == OPEN, share, 0.0), starts=stream.starts)
    age = (as_of - stream.times[first]) / MICROSECONDS_PER_DAY
    return {
        "stage_row": timelines.stage[here].astype(np.float64),
        "stage_position": share[here],
        "furthest_position": furthest[here],
        "stages_passed": (seen - 1).astype(np.float64),
        "times_moved_back": _between(back, first=first, last=here),
        "times_reopened": _between(reopened, first=first, last=here),
        "days_in_stage": (as_of - stream.times[here]) / MICROSECONDS_PER_DAY,
        "age_days": age,
        "days_per_stage": age / seen,
    }


def activity_in_stage(
    *, timelines: Timelines, activities: ActivityStream, objects: Int64Array, as_of: Int64Array
) -> dict[str, Column]:
    """Count the deal's activities since it entered its present stage."""
    position = timelines.stream.last_before(objects=objects, as_of=as_of)
    entered = timelines.stream.times[position]
    now = activities.stream.before(objects=objects, as_of=as_of)
    then = activities.stream.before(objects=objects, as_of=entered)
    return {"activity_in_stage": (now - then).astype(np.float64)}


def amount_state(amount: PropertyValues) -> dict[str, Column]:
    """Describe the amount, how often it changed, and how it compares with the first one named."""
    value, first = _numbers(amount.value), _numbers(amount.first)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(first > 0, value / first, np.nan)
    return {"amount": value, "amount_changes": amount.changes, "amount_ratio": ratio}


def close_date_state(expected: PropertyValues, *, as_of: Int64Array) -> dict[str, Column]:
    """Describe the expected close date: how far off it is, how often and how far it was moved."""
    value, first = _days(expected.value), _days(expected.first)
    return {
        "days_to_expected_close": value - as_of / MICROSECONDS_PER_DAY,
        "close_date_changes": expected.changes,
        "close_date_slip_days": value - first,
    }


def contacts_count(
    *, tables: CrmTables, timelines: Timelines, objects: Int64Array, as_of: Int64Array
) -> dict[str, Column]:
    """Count the contacts linked to the deal that existed at the as-of."""
    deal = codes(tables["deal_contacts"]["deal_id"], index=timelines.deal_ids)
    links = fact_stream(objects=deal, times=link_times(tables), object_count=len(timelines.deal_ids))
    return {"contacts_count": links.before(objects=objects, as_of=as_of).astype(np.float64)}


def first_contacts(*, tables: CrmTables, timelines: Timelines) -> Int64Array:
    """Return for each deal the contact on it that was created first (row of ``contacts``), or -1."""
    created = microseconds(tables["contacts"]["created_at"])
    links = tables["deal_contacts"]
    linked = pd.DataFrame(
        {
            "deal": codes(links["deal_id"], index=timelines.deal_ids),
            "contact": codes(links["contact_id"], index=pd.Index(tables["contacts"]["contact_id"])),
        }
    ).query("deal >= 0 and contact >= 0")
    linked = linked.assign(created=created[linked["contact"]])
    oldest = linked.sort_values(["deal", "created", "contact"], kind="stable").drop_duplicates("deal")
    contact_of_deal = np.full(len(timelines.deal_ids), -1)
    contact_of_deal[oldest["deal"]] = oldest["contact"]
    return contact_of_deal


class Records:
    """What colleagues had won and lost by any moment."""

    def __init__(self, *, timelines: Timelines, person_of_closing: NDArray[np.object_]) -> None:
        closings = timelines.closings
        known = pd.notna(person_of_closing)
        self.people = pd.Index(pd.unique(person_of_closing[known]))
        person = codes(pd.Series(person_of_closing, dtype=object), index=self.people)
        self._own = Tally(closings=closings, groups=person, group_count=max(1, len(self.people)))
        self._all = Tally(closings=closings, groups=np.zeros_like(person), group_count=1)

    def at(self, *, people: NDArray[np.object_], as_of: Int64Array) -> tuple[Column, Column]:
        """Return (shrunken win rate, closed deals) of each person before the as-of; NaN for nobody."""
        person = codes(pd.Series(people, dtype=object), index=self.people)
        won, lost = self._own.at(groups=person, as_of=as_of)
        all_won, all_lost = self._all.at(groups=np.zeros_like(person), as_of=as_of)
        overall = all_won / np.maximum(all_won + all_lost, 1)
        rate = (won + PRIOR_CLOSINGS * overall) / (won + lost + PRIOR_CLOSINGS)
        nobody = pd.isna(people)
        return np.where(nobody, np.nan, rate), np.where(nobody, np.nan, won + lost)


def _running_maximum(values: Column, *, starts: Int64Array) -> Column:
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return pd.Series(values).groupby(owner).cummax().to_numpy().astype(np.float64)


def _between(steps: NDArray[np.bool_], *, first: Int64Array, last: Int64Array) -> Column:
    """Count the marked steps (from entry i to i + 1) between two entries of the same deal."""
    running: Int64Array = np.append(0, np.cumsum(steps))
    between: Int64Array = running[last] - running[first]
    return between.astype(np.float64)


def _numbers(values: NDArray[np.object_]) -> NDArray[np.float64]:
    return pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=np.float64)


def _days(values: NDArray[np.object_]) -> NDArray[np.float64]:
    parsed = pd.to_datetime(pd.Series(values, dtype=object), errors="coerce", utc=True, format="ISO8601")
    times = parsed.dt.as_unit("us").to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(times), np.nan, times.astype(np.int64) / MICROSECONDS_PER_DAY)
