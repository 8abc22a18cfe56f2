"""The hidden state of the simulated CRM at the start of a day, for any number of parallel draws."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from features.sources.synthetic_market import MACHINES, NONE, STAGES, Booleans, Floats, Integers
from features.sources.synthetic_world import World

Interest = npt.NDArray[np.float32]

_OUTCOMES: Final = np.array([spec.outcome for spec in STAGES])
IS_OPEN: Final = _OUTCOMES == "open"
IS_WON: Final = _OUTCOMES == "won"
IS_LOST: Final = _OUTCOMES == "lost"
IS_MACHINES: Final = np.array([spec.pipeline == MACHINES for spec in STAGES])
FIRST_STAGES: Final = np.array([int(np.flatnonzero(slow == IS_MACHINES)[0]) for slow in (False, True)])
WON_STAGES: Final = np.array([int(np.flatnonzero(IS_WON & (slow == IS_MACHINES))[0]) for slow in (False, True)])
LOST_STAGES: Final = np.array([int(np.flatnonzero(IS_LOST & (slow == IS_MACHINES))[0]) for slow in (False, True)])


@dataclass
class Deals:
    """All deals of all draws, open and closed; ``dead`` ones are lost though nobody has recorded it."""

    draw: Integers
    serial: Integers
    contact: Integers
    second: Integers
    owner: Integers
    stage: Integers
    opened_day: Integers
    changed_day: Integers
    log_amount: Floats
    frailty: Floats
    dead: Booleans

    def __len__(self) -> int:
        return len(self.draw)

    def take(self, rows: Integers) -> Deals:
        """Return copies of these rows."""
        return Deals(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})

    def append(self, other: Deals) -> None:
        """Add the rows of ``other`` at the end."""
        for item in fields(self):
            setattr(self, item.name, np.concatenate([getattr(self, item.name), getattr(other, item.name)]))


@dataclass
class State:
    """The hidden state at the start of a day; arrays over contacts have the shape (draws, contacts)."""

    interest: Interest
    open_deals: npt.NDArray[np.int16]
    customer: Booleans
    eagerness: Interest
    deals: Deals

    @property
    def draws(self) -> int:
        """How many parallel futures the state holds."""
        return len(self.interest)


@dataclass(frozen=True)
class DayEvents:
    """What a day brought: deals (rows of ``state.deals``) that entered a stage, and those that changed hands."""

    rows: Integers
    stages: Integers
    handed_over: Integers


def first_state(world: World) -> State:
    """Return the state before the first day: nobody there yet, one draw."""
    shape = (1, len(world.contacts))
    none = np.zeros(0, dtype=np.int64)
    numbers = np.zeros(0)
    deals = Deals(none, none, none, none, none, none, none, none, numbers, numbers, np.zeros(0, dtype=np.bool_))
    return State(
        interest=np.zeros(shape, dtype=np.float32),
        open_deals=np.zeros(shape, dtype=np.int16),
        customer=np.zeros(shape, dtype=np.bool_),
        eagerness=np.zeros(shape, dtype=np.float32),
        deals=deals,
    )


def fork(*, state: State, rows: Integers, draws: int) -> State:
    """Copy a one-draw state ``draws`` times, keeping the given deals."""
    deals = state.deals.take(np.tile(rows, draws))
    deals.draw = np.repeat(np.arange(draws), len(rows))
    return State(
        interest=np.repeat(state.interest, draws, axis=0),
        open_deals=np.repeat(state.open_deals, draws, axis=0),
        customer=np.repeat(state.customer, draws, axis=0),
        eagerness=np.repeat(state.eagerness, draws, axis=0),
        deals=deals,
    )


def members_of(deals: Deals, rows: Integers) -> tuple[Integers, Integers]:
    """Return the draw and the contact of everyone on these deals, first and second contacts."""
    paired = rows[deals.second[rows] != NONE]
    draw = np.concatenate([deals.draw[rows], deals.draw[paired]])
    return draw, np.concatenate([deals.contact[rows], deals.second[paired]])


def deal_ids(serial: Integers) -> list[str]:
    """Return the ids of deals, which are numbered in the order of opening."""
    return [f"d{number:06d}" for number in serial + 1]
