"""The true probabilities of the simulated CRM: its hidden state at an as-of, rolled forward many times.

They are the expectation of the outcome given everything that is hidden, so no honest model can be better. They are
kept apart from the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import LeadScoringError
from features.sources.synthetic_dynamics import advance
from features.sources.synthetic_history import state_at
from features.sources.synthetic_market import Booleans, Floats, Integers
from features.sources.synthetic_state import IS_OPEN, IS_WON, DayEvents, State, deal_ids, fork
from features.sources.synthetic_world import SyntheticSettings, World

HORIZON_DAYS: Final = 90
LONGEST_DEAL_DAYS: Final = 1500
"""Deals that are still open this long after the as-of count as not won."""

_TRUTH_STREAM: Final = 990_001


class SyntheticAsOfError(LeadScoringError):
    """The truth is only known at the start of a simulated day."""

    def __init__(self, as_of: datetime, settings: SyntheticSettings) -> None:
        self.as_of = as_of
        super().__init__(
            f"a synthetic as-of must lie a whole number of days before {settings.end.isoformat()} and not before "
            f"{settings.start.isoformat()}; found {as_of.isoformat()}. Choose the start of a day in between."
        )


@dataclass(frozen=True)
class TruthFrames:
    """True probabilities at one as-of, each with a Monte Carlo error of ``sqrt(p * (1 - p) / draws)``.

    ``contacts``: contact_id, ``customer_within_horizon`` for contacts that exist and are no customers.
    ``deals``: deal_id, ``won`` (at the end of this opening, whenever that is) and ``won_within_horizon``, for open
    deals; a re-opening after a loss is another opening.
    """

    contacts: pd.DataFrame
    deals: pd.DataFrame


def simulate_truth(
    settings: SyntheticSettings, as_of: datetime, *, draws: int = 200, horizon_days: int = HORIZON_DAYS
) -> TruthFrames:
    """Roll the hidden state at the as-of forward ``draws`` times and count what comes true."""
    day = _day_of(settings, as_of)
    world, state = state_at(settings=settings, day=day)
    near, far = _streams(settings, day)

    eligible = np.flatnonzero((world.contacts.created_day < day) & ~state.customer[0])
    customer = _customers_within(world, state, day, draws, horizon_days, near)[eligible]
    rows = np.flatnonzero(IS_OPEN[state.deals.stage])
    won, won_soon = _wins_of(world, state, rows, day, draws, horizon_days, far)
    contacts = pd.DataFrame({"contact_id": world.contact_ids()[eligible], "customer_within_horizon": customer})
    deals = pd.DataFrame({"deal_id": deal_ids(state.deals.serial[rows]), "won": won, "won_within_horizon": won_soon})
    return TruthFrames(
        contacts.astype({"contact_id": "str"}).sort_values("contact_id", ignore_index=True),
        deals.astype({"deal_id": "str"}),
    )


@dataclass(frozen=True)
class WinDays:
    """When each open deal is won in each future: days after the as-of (futures, deals), infinite where it is not."""

    deal_id: npt.NDArray[np.object_]
    days: Floats

    def won_within(self, days: Floats) -> Floats:
        """Return each deal's true probability of being won within so many days of its own."""
        share: Floats = (self.days <= days).mean(axis=0)
        return share


def simulate_win_days(settings: SyntheticSettings, as_of: datetime, *, draws: int, longest_days: int) -> WinDays:
    """Roll the deals that are open at the as-of forward ``draws`` times, for ``longest_days`` at most.

    A win falls somewhere into a simulated day; it is told as the end of that day.
    """
    day = _day_of(settings, as_of)
    world, state = state_at(settings=settings, day=day)
    rows = np.flatnonzero(IS_OPEN[state.deals.stage])
    future = fork(state=state, rows=rows, draws=draws)
    pending = np.ones(len(future.deals), dtype=np.bool_)
    won_day = np.full(len(pending), np.inf)
    rng = _streams(settings, day)[1]
    for later in range(day, day + longest_days):
        if not np.any(pending & ~future.deals.dead):
            break
        won = np.zeros(len(pending), dtype=np.bool_)
        events = advance(world=world, state=future, day=later, rng=rng, openings=False)
        _note_closings(events, pending, won)
        won_day[won] = later + 1 - day
    ids = np.array(deal_ids(state.deals.serial[rows]), dtype=object)
    return WinDays(ids, won_day.reshape(draws, len(rows)))


def _streams(settings: SyntheticSettings, day: int) -> tuple[np.random.Generator, np.random.Generator]:
    near, far = np.random.SeedSequence([settings.seed, _TRUTH_STREAM, day]).spawn(2)
    return np.random.Generator(np.random.PCG64(near)), np.random.Generator(np.random.PCG64(far))


def _day_of(settings: SyntheticSettings, as_of: datetime) -> int:
    if as_of.tzinfo is None:
        raise SyntheticAsOfError(as_of, settings)
    since = as_of.astimezone(UTC) - settings.start
    if since % timedelta(days=1) or not timedelta(0) <= since <= timedelta(days=settings.days):
        raise SyntheticAsOfError(as_of, settings)
    return since.days


def _customers_within(
    world: World, state: State, day: int, draws: int, horizon_days: int, rng: np.random.Generator
) -> Floats:
    """Return for each contact the share of draws in which it has become a customer after the horizon."""
    future = fork(state=state, rows=np.arange(len(state.deals)), draws=draws)
    for later in range(day, day + horizon_days):
        advance(world=world, state=future, day=later, rng=rng)
    share: Floats = future.customer.mean(axis=0)
    return share


def _wins_of(
    world: World, state: State, rows: Integers, day: int, draws: int, horizon_days: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return for each open deal the share of draws in which it is won: ever, and within the horizon."""
    future = fork(state=state, rows=rows, draws=draws)
    pending = np.ones(len(future.deals), dtype=np.bool_)
    won = np.zeros(len(pending), dtype=np.bool_)
    won_soon = won
    for later in range(day, day + max(LONGEST_DEAL_DAYS, horizon_days)):
        if later == day + horizon_days:
            won_soon = won.copy()
        if later >= day + horizon_days and not np.any(pending & ~future.deals.dead):
            break
        events = advance(world=world, state=future, day=later, rng=rng, openings=False)
        _note_closings(events, pending, won)
    shape = (draws, len(rows))
    return won.reshape(shape).mean(axis=0), won_soon.reshape(shape).mean(axis=0)


def _note_closings(events: DayEvents, pending: Booleans, won: Booleans) -> None:
    """Count the first closing of each deal; what follows a re-opening is another opening."""
    first = pending[events.rows] & ~IS_OPEN[events.stages]
    won[events.rows[first]] = IS_WON[events.stages[first]]
    pending[events.rows[first]] = False
