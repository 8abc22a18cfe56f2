"""Snapshots: which object is looked at, and at which moment.

Contacts are looked at once per calendar month at an instant drawn per contact and month, as long as they are not
yet customers. Deals are looked at over calendar time while they are open, on a grid with a random phase: open
deals are a length-biased sample of all deals, so a snapshot per stage entry would describe the wrong population.
All draws are hashes of the id, so that the same object gets the same moments whatever else is in the tables.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.episodes import OPEN, Closings, Timelines
from features.fact_stream import fact_stream
from features.visibility import MICROSECONDS_PER_DAY, NEVER, Int64Array, codes, effective_time, instant, microseconds

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class SnapshotSettings(BaseModel):
    """How densely the past is sampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=7, description="Another seed draws other moments.")
    max_contact_snapshots: int = Field(
        default=400_000, ge=1000, description="More contacts than this allows are sampled whole, at random."
    )
    max_activities: int = Field(
        default=10_000_000,
        ge=1000,
        description="With more activities than this, a training looks at some companies' contacts, drawn at random.",
    )
    max_idle_days: float | None = Field(
        default=None,
        gt=0,
        description="A contact is in play for this long after its creation or latest activity; empty means for ever.",
    )
    young_steps: int = Field(
        default=16, ge=2, description="Snapshots of a deal until the age by which three in four deals have closed."
    )
    old_step_factor: float = Field(
        default=2.0, ge=1.0, description="How much farther apart the snapshots of an older deal lie."
    )
    min_step_days: float = Field(default=0.25, gt=0, description="No two snapshots of a deal lie closer than this.")
    max_step_days: float = Field(default=14.0, gt=0, description="Nor, while the deal is young, farther apart.")


def contact_snapshots(
    *,
    contacts: pd.DataFrame,
    activities: pd.DataFrame,
    wins: Closings,
    start: pd.Timestamp,
    end: pd.Timestamp,
    settings: SnapshotSettings,
    among: pd.Index | None = None,
) -> pd.DataFrame:
    """Draw one instant per contact and calendar month in [start, end) at which it is in play and no customer.

    Returns ``contact`` (row of ``contacts``), ``contact_id`` and ``as_of``, sorted by contact and time; only of the
    contacts ``among`` those that are given, if any are.
    """
    here = np.ones(len(contacts), dtype=np.bool_) if among is None else contacts["contact_id"].isin(among).to_numpy()
    identity = _identity(contacts["contact_id"], seed=settings.seed)
    created = microseconds(contacts["created_at"])
    start, end = start.tz_convert("UTC"), end.tz_convert("UTC")
    edges = pd.date_range(start.normalize().replace(day=1), end + pd.offsets.MonthBegin(1), freq="MS", normalize=True)
    months = microseconds(pd.Series(edges))

    share = settings.max_contact_snapshots / max(1, _month_count(created=created[here], months=months))
    chosen = np.flatnonzero(here & (_uniform(identity, salt=1) < share))
    moments = [
        _month_moments(identity[chosen], salt=12 * edge.year + edge.month, low=low, high=high)
        for edge, (low, high) in zip(edges, pairwise(months), strict=False)
    ]
    contact = np.tile(chosen, len(moments))
    as_of = np.concatenate(moments) if moments else np.zeros(0, dtype=np.int64)

    low, high = instant(start), instant(end)
    keep = (as_of >= low) & (as_of < high) & (created[contact] < as_of)
    contact, as_of = contact[keep], as_of[keep]
    keep = ~is_customer(wins=wins, contacts=contact, as_of=as_of)
    if settings.max_idle_days is not None:
        idle = idle_days(contacts=contacts, activities=activities, objects=contact, as_of=as_of)
        keep &= idle <= settings.max_idle_days
    return _frame("contact", contacts["contact_id"], contact[keep], as_of[keep])


def is_customer(*, wins: Closings, contacts: Int64Array, as_of: Int64Array) -> NDArray[np.bool_]:
    """Say for each (contact, as-of) whether a win was visible that had not been taken back by then."""
    outcome, _ = wins.first_standing(objects=contacts, start=np.full(len(as_of), -NEVER), end=as_of)
    return np.asarray(outcome != OPEN, dtype=np.bool_)


def idle_days(
    *, contacts: pd.DataFrame, activities: pd.DataFrame, objects: Int64Array, as_of: Int64Array
) -> NDArray[np.float64]:
    """Return the days since the contact was created or anything happened with it, whichever is later."""
    stream = fact_stream(
        objects=codes(activities["contact_id"], index=pd.Index(contacts["contact_id"])),
        times=effective_time("activities", activities),
        object_count=len(contacts),
    )
    latest = microseconds(contacts["created_at"])[objects]
    position = stream.last_before(objects=objects, as_of=as_of)
    seen = position >= 0
    latest[seen] = np.maximum(latest[seen], stream.times[position[seen]])
    return (as_of - latest) / MICROSECONDS_PER_DAY


def deal_snapshots(
    *,
    timelines: Timelines,
    start: pd.Timestamp,
    end: pd.Timestamp,
    settings: SnapshotSettings,
) -> pd.DataFrame:
    """Draw moments in [start, end) at which deals were open.

    Returns ``deal`` (row of ``timelines.deal_ids``), ``deal_id``, ``as_of`` and ``weight``: the calendar time that
    the snapshot stands for, in units of the young step, so that weighted rows describe the deals open at a random
    moment.
    """
    low, high = instant(start), instant(end)
    deal, opened, closed = open_intervals(timelines)
    closed = np.minimum(closed, high)
    if not len(deal):
        return _frame("deal", pd.Series(timelines.deal_ids), deal, opened).assign(weight=np.zeros(0))

    step = _young_step(opened=opened, closed=closed, end=high, settings=settings)
    bend = step * settings.young_steps
    old_step = int(step * settings.old_step_factor)
    identity = _identity(pd.Series(timelines.deal_ids), seed=settings.seed)[deal]
    phase = _uniform(identity ^ opened.astype(np.uint64), salt=1)
    young = _grid(begin=opened, finish=np.minimum(closed, opened + bend), step=step, phase=phase)
    old = _grid(begin=opened + bend, finish=closed, step=old_step, phase=phase)
    interval = np.concatenate([young[0], old[0]])
    as_of = np.concatenate([young[1], old[1]])
    weight = np.concatenate([np.ones(len(young[0])), np.full(len(old[0]), settings.old_step_factor)])

    keep = (as_of >= low) & (as_of < high) & (as_of > opened[interval])
    return _frame("deal", pd.Series(timelines.deal_ids), deal[interval[keep]], as_of[keep], weight=weight[keep])


def open_intervals(timelines: Timelines) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return (deal, opened, closed) for every stretch in which a deal was in open stages, ``NEVER`` if it still is."""
    stream = timelines.stream
    owner = np.repeat(np.arange(len(timelines.deal_ids)), np.diff(stream.starts))
    if not len(owner):
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    same_before = np.append(False, owner[1:] == owner[:-1])
    is_open = timelines.outcome == OPEN
    was_open = np.append(False, is_open[:-1]) & same_before
    opening = np.flatnonzero(is_open & ~was_open)
    run = np.cumsum(is_open & ~was_open) - 1
    closed = np.full(len(opening), NEVER)
    closing = np.flatnonzero(~is_open & was_open)
    closed[run[closing]] = stream.times[closing]
    return owner[opening], stream.times[opening], closed


def _young_step(*, opened: Int64Array, closed: Int64Array, end: int, settings: SnapshotSettings) -> int:
    finished = closed < end
    lengths = (closed - opened)[finished] if finished.any() else closed - opened
    three_quarters = float(np.quantile(lengths, 0.75)) / MICROSECONDS_PER_DAY
    days = np.clip(three_quarters / settings.young_steps, settings.min_step_days, settings.max_step_days)
    return int(days * MICROSECONDS_PER_DAY)


def _grid(
    *, begin: Int64Array, finish: Int64Array, step: int, phase: NDArray[np.float64]
) -> tuple[Int64Array, Int64Array]:
    first = begin + (phase * step).astype(np.int64)
    count = np.maximum(0, -((first - finish) // step))
    interval = np.repeat(np.arange(len(begin)), count)
    offset = np.arange(len(interval)) - np.repeat(np.cumsum(count) - count, count)
    return interval, first[interval] + offset * step


def _month_count(*, created: Int64Array, months: Int64Array) -> int:
    return int(np.sum(len(months) - np.searchsorted(months, created, side="right")))


def _month_moments(identity: NDArray[np.uint64], *, salt: int, low: int, high: int) -> Int64Array:
    return low + (_uniform(identity, salt=salt) * (high - low)).astype(np.int64)


def _identity(ids: pd.Series, *, seed: int) -> NDArray[np.uint64]:
    hashed = pd.util.hash_array(ids.to_numpy(dtype=object), categorize=False)
    with np.errstate(over="ignore"):
        return np.asarray(hashed ^ (np.uint64(seed) * _GOLDEN), dtype=np.uint64)


def _uniform(identity: NDArray[np.uint64], *, salt: int) -> NDArray[np.float64]:
    """Map hashes to [0, 1) by the SplitMix64 finaliser (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        mixed = identity + np.uint64(salt) * _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _frame(
    name: str, ids: pd.Series, objects: Int64Array, as_of: Int64Array, *, weight: NDArray[np.float64] | None = None
) -> pd.DataFrame:
    order = np.lexsort((as_of, objects))
    frame = pd.DataFrame(
        {
            name: objects[order],
            f"{name}_id": ids.to_numpy()[objects[order]],
            "as_of": pd.to_datetime(as_of[order], unit="us", utc=True).as_unit("us"),
        }
    )
    return frame if weight is None else frame.assign(weight=weight[order])
