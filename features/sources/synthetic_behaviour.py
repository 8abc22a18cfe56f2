"""What contacts and sellers visibly do in the simulated CRM, given the hidden state of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from features.sources.synthetic_dynamics import strength
from features.sources.synthetic_market import DAY_SECONDS, NEVER, NONE, SOURCES, Booleans, Floats, Integers
from features.sources.synthetic_state import IS_OPEN, IS_WON, State
from features.sources.synthetic_world import World

BROWSING_PER_DAY: Final = 0.012
BROWSING_PER_DAY_KEEN: Final = 0.55
PROSPECTING_PER_DAY: Final = 0.0035
PROSPECTING_PER_DAY_KEEN: Final = 0.035
SALES_TOUCHES_PER_DAY: Final = 0.13
DEAD_DEAL_TOUCHES: Final = 0.03
ONBOARDING_PER_DAY: Final = 0.1
ONBOARDING_DAYS: Final = 45
DEMO_BEFORE_DEAL_SHARE: Final = 0.4
MORE_PAGES: Final = 0.45
LATE_SHARE: Final = 0.055
LATE_DAYS: Final = 4.0
LINKED_TO_DEAL_SHARE: Final = 0.75

KINDS: Final = (
    "page_view",
    "pricing_view",
    "email_open",
    "email_click",
    "form_submission",
    "demo_request",
    "webinar",
    "call",
    "meeting",
    "email_reply",
)
DIRECTIONS: Final = ("inbound", "outbound")
OUTCOMES: Final = ("connected", "no_answer", "held", "no_show")
NAMES: Final = ("Home", "Product", "Customers", "Careers", "Blog", "Pricing", "Webinar: first steps", "Onboarding")
PAGES: Final = 5
PAGE_SHARES: Final = np.array([0.34, 0.32, 0.12, 0.06, 0.16])


class Context(IntEnum):
    """Why something was done."""

    BROWSING = 0
    PROSPECTING = 1
    SALES = 2
    ONBOARDING = 3
    DEMO = 4
    CREATION = 5


# For each context, how common each kind is for a cold contact and for a keen one.
_MIXES: Final[Mapping[Context, tuple[Mapping[str, float], Mapping[str, float]]]] = {
    Context.BROWSING: (
        {
            "page_view": 0.30,
            "pricing_view": 0.01,
            "email_open": 0.53,
            "email_click": 0.09,
            "form_submission": 0.02,
            "webinar": 0.04,
        },
        {
            "page_view": 0.40,
            "pricing_view": 0.18,
            "email_open": 0.17,
            "email_click": 0.13,
            "form_submission": 0.05,
            "demo_request": 0.03,
            "webinar": 0.04,
        },
    ),
    Context.PROSPECTING: (
        {"call": 0.80, "meeting": 0.02, "email_open": 0.13, "email_reply": 0.05},
        {"call": 0.55, "meeting": 0.17, "email_reply": 0.28},
    ),
    Context.SALES: (
        {"call": 0.60, "meeting": 0.15, "email_open": 0.12, "email_reply": 0.13},
        {"call": 0.34, "meeting": 0.28, "pricing_view": 0.06, "email_reply": 0.32},
    ),
    Context.ONBOARDING: (
        {"call": 0.4, "meeting": 0.4, "email_reply": 0.2},
        {"call": 0.4, "meeting": 0.4, "email_reply": 0.2},
    ),
    Context.DEMO: ({"demo_request": 1.0}, {"demo_request": 1.0}),
    Context.CREATION: ({"form_submission": 1.0}, {"form_submission": 1.0}),
}


@dataclass(frozen=True)
class Touches:
    """Occasions on which something was done: who, when, why, how keen, about which deal (``NONE`` for none), whose."""

    contact: Integers
    day: Integers
    context: Integers
    strength: Floats
    deal: Integers
    owner: Integers


@dataclass(frozen=True)
class ActivityColumns:
    """Activities as codes; ``NONE`` is missing. Times are seconds since the start of the history."""

    contact: Integers
    deal: Integers
    kind: Integers
    occurred: Integers
    known: Integers
    direction: Integers
    outcome: Integers
    name: Integers
    by_seller: Booleans
    owner: Integers
    duration: Floats


def join_touches(parts: Sequence[Touches]) -> Touches:
    """Put touches one after the other."""
    return Touches(
        contact=np.concatenate([part.contact for part in parts]),
        day=np.concatenate([part.day for part in parts]),
        context=np.concatenate([part.context for part in parts]),
        strength=np.concatenate([part.strength for part in parts]),
        deal=np.concatenate([part.deal for part in parts]),
        owner=np.concatenate([part.owner for part in parts]),
    )


def draw_touches(*, world: World, state: State, day: int, rng: np.random.Generator) -> Touches:
    """Draw what is done on a day, given the state at its end; the state must hold one draw."""
    contacts, deals = world.contacts, state.deals
    keen = strength(state.interest[0].astype(np.float64))
    busy = world.calendar_factor(day)
    present = contacts.created_day < day

    browsing = np.where(present, contacts.activity * (BROWSING_PER_DAY + BROWSING_PER_DAY_KEEN * keen**2), 0.0)
    browses = np.repeat(np.arange(len(contacts)), rng.poisson(browsing * min(busy, 1.0)))

    outbound = np.where(contacts.source == SOURCES.values.index("outbound"), 2.5, 1.0)
    prospecting = outbound * (PROSPECTING_PER_DAY + PROSPECTING_PER_DAY_KEEN * keen**2)
    prospecting[~present | (state.open_deals[0] > 0) | state.customer[0]] = 0.0
    prospects = np.repeat(np.arange(len(contacts)), rng.poisson(prospecting * busy))

    open_deals = np.flatnonzero(IS_OPEN[deals.stage] & (deals.opened_day < day))
    care = np.where(deals.dead[open_deals], DEAD_DEAL_TOUCHES, world.owners.diligence[deals.owner[open_deals]])
    sales = np.repeat(open_deals, rng.poisson(SALES_TOUCHES_PER_DAY * busy * care))
    to_second = (deals.second[sales] != NONE) & (rng.random(len(sales)) < 0.3)
    spoken_to = np.where(to_second, deals.second[sales], deals.contact[sales])

    since_change = day - deals.changed_day
    fresh = np.flatnonzero(IS_WON[deals.stage] & (since_change > 0) & (since_change <= ONBOARDING_DAYS))
    onboarded = np.repeat(fresh, rng.poisson(ONBOARDING_PER_DAY * busy, len(fresh)))

    opened = np.flatnonzero(deals.opened_day == day)
    demos = opened[rng.random(len(opened)) < DEMO_BEFORE_DEAL_SHARE]
    created = np.flatnonzero((contacts.created_day == day) & (contacts.source == SOURCES.values.index("website")))

    by_context = {
        Context.BROWSING: (browses, np.full(len(browses), NONE)),
        Context.PROSPECTING: (prospects, np.full(len(prospects), NONE)),
        Context.SALES: (spoken_to, deals.serial[sales]),
        Context.ONBOARDING: (deals.contact[onboarded], deals.serial[onboarded]),
        Context.DEMO: (deals.contact[demos], deals.serial[demos]),
        Context.CREATION: (created, np.full(len(created), NONE)),
    }
    contact = np.concatenate([who for who, _ in by_context.values()])
    deal = np.concatenate([about for _, about in by_context.values()])
    owned = contact.copy()
    owned[deal != NONE] = deals.contact[deal[deal != NONE]]
    return Touches(
        contact=contact,
        day=np.full(len(contact), day),
        context=np.concatenate([np.full(len(who), int(context)) for context, (who, _) in by_context.items()]),
        strength=keen[contact],
        deal=deal,
        owner=world.contact_owners(day)[owned],
    )


def draw_activities(
    *, touches: Touches, created_second: Integers, opened_second: Integers, end_second: int, rng: np.random.Generator
) -> ActivityColumns:
    """Turn touches into activities: kind, time, outcome, and when the CRM learned of them.

    Calls and meetings that would be logged only after the end are not in the export and left out.
    """
    kind = _draw_kinds(touches, rng)
    second = _draw_seconds(touches, created_second, opened_second, rng)

    pages = np.where(kind == _code("page_view"), rng.geometric(MORE_PAGES, len(kind)), 1)
    row = np.repeat(np.arange(len(kind)), pages)
    page_number = np.arange(len(row)) - np.repeat(np.cumsum(pages) - pages, pages)
    kind, context, keen = kind[row], touches.context[row], touches.strength[row]
    start_of_day = touches.day[row] * DAY_SECONDS
    occurred = np.minimum(second[row] + page_number * rng.integers(15, 240, len(row)), start_of_day + DAY_SECONDS - 1)

    is_call, is_meeting = kind == _code("call"), kind == _code("meeting")
    succeeds = rng.random(len(row)) < np.where(is_call, 0.3, 0.62) + np.where(is_call, 0.5, 0.33) * keen
    outcome = np.select([is_call, is_meeting], [np.where(succeeds, 0, 1), np.where(succeeds, 2, 3)], NONE)
    duration = np.select(
        [is_call & succeeds, is_call],
        [np.round(rng.lognormal(5.6, 0.7, len(row))), np.round(rng.exponential(20, len(row)))],
        np.nan,
    )
    by_seller = is_call | is_meeting
    late = by_seller & (rng.random(len(row)) < LATE_SHARE)
    delay = np.where(late, DAY_SECONDS * (1 + rng.exponential(LATE_DAYS, len(row))), 0).astype(np.int64)
    linked = rng.random(len(row)) < LINKED_TO_DEAL_SHARE
    columns = ActivityColumns(
        contact=touches.contact[row],
        deal=np.where(linked & (by_seller | (kind == _code("email_reply"))), touches.deal[row], NONE),
        kind=kind,
        occurred=occurred,
        known=occurred + delay,
        direction=_draw_directions(by_seller, context, rng),
        outcome=outcome,
        name=_draw_names(kind, context, rng),
        by_seller=by_seller,
        owner=np.where(by_seller, touches.owner[row], NONE),
        duration=duration,
    )
    return _take(columns, np.flatnonzero(columns.known < end_second))


def _code(kind: str) -> int:
    return KINDS.index(kind)


def _draw_kinds(touches: Touches, rng: np.random.Generator) -> Integers:
    mixes = np.array([[[mix.get(kind, 0.0) for kind in KINDS] for mix in _MIXES[context]] for context in Context])
    cumulated = np.cumsum(mixes / mixes.sum(axis=2, keepdims=True), axis=2)
    chance = rng.random(len(touches.contact))
    kind = np.zeros(len(chance), dtype=np.int64)
    for position in range(len(KINDS) - 1):
        cold, keen = cumulated[touches.context, 0, position], cumulated[touches.context, 1, position]
        kind += chance >= cold + (keen - cold) * touches.strength
    return kind


def _draw_seconds(
    touches: Touches, created_second: Integers, opened_second: Integers, rng: np.random.Generator
) -> Integers:
    """Draw the second at which each touch happens; sellers keep office hours, a demo request precedes its deal."""
    count = len(touches.contact)
    any_time = rng.triangular(5.5, 14.0, 23.5, count) * 3600
    office_time = rng.uniform(8.0, 18.0, count) * 3600
    within_day = np.where(touches.context == Context.BROWSING, any_time, office_time).astype(np.int64)
    second = touches.day * DAY_SECONDS + within_day
    creation = touches.context == Context.CREATION
    second[creation] = created_second[touches.contact[creation]]
    demo = touches.context == Context.DEMO
    second[demo] = opened_second[touches.deal[demo]] - rng.integers(60, 3600, int(demo.sum()))
    return second


def _draw_directions(by_seller: Booleans, context: Integers, rng: np.random.Generator) -> Integers:
    inbound_share = np.where(context == Context.PROSPECTING, 0.08, 0.25)
    return np.where(by_seller & (rng.random(len(by_seller)) >= inbound_share), 1, 0)


def _draw_names(kind: Integers, context: Integers, rng: np.random.Generator) -> Integers:
    page = rng.choice(PAGES, len(kind), p=PAGE_SHARES)
    onboarding = (context == Context.ONBOARDING) & (kind == _code("meeting"))
    return np.select(
        [kind == _code("page_view"), kind == _code("pricing_view"), kind == _code("webinar"), onboarding],
        [page, np.full(len(kind), PAGES), np.full(len(kind), PAGES + 1), np.full(len(kind), PAGES + 2)],
        NONE,
    )


def _take(columns: ActivityColumns, rows: npt.NDArray[np.int64]) -> ActivityColumns:
    """Keep these rows, in the order of time."""
    rows = rows[np.argsort(columns.occurred[rows], kind="stable")]
    return ActivityColumns(**{name: values[rows] for name, values in vars(columns).items()})


def split_to_duplicates(
    *, world: World, activities: ActivityColumns, share: float, rng: np.random.Generator
) -> Booleans:
    """Say which activities lie on a contact's duplicate record that nobody has merged by the end."""
    duplicated = world.contacts.duplicated_day[activities.contact]
    unmerged = world.contacts.merged_day[activities.contact] >= world.settings.days
    after = (duplicated < NEVER) & (activities.occurred // DAY_SECONDS > duplicated)
    chance = rng.random(len(after)) < share
    return after & unmerged & ~activities.by_seller & chance
