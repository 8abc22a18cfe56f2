"""Stale deals: open for so much longer than any deal that was ever won that a fresh deal's odds do not fit them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.episodes import WON, Timelines
from features.fact_stream import fact_stream
from features.snapshots import open_intervals
from features.visibility import MICROSECONDS_PER_DAY, Int64Array
from models.metrics import AnyArray, FloatArray

LEAST_WINS: Final = 20
"""With fewer wins a pipeline shares the limit of all; with fewer in all there is none."""


class StaleLimit(BaseModel):
    """Past ``days`` open a deal is stale. ``deals`` were ever open so long, of whom ``won`` were won in the end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: float
    slowest_won_days: float
    deals: int
    won: int

    def words(self, age_days: float) -> str:
        """Say why a deal of this age is not scored, with the odds that were observed."""
        seen = (
            f"of {self.deals} deals that were ever open for more than {self.days:.0f} days {self.won} were won"
            if self.deals
            else f"no other was ever open for more than {self.days:.0f} days"
        )
        return (
            f"stale: open for {age_days:.0f} days, and the slowest deal that was won took {self.slowest_won_days:.0f}; "
            f"{seen}"
        )


class Staleness(BaseModel):
    """The limit of each pipeline with enough wins, and that of all others; None where there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipelines: dict[str, StaleLimit] = {}
    shared: StaleLimit | None = None

    def limit_days(self, pipelines: AnyArray) -> FloatArray:
        """Return after how many days a deal of each pipeline is stale; infinite where nothing says so."""
        shared = np.inf if self.shared is None else self.shared.days
        return np.array([self.pipelines[name].days if name in self.pipelines else shared for name in pipelines])

    def why_not(self, *, pipelines: AnyArray, age_days: FloatArray) -> NDArray[np.object_]:
        """Say for each deal why it is stale; None where it is not."""
        told = np.full(len(age_days), None, dtype=object)
        for at in np.flatnonzero(age_days > self.limit_days(pipelines)):
            limit = self.pipelines.get(pipelines[at], self.shared)
            told[at] = None if limit is None else limit.words(float(age_days[at]))
        return told


def fit_staleness(*, timelines: Timelines, cutoff: int, factor: float) -> Staleness:
    """Learn from every opening before ``cutoff`` (microseconds): ``factor`` times the slowest win is the limit."""
    deal, opened, closed = open_intervals(timelines)
    if not len(deal):
        return Staleness()
    outcome, won_at = timelines.closings.first_standing(
        objects=deal, start=opened, end=np.full(len(deal), cutoff, dtype=np.int64)
    )
    lasted = (np.minimum(np.where(outcome == WON, won_at, closed), cutoff) - opened) / MICROSECONDS_PER_DAY
    here = timelines.stream.last_before(objects=deal, as_of=np.maximum(opened + 1, np.minimum(closed, cutoff)))
    pipeline = timelines.stages["pipeline"].to_numpy(dtype=object)[timelines.stage[here]]
    won = outcome == WON
    found = {
        str(name): limit
        for name in sorted(set(pipeline))
        if (limit := _limit(lasted[pipeline == name], won[pipeline == name], factor=factor)) is not None
    }
    return Staleness(pipelines=found, shared=_limit(lasted, won, factor=factor))


def open_days(*, timelines: Timelines, deals: Int64Array, as_of: Int64Array) -> FloatArray:
    """Return for how many days each deal has been open since it was last opened; NaN if it never was."""
    owner, opened, _ = open_intervals(timelines)
    stream = fact_stream(objects=owner, times=opened, object_count=len(timelines.deal_ids))
    position = stream.last_before(objects=deals, as_of=as_of)
    age = np.full(len(deals), np.nan)
    seen = position >= 0
    age[seen] = (as_of[seen] - stream.times[position[seen]]) / MICROSECONDS_PER_DAY
    return age


def _limit(lasted: FloatArray, won: NDArray[np.bool_], *, factor: float) -> StaleLimit | None:
    if won.sum() < LEAST_WINS:
        return None
    slowest = float(lasted[won].max())
    older = lasted > factor * slowest
    return StaleLimit(
        days=factor * slowest, slowest_won_days=slowest, deals=int(older.sum()), won=int((older & won).sum())
    )


def stale_deals(
    staleness: Staleness, *, timelines: Timelines, deals: Int64Array, as_of: Int64Array, pipelines: AnyArray
) -> NDArray[np.object_]:
    """Say for each (deal, as-of) why it is stale; None where it is not."""
    age_days = open_days(timelines=timelines, deals=deals, as_of=as_of)
    return staleness.why_not(pipelines=pipelines, age_days=age_days)
