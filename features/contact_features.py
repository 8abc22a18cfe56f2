"""Features of contacts at an as-of beyond their behaviour: tenure, open deals, deals lost before."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.episodes import LOST, OPEN, Closings, Tally, Timelines
from features.fact_stream import FactStream, fact_stream
from features.tables import CrmTables
from features.visibility import MICROSECONDS_PER_DAY, NEVER, Int64Array, codes, microseconds

Column = NDArray[np.float64 | np.int32]
"""A feature's values: whole numbers where it counts."""


def tenure(*, contacts: pd.DataFrame, objects: Int64Array, as_of: Int64Array) -> dict[str, Column]:
    """Return days since creation."""
    created = np.append(microseconds(contacts["created_at"]), NEVER)[objects]
    return {"tenure_days": np.where(objects >= 0, (as_of - created) / MICROSECONDS_PER_DAY, np.nan)}


def open_deals(
    *, tables: CrmTables, timelines: Timelines, contact_ids: pd.Index, objects: Int64Array, as_of: Int64Array
) -> dict[str, Column]:
    """Describe the deals open at the as-of: how many, and where the furthest one stands and how old it is.

    Of two that have come equally far it is the one that came there last.
    """
    pairs = deals_of_contacts(tables=tables, timelines=timelines, contact_ids=contact_ids)
    snapshot, deal = pairs.join(objects)
    at = as_of[snapshot]
    position = timelines.stream.last_before(objects=deal, as_of=at)
    is_open = position >= 0
    is_open[is_open] = timelines.outcome[position[is_open]] == OPEN
    snapshot, deal, at, position = snapshot[is_open], deal[is_open], at[is_open], position[is_open]

    share = position_share(timelines)[position]
    entered = timelines.stream.times[position]
    began = timelines.stream.times[timelines.stream.starts[deal]]
    count = np.bincount(snapshot, minlength=len(objects)).astype(np.float64)
    order = np.lexsort((deal, began, entered, share, snapshot))
    furthest = order[np.append(snapshot[order][1:] != snapshot[order][:-1], True)] if len(order) else order
    columns = {
        "open_deal_position": share,
        "open_deal_days_in_stage": (at - entered) / MICROSECONDS_PER_DAY,
        "open_deal_age_days": (at - began) / MICROSECONDS_PER_DAY,
    }
    return {"open_deals": count} | {
        name: _scatter(values[furthest], snapshot[furthest], count=len(objects)) for name, values in columns.items()
    }


def past_deals(*, closings: Closings, objects: Int64Array, as_of: Int64Array) -> dict[str, Column]:
    """Count the wins and losses that stand at the as-of, and the days since the last loss."""
    starts = closings.stream.starts
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    won, lost = Tally(closings=closings, groups=owner, group_count=len(starts) - 1).at(groups=objects, as_of=as_of)
    losses = fact_stream(
        objects=np.where(closings.outcome == LOST, owner, -1),
        times=closings.stream.times,
        object_count=len(starts) - 1,
    )
    newest = losses.last_before(objects=objects, as_of=as_of)
    when = np.append(losses.times, 0)[newest]
    return {
        "lost_deals": lost,
        "won_deals": won,
        "days_since_lost": np.where(newest >= 0, (as_of - when) / MICROSECONDS_PER_DAY, np.nan),
    }


class DealsOfContacts:
    """Which deals each contact has, ready to be joined to snapshots."""

    def __init__(self, *, stream: FactStream, deal: Int64Array) -> None:
        self._stream = stream
        self._deal = deal

    def join(self, objects: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return (snapshot, deal) for every deal of every snapshot's contact."""
        safe = np.maximum(objects, 0)
        count = np.where(objects >= 0, self._stream.starts[safe + 1] - self._stream.starts[safe], 0)
        snapshot = np.repeat(np.arange(len(objects)), count)
        offset = np.arange(len(snapshot)) - np.repeat(np.cumsum(count) - count, count)
        return snapshot, self._deal[self._stream.starts[safe][snapshot] + offset]


def deals_of_contacts(*, tables: CrmTables, timelines: Timelines, contact_ids: pd.Index) -> DealsOfContacts:
    """Index ``deal_contacts`` by contact."""
    links = tables["deal_contacts"].drop_duplicates(["deal_id", "contact_id"])
    deal = codes(links["deal_id"], index=timelines.deal_ids)
    contact = codes(links["contact_id"], index=contact_ids)
    stream = fact_stream(
        objects=np.where(deal >= 0, contact, -1),
        times=np.zeros(len(links), dtype=np.int64),
        object_count=len(contact_ids),
    )
    return DealsOfContacts(stream=stream, deal=deal[stream.rows])


def closings_of_contacts(*, tables: CrmTables, timelines: Timelines, contact_ids: pd.Index) -> Closings:
    """Return every closing of every deal of each contact."""
    pairs = deals_of_contacts(tables=tables, timelines=timelines, contact_ids=contact_ids)
    contact, deal = pairs.join(np.arange(len(contact_ids)))
    closings = timelines.closings
    count = closings.stream.starts[deal + 1] - closings.stream.starts[deal]
    owner = np.repeat(contact, count)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    position = np.repeat(closings.stream.starts[deal], count) + offset
    stream = fact_stream(objects=owner, times=closings.stream.times[position], object_count=len(contact_ids))
    chosen = position[stream.rows]
    return Closings(stream=stream, outcome=closings.outcome[chosen], undone_at=closings.undone_at[chosen])


def position_share(timelines: Timelines) -> Column:
    """Return, for each stage entry, how far along its pipeline it lies: 0 the first open stage, 1 the last."""
    stages = timelines.stages
    is_open = stages["outcome"] == "open"
    by_pipeline = stages["position"].where(is_open).groupby(stages["pipeline"])
    first, last = by_pipeline.transform("min"), by_pipeline.transform("max")
    share = ((stages["position"] - first) / (last - first).replace(0, 1)).clip(0, 1).fillna(0.0)
    return share.to_numpy(dtype=np.float64)[timelines.stage]


def _scatter(values: Column, where: Int64Array, *, count: int) -> Column:
    column = np.full(count, np.nan)
    column[where] = values
    return column
