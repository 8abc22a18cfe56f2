"""How the simulated CRM moves on by a day: interest rises and decays, deals open, move, are won, lost or forgotten.

The state holds any number of parallel draws of the same world, so that the history (one draw) and the true
probabilities (many draws from a copied state) come from the same function, ``advance``. What contacts and sellers
visibly do is no part of the state: it is drawn from it and does not act back on it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from features.sources.synthetic_market import INDUSTRIES, NONE, STAGES, Floats, Integers
from features.sources.synthetic_state import (
    FIRST_STAGES,
    IS_LOST,
    IS_MACHINES,
    IS_OPEN,
    IS_WON,
    LOST_STAGES,
    WON_STAGES,
    DayEvents,
    Deals,
    State,
    members_of,
)
from features.sources.synthetic_world import World

INTEREST_HALF_LIFE_DAYS: Final = 18.0
BURSTS_PER_DAY: Final = 0.009
COMPANY_BURSTS_PER_DAY: Final = 0.0025
DEAL_BURSTS_PER_DAY: Final = 0.035
OPENINGS_PER_DAY: Final = 0.0060
OPENING_QUALITY: Final = 0.75
CUSTOMER_OPENING: Final = 0.35
"""How eager a customer is to open another deal, relative to a contact who is none."""

WIN_QUALITY: Final = 0.65
WIN_INTEREST: Final = 2.2
WIN_AMOUNT: Final = -0.2
WIN_STALENESS_PER_DAY: Final = -0.012
LOSE_APPEAL: Final = -0.45
FORWARD_APPEAL: Final = 0.3
FRAILTY: Final = 0.35
NEUTRAL_STRENGTH: Final = 0.42
BACK_PER_DAY: Final = 0.002
SKIP_SHARE: Final = 0.15
SECOND_STAGE_START: Final = 0.12
SECOND_CONTACT_SHARE: Final = 0.15
CLEAN_UP_PER_DAY: Final = 0.002
REOPEN_PER_DAY: Final = 0.0012
REOPEN_DAYS: Final = 120
MACHINE_SHARE: Final = 0.06
MACHINE_SHARE_MACHINERY: Final = 0.2
MACHINE_SHARE_CUSTOMER: Final = 0.55

_PACE: Final = np.where(IS_MACHINES, 0.25, 1.0)
_WIN_RATES: Final = np.array([spec.win for spec in STAGES])
_LOSE_RATES: Final = np.array([spec.lose for spec in STAGES])
_FORWARD_RATES: Final = np.array([spec.forward for spec in STAGES])
_BACK_RATES: Final = np.where(IS_OPEN, BACK_PER_DAY * _PACE, 0.0)
_BACK_RATES[FIRST_STAGES] = 0.0


def strength(interest: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Map an interest of 0 and more to 0..1.

    >>> strength(np.array([0.0, 1.0, 3.0])).tolist()
    [0.0, 0.5, 0.75]
    """
    return interest / (1 + interest)


def advance(*, world: World, state: State, day: int, rng: np.random.Generator, openings: bool = True) -> DayEvents:
    """Move the state on by one day, in place, and say what happened to deals.

    Without ``openings`` no new deal begins; the course of the deals already open is the same in law, because a
    contact with an open deal opens no other and deals touch no contact but their own.
    """
    _welcome_contacts(world, state, day)
    handed_over = _hand_over_deals(world, state, day)
    _stir_interest(world, state, day, rng)
    moved, moved_to = _move_deals(world, state, day, rng)
    reopened = _reopen_deals(state, day, rng)
    opened = _open_deals(world, state, day, rng) if openings else np.zeros(0, dtype=np.int64)
    rows = np.concatenate([moved, reopened, opened])
    stages = np.concatenate([moved_to, state.deals.stage[reopened], state.deals.stage[opened]])
    return DayEvents(rows, stages, handed_over)


def _welcome_contacts(world: World, state: State, day: int) -> None:
    """Let those created yesterday begin to live."""
    new = np.flatnonzero(world.contacts.created_day == day - 1)
    if len(new):
        state.interest[:, new] += world.contacts.first_interest[new].astype(np.float32)
        draw, contact = (index.ravel() for index in np.meshgrid(np.arange(state.draws), new, indexing="ij"))
        _refresh_eagerness(world, state, draw, contact)


def _hand_over_deals(world: World, state: State, day: int) -> Integers:
    if not np.any(world.owners.leaves_day == day):
        return np.zeros(0, dtype=np.int64)
    deals = state.deals
    rows = np.flatnonzero(IS_OPEN[deals.stage] & (world.owners.leaves_day[deals.owner] == day))
    deals.owner[rows] = world.owners.successor[deals.owner[rows]]
    return rows


def _stir_interest(world: World, state: State, day: int, rng: np.random.Generator) -> None:
    """Let interest decay, then add bursts: personal ones, those of whole companies, and those an open deal brings."""
    state.interest *= np.float32(0.5 ** (1 / INTEREST_HALF_LIFE_DAYS))
    busy = world.calendar_factor(day)
    contacts, companies, deals = world.contacts, world.companies, state.deals

    rates = np.where(contacts.created_day < day, BURSTS_PER_DAY * busy * np.minimum(contacts.activity, 5.0), 0.0)
    # A sum of independent Poisson counts is drawn at once and then shared out: bursts are rare and contacts many.
    cumulated = np.cumsum(rates)
    count = rng.poisson(cumulated[-1] * state.draws)
    contact = np.searchsorted(cumulated, rng.random(count) * cumulated[-1], side="right")
    draw = rng.integers(0, state.draws, count)
    _add_interest(state, draw, np.minimum(contact, len(contacts) - 1), rng.exponential(1.1, count))

    count = rng.poisson(COMPANY_BURSTS_PER_DAY * busy * len(companies.size) * state.draws)
    company = rng.integers(0, len(companies.size), count)
    size = companies.size[company]
    draw = np.repeat(rng.integers(0, state.draws, count), size)
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    contact = np.repeat(companies.first[company], size) + within
    present = contacts.created_day[contact] < day
    _add_interest(state, draw[present], contact[present], rng.exponential(0.8, len(contact))[present])

    live = np.flatnonzero(IS_OPEN[deals.stage] & ~deals.dead)
    rate = DEAL_BURSTS_PER_DAY * busy * np.exp(0.3 * contacts.quality[deals.contact[live]])
    stirred = live[rng.random(len(live)) < rate]
    _add_interest(state, deals.draw[stirred], deals.contact[stirred], rng.exponential(1.0, len(stirred)))


def _add_interest(state: State, draw: Integers, contact: Integers, amount: Floats) -> None:
    np.add.at(state.interest, (draw, contact), amount.astype(np.float32))


def _move_deals(world: World, state: State, day: int, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Let each open deal be won, lost, moved forward or back, or stay; return the rows and stages entered."""
    deals = state.deals
    rows = np.flatnonzero(IS_OPEN[deals.stage])
    rates = _deal_rates(world, state, rows, day)
    total = rates.sum(axis=1)
    happens = rng.random(len(rows)) < -np.expm1(-total)
    pick = rng.random(len(rows)) * total
    rows, pick, rates = rows[happens], pick[happens], rates[happens]
    event = (pick[:, None] >= np.cumsum(rates, axis=1)[:, :-1]).sum(axis=1)

    stage = deals.stage[rows]
    slow = IS_MACHINES[stage].astype(np.int64)
    skips = (rng.random(len(rows)) < SKIP_SHARE) & IS_OPEN[np.minimum(stage + 2, len(STAGES) - 1)]
    entered = np.select(
        [event == 0, event == 1, event == 2], [WON_STAGES[slow], LOST_STAGES[slow], stage + 1 + skips], stage - 1
    )
    neglected = (event == 1) & ~deals.dead[rows] & (rng.random(len(rows)) < world.owners.neglect[deals.owner[rows]])
    deals.dead[rows[neglected]] = True
    rows, entered = rows[~neglected], entered[~neglected]
    _enter_stages(world, state, rows, entered, day)
    return rows, entered


def _deal_rates(world: World, state: State, rows: Integers, day: int) -> Floats:
    """Return the daily rates of win, loss, forward and back for open deals; a dead deal is only cleaned up."""
    deals = state.deals
    stage, contact, dead = deals.stage[rows], deals.contact[rows], deals.dead[rows]
    appeal = (
        WIN_QUALITY * world.contacts.quality[contact]
        + WIN_INTEREST * (strength(state.interest[deals.draw[rows], contact]) - NEUTRAL_STRENGTH)
        + world.owners.skill[deals.owner[rows]]
        + deals.frailty[rows]
    )
    staleness = WIN_STALENESS_PER_DAY * _PACE[stage] * (day - deals.changed_day[rows])
    busy = world.calendar_factor(day)
    win = _WIN_RATES[stage] * world.win_factor(day) * np.exp(appeal + staleness + WIN_AMOUNT * deals.log_amount[rows])
    lose = _LOSE_RATES[stage] * np.exp(LOSE_APPEAL * appeal)
    forward = _FORWARD_RATES[stage] * np.exp(FORWARD_APPEAL * appeal)
    rates = busy * np.stack([win, lose, forward, _BACK_RATES[stage]], axis=1)
    rates[dead] = (0.0, CLEAN_UP_PER_DAY, 0.0, 0.0)
    return rates


def _enter_stages(world: World, state: State, rows: Integers, stages: Integers, day: int) -> None:
    deals = state.deals
    deals.stage[rows] = stages
    deals.changed_day[rows] = day
    closed = rows[~IS_OPEN[stages]]
    _count_open_deals(state, closed, -1)
    won = rows[IS_WON[stages]]
    draw, contact = members_of(deals, won)
    state.customer[draw, contact] = True
    draw, contact = members_of(deals, closed)
    _refresh_eagerness(world, state, draw, contact)


def _count_open_deals(state: State, rows: Integers, change: int) -> None:
    draw, contact = members_of(state.deals, rows)
    np.add.at(state.open_deals, (draw, contact), np.int16(change))


def _refresh_eagerness(world: World, state: State, draw: Integers, contact: Integers) -> None:
    """Renew the daily rate at which these contacts open a deal when their interest is high."""
    rate = OPENINGS_PER_DAY * np.exp(OPENING_QUALITY * world.contacts.quality[contact])
    rate = np.where(state.customer[draw, contact], CUSTOMER_OPENING * rate, rate)
    state.eagerness[draw, contact] = np.where(state.open_deals[draw, contact] > 0, 0.0, rate)


def _reopen_deals(state: State, day: int, rng: np.random.Generator) -> Integers:
    """Open some recently lost deals again, one stage in, where the first contact has no other open deal."""
    deals = state.deals
    since = day - deals.changed_day
    lost = np.flatnonzero(IS_LOST[deals.stage] & (since > 0) & (since <= REOPEN_DAYS) & ~deals.dead)
    lost = lost[state.open_deals[deals.draw[lost], deals.contact[lost]] == 0]
    warmth = strength(state.interest[deals.draw[lost], deals.contact[lost]])
    rows = lost[rng.random(len(lost)) < REOPEN_PER_DAY * warmth]
    # One deal a contact and day: two lost deals of a contact must not come back together.
    _, first = np.unique(deals.draw[rows] * state.interest.shape[1] + deals.contact[rows], return_index=True)
    rows = np.sort(rows[first])
    deals.stage[rows] = FIRST_STAGES[IS_MACHINES[deals.stage[rows]].astype(np.int64)] + 1
    deals.changed_day[rows] = day
    _count_open_deals(state, rows, 1)
    draw, contact = members_of(deals, rows)
    state.eagerness[draw, contact] = 0.0
    return rows


def _open_deals(world: World, state: State, day: int, rng: np.random.Generator) -> Integers:
    squared = state.interest * state.interest
    rate = state.eagerness * (squared / (1 + squared)) * np.float32(world.calendar_factor(day))
    draw, contact = np.nonzero(rng.random(rate.shape, dtype=np.float32) < rate)
    count = len(draw)
    colleague = world.contacts.colleague[contact]
    joins = (colleague != NONE) & (rng.random(count) < SECOND_CONTACT_SHARE)
    joins &= world.contacts.created_day[colleague] < day
    slow = rng.random(count) < _machine_share(world, state, draw, contact)
    size = world.companies.employee_band[world.contacts.company[contact]] - 2.0
    opened = Deals(
        draw=draw,
        serial=np.arange(len(state.deals), len(state.deals) + count),
        contact=contact,
        second=np.where(joins, colleague, NONE),
        owner=world.contact_owners(day)[contact],
        stage=FIRST_STAGES[slow.astype(np.int64)] + (rng.random(count) < SECOND_STAGE_START),
        opened_day=np.full(count, day),
        changed_day=np.full(count, day),
        log_amount=0.35 * np.where(world.contacts.company[contact] == NONE, -2.0, size) + rng.normal(0, 0.7, count),
        frailty=rng.normal(0, FRAILTY, count),
        dead=np.zeros(count, dtype=np.bool_),
    )
    rows = np.arange(len(state.deals), len(state.deals) + count)
    state.deals.append(opened)
    _count_open_deals(state, rows, 1)
    draw, contact = members_of(opened, np.arange(count))
    state.eagerness[draw, contact] = 0.0
    return rows


def _machine_share(world: World, state: State, draw: Integers, contact: Integers) -> Floats:
    """Return how likely a deal of this contact runs in the slow pipeline."""
    machinery = world.contacts.industry[contact] == INDUSTRIES.values.index("machinery")
    fresh = np.where(machinery, MACHINE_SHARE_MACHINERY, MACHINE_SHARE)
    return np.where(state.customer[draw, contact], MACHINE_SHARE_CUSTOMER, fresh)
