"""Deal stage timelines and their closings: when a deal was open, and how each opening ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from features.fact_stream import FactStream, fact_stream
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

OPEN: Final = 0
WON: Final = 1
LOST: Final = 2
OUTCOME_CODES: Final = {"open": OPEN, "won": WON, "lost": LOST}

UNDO_GRACE: Final = MICROSECONDS_PER_DAY
"""A win that is taken back within this time, the last instant included, was a mistake, not a win (microseconds)."""


@dataclass(frozen=True)
class Timelines:
    """Every deal's stage entries in the order in which they took effect.

    ``deal_ids`` gives the object order. ``stream`` holds one fact per stage entry; ``stage`` (row of ``stages``),
    ``outcome`` and ``position`` run parallel to its positions. A re-entry of the stage that the deal is already in
    is no entry, and an older entry that became known after a newer one does not move the deal back.
    """

    deal_ids: pd.Index
    stages: pd.DataFrame
    stream: FactStream
    stage: Int64Array
    outcome: NDArray[np.int8]
    position: NDArray[np.float64]
    closings: Closings


@dataclass(frozen=True)
class Closings:
    """The moments at which objects (deals, or contacts through their deals) were won or lost.

    A deal is won or lost when it enters such a stage from a stage of any other outcome, lost to won included.
    ``undone_at`` is when a win was taken back within a day (``NEVER`` if it stands).
    """

    stream: FactStream
    outcome: NDArray[np.int8]
    undone_at: Int64Array

    def first_standing(
        self, *, objects: Int64Array, start: Int64Array, end: Int64Array
    ) -> tuple[NDArray[np.int8], Int64Array]:
        """Return outcome and time of the first closing in [start, end) that still stands at ``end``.

        Only facts before ``end`` are consulted. Without such a closing the outcome is ``OPEN``, the time ``NEVER``.
        """
        where = _first_standing(self.stream.starts, self.stream.times, self.undone_at, objects, start, end)
        found = where >= 0
        safe = np.where(found, where, 0)
        if not len(self.outcome):
            return np.zeros(len(objects), dtype=np.int8), np.full(len(objects), NEVER)
        outcome = np.where(found, self.outcome[safe], OPEN).astype(np.int8)
        return outcome, np.where(found, self.stream.times[safe], NEVER)


class Tally:
    """Wins and losses of groups of closings (a contact's, a colleague's) as they stood at any moment.

    A win that was taken back within a day counts only until then.
    """

    def __init__(self, *, closings: Closings, groups: Int64Array, group_count: int) -> None:
        undone = np.flatnonzero(closings.undone_at != NEVER)
        closing = np.concatenate([np.arange(len(closings.outcome)), undone])
        self._stream = fact_stream(
            objects=groups[closing],
            times=np.concatenate([closings.stream.times, closings.undone_at[undone]]),
            object_count=group_count,
        )
        step = np.where(self._stream.rows < len(closings.outcome), 1, -1)
        outcome = closings.outcome[closing[self._stream.rows]]
        self._won = np.concatenate([[0], np.cumsum(step * (outcome == WON))])
        self._lost = np.concatenate([[0], np.cumsum(step * (outcome == LOST))])

    def at(self, *, groups: Int64Array, as_of: Int64Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (won, lost) of each group just before the as-of; a group of -1 has none."""
        seen = self._stream.before(objects=groups, as_of=as_of)
        first = self._stream.starts[np.maximum(groups, 0)]
        won = self._won[first + seen] - self._won[first]
        lost = self._lost[first + seen] - self._lost[first]
        return won.astype(np.float64), lost.astype(np.float64)


def build_timelines(tables: CrmTables) -> Timelines:
    """Rebuild all stage timelines and closings from ``deal_stage_history`` and ``stages``.

    Won and lost come from ``stages.outcome``. An entry whose stage is unknown in the deal's pipeline is looked up
    in the other pipelines, and left out where it is in none or in several. No entry counts before its deal was
    created; entries that became known together are taken in the order in which they happened.
    """
    deals, history = tables["deals"], tables["deal_stage_history"]
    stages = tables["stages"].reset_index(drop=True)
    deal_ids = pd.Index(deals["deal_id"])
    deal = codes(history["deal_id"], index=deal_ids)
    stage = _stage_rows(deals=deals, deal=deal, stage_ids=history["stage"], stages=stages)

    entered = microseconds(history["entered_at"])
    positions = stages["position"].to_numpy(dtype=np.float64)
    stream = fact_stream(
        objects=np.where(stage >= 0, deal, -1),
        times=np.maximum(
            effective_time("deal_stage_history", history),
            created_times(history["deal_id"], table=deals, key="deal_id"),
        ),
        object_count=len(deal_ids),
        ties=(entered, np.append(positions, np.nan)[stage]),
    )
    sorted_stage = stage[stream.rows]
    owner = np.repeat(np.arange(len(deal_ids)), np.diff(stream.starts))
    moves = _moves(owner=owner, entered=entered[stream.rows], stage=sorted_stage)

    kept = np.flatnonzero(moves)
    starts = np.searchsorted(owner[kept], np.arange(len(deal_ids) + 1))
    stream = FactStream(starts=starts.astype(np.int64), times=stream.times[kept], rows=stream.rows[kept])
    sorted_stage = sorted_stage[kept]
    outcome_by_stage = np.array([OUTCOME_CODES[outcome] for outcome in stages["outcome"]], dtype=np.int8)
    outcome = outcome_by_stage[sorted_stage]
    position = positions[sorted_stage]
    return Timelines(
        deal_ids=deal_ids,
        stages=stages,
        stream=stream,
        stage=sorted_stage,
        outcome=outcome,
        position=position,
        closings=_closings(stream=stream, owner=owner[kept], outcome=outcome),
    )


def contact_wins(*, tables: CrmTables, timelines: Timelines, contact_ids: pd.Index) -> Closings:
    """Return the wins of each contact: those of every deal that ``deal_contacts`` links to it."""
    links = tables["deal_contacts"]
    deal = codes(links["deal_id"], index=timelines.deal_ids)
    contact = codes(links["contact_id"], index=contact_ids)
    known = (deal >= 0) & (contact >= 0)
    deal, contact = deal[known], contact[known]

    closings = timelines.closings
    closing_deal = np.repeat(np.arange(len(timelines.deal_ids)), np.diff(closings.stream.starts))
    won = np.flatnonzero(closings.outcome == WON)
    pairs = pd.DataFrame({"deal": deal, "contact": contact}).merge(
        pd.DataFrame({"deal": closing_deal[won], "closing": won}), on="deal"
    )
    closing = pairs["closing"].to_numpy(dtype=np.int64)
    stream = fact_stream(
        objects=pairs["contact"].to_numpy(dtype=np.int64),
        times=closings.stream.times[closing],
        object_count=len(contact_ids),
    )
    chosen = closing[stream.rows]
    return Closings(
        stream=stream, outcome=np.full(len(chosen), WON, dtype=np.int8), undone_at=closings.undone_at[chosen]
    )


def _stage_rows(*, deals: pd.DataFrame, deal: Int64Array, stage_ids: pd.Series, stages: pd.DataFrame) -> Int64Array:
    pipeline_of_deal = deals["pipeline"].to_numpy(dtype=object)
    pipeline = np.append(pipeline_of_deal, np.array([None], dtype=object))[deal]
    own = pd.MultiIndex.from_frame(stages[["pipeline", "stage"]])
    wanted = pd.MultiIndex.from_arrays([pipeline, stage_ids.to_numpy(dtype=object)])
    rows = np.asarray(own.get_indexer(wanted), dtype=np.int64)
    single = stages.loc[~stages["stage"].duplicated(keep=False), "stage"]
    elsewhere = pd.Series(single.index.to_numpy(), index=single.to_numpy(dtype=object))
    fallback = stage_ids.astype(object).map(elsewhere).fillna(-1).to_numpy(dtype=np.int64)
    return np.where(rows >= 0, rows, fallback)


def _moves(*, owner: Int64Array, entered: Int64Array, stage: Int64Array) -> NDArray[np.bool_]:
    """Say which entries really move the deal: not older than what is already known, and to another stage."""
    if not len(owner):
        return np.zeros(0, dtype=bool)
    frame = pd.DataFrame({"owner": owner, "entered": entered, "stage": stage})
    newest = frame.groupby("owner")["entered"].cummax().to_numpy()
    frame = frame.loc[entered >= newest]
    changed = (frame["stage"] != frame["stage"].shift()) | (frame["owner"] != frame["owner"].shift())
    moves = np.zeros(len(owner), dtype=bool)
    moves[frame.index[changed.to_numpy()]] = True
    return moves


def _closings(*, stream: FactStream, owner: Int64Array, outcome: NDArray[np.int8]) -> Closings:
    turn = np.ones(len(owner), dtype=bool)
    turn[1:] = (owner[1:] != owner[:-1]) | (outcome[1:] != outcome[:-1])
    turns = np.flatnonzero(turn)
    owner, outcome, times = owner[turns], outcome[turns], stream.times[turns]

    left_at = np.full(len(turns), NEVER)
    left_at[:-1] = np.where(owner[1:] == owner[:-1], times[1:], NEVER)
    undone_at = np.where((outcome == WON) & (left_at - times <= UNDO_GRACE), left_at, NEVER)
    closing = np.flatnonzero(outcome != OPEN)
    starts = np.searchsorted(owner[closing], np.arange(len(stream.starts)))
    return Closings(
        stream=FactStream(starts=starts.astype(np.int64), times=times[closing], rows=stream.rows[turns][closing]),
        outcome=outcome[closing],
        undone_at=undone_at[closing],
    )


@njit(cache=True)
def _first_standing(starts, times, undone_at, objects, start, end):  # type: ignore[no-untyped-def]  # Numba
    found = np.full(objects.shape[0], -1, dtype=np.int64)
    for query in range(objects.shape[0]):
        item = objects[query]
        if item < 0:
            continue
        for position in range(starts[item], starts[item + 1]):
            if times[position] >= end[query]:
                break
            if times[position] >= start[query] and undone_at[position] >= end[query]:
                found[query] = position
                break
    return found
