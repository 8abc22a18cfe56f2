"""Run the simulated CRM day by day from its start and keep what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.sources.synthetic_behaviour import Touches, draw_touches, join_touches
from features.sources.synthetic_dynamics import advance
from features.sources.synthetic_market import Integers
from features.sources.synthetic_state import DayEvents, State, first_state
from features.sources.synthetic_world import SyntheticSettings, World, build_world

STREAMS: Final = ("world", "dynamics", "behaviour", "records")


@dataclass(frozen=True)
class DealEvents:
    """Deals (by serial) that entered a stage or changed hands on a day, in the order of days."""

    deal: Integers
    day: Integers
    stage: Integers
    handed_deal: Integers
    handed_day: Integers
    handed_from: Integers


@dataclass(frozen=True)
class History:
    """All that happened between start and end, and the hidden state at the end."""

    world: World
    state: State
    events: DealEvents
    touches: Touches


def stream(settings: SyntheticSettings, name: str) -> np.random.Generator:
    """Return the named stream of chance; streams do not disturb one another.

    >>> same = SyntheticSettings(seed=1)
    >>> bool(stream(same, "world").random() == stream(same, "world").random())
    True
    """
    seeds = np.random.SeedSequence(settings.seed).spawn(len(STREAMS))
    return np.random.Generator(np.random.PCG64(seeds[STREAMS.index(name)]))


def run_history(settings: SyntheticSettings) -> History:
    """Simulate the whole history."""
    behaviour = stream(settings, "behaviour")
    parts: list[Touches] = []

    def watch(world: World, state: State, day: int) -> None:
        parts.append(draw_touches(world=world, state=state, day=day, rng=behaviour))

    world, state, events = _run(settings, settings.days, watch)
    return History(world, state, events, join_touches(parts))


def state_at(*, settings: SyntheticSettings, day: int) -> tuple[World, State]:
    """Return the hidden state at the start of a day, exactly as it was in the history."""
    world, state, _ = _run(settings, day, None)
    return world, state


def _run(
    settings: SyntheticSettings, days: int, watch: Callable[[World, State, int], None] | None
) -> tuple[World, State, DealEvents]:
    world = build_world(settings=settings, rng=stream(settings, "world"))
    state = first_state(world)
    rng = stream(settings, "dynamics")
    happened: list[DayEvents] = []
    for day in range(days):
        happened.append(advance(world=world, state=state, day=day, rng=rng))
        if watch is not None:
            watch(world, state, day)
    return world, state, _deal_events(world, state, happened)


def _deal_events(world: World, state: State, happened: list[DayEvents]) -> DealEvents:
    nothing = np.zeros(0, dtype=np.int64)
    rows = [events.rows for events in happened] or [nothing]
    handed = [events.handed_over for events in happened] or [nothing]
    handed_deal = np.concatenate(handed)
    return DealEvents(
        deal=state.deals.serial[np.concatenate(rows)],
        day=np.repeat(np.arange(len(rows)), [len(part) for part in rows]),
        stage=np.concatenate([events.stages for events in happened] or [nothing]),
        handed_deal=state.deals.serial[handed_deal],
        handed_day=np.repeat(np.arange(len(handed)), [len(part) for part in handed]),
        # A successor never leaves, so a deal changes hands at most once and its first owner is its contact's.
        handed_from=world.contacts.owner[state.deals.contact[handed_deal]],
    )
