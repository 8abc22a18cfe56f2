"""The deal side of the simulated export: deals, their contacts, stage history, and what was written about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.sources.synthetic_frames import HistoryRows, Words, iso_words, office_seconds, text, times, words
from features.sources.synthetic_history import History
from features.sources.synthetic_market import DAY_SECONDS, NEVER, NONE, STAGES, Booleans, Floats, Integers
from features.sources.synthetic_state import IS_MACHINES, IS_OPEN, IS_WON, WON_STAGES, deal_ids

MISTAKEN_WINS_PER_DAY: Final = 0.0002
AMOUNT_AT_OPENING: Final = 0.72
AMOUNT_NEVER: Final = 0.11
AMOUNT_CHANGES_PER_DAY: Final = 1 / 70
AMOUNT_ROUNDS: Final = 3
NO_CLOSE_DATE: Final = 0.07
FIRST_FORECAST_DAYS: Final = (30, 110)
NEXT_FORECAST_DAYS: Final = (25, 60)
SLIPS: Final = 25
"""No close date is moved more often than this."""

LOST_REASONS: Final = ("price", "competitor", "no budget", "no answer", "bad timing")
WON_REASONS: Final = ("product fit", "price", "relationship")
CURRENCIES: Final = ("EUR", "EUR", "CHF", "EUR", "EUR", "USD")


@dataclass(frozen=True)
class StageRows:
    """Stages entered, by deal, in the order of deals and then of time."""

    deal: Integers
    stage: Integers
    second: Integers

    def first_seconds(self) -> Integers:
        """Return when each deal was opened."""
        return self.second[np.unique(self.deal, return_index=True)[1]]

    def last_seconds(self) -> Integers:
        """Return when each deal entered the stage it is in."""
        is_last = np.append(self.deal[1:] != self.deal[:-1], True)[: len(self.deal)]
        last: Integers = self.second[is_last]
        return last


def stage_rows(*, history: History, rng: np.random.Generator) -> StageRows:
    """Give each stage entered its second, and add wins recorded by mistake and undone within hours."""
    events = history.events
    second = office_seconds(events.day, rng)
    order = np.lexsort((second, events.deal))
    deal, stage, day, second = (column[order] for column in (events.deal, events.stage, events.day, second))

    followed = np.append(deal[1:] == deal[:-1], False) if len(deal) else np.zeros(0, dtype=np.bool_)
    next_day = np.where(followed, np.append(day[1:], 0)[: len(day)], history.world.settings.days)
    mistake_day = day + 1 + rng.exponential(1 / MISTAKEN_WINS_PER_DAY, len(day)).astype(np.int64)
    mistaken = np.flatnonzero(IS_OPEN[stage] & (mistake_day < next_day))
    won_second = office_seconds(mistake_day[mistaken], rng)
    undone_second = won_second + rng.integers(300, 5 * 3600, len(mistaken))
    won_stage = WON_STAGES[IS_MACHINES[stage[mistaken]].astype(np.int64)]

    deal = np.concatenate([deal, deal[mistaken], deal[mistaken]])
    stage = np.concatenate([stage, won_stage, stage[mistaken]])
    second = np.concatenate([second, won_second, undone_second])
    order = np.lexsort((second, deal))
    return StageRows(deal[order], stage[order], second[order])


def stages_table() -> pd.DataFrame:
    """Return the pipelines' stages with the probability that somebody once typed in."""
    position = pd.Series(STAGES).groupby([spec.pipeline for spec in STAGES]).cumcount() + 1
    return pd.DataFrame(
        {
            "pipeline": text([spec.pipeline for spec in STAGES]),
            "stage": text([spec.stage for spec in STAGES]),
            "label": text([spec.label for spec in STAGES]),
            "position": position.astype("float64"),
            "outcome": text([spec.outcome for spec in STAGES]),
            "probability": pd.Series([spec.probability for spec in STAGES], dtype="float64"),
        }
    )


def stage_history_table(*, history: History, rows: StageRows) -> pd.DataFrame:
    """Return when each deal entered each stage."""
    entered = times(history.world.settings.start, rows.second)
    stages = [spec.stage for spec in STAGES]
    ids = np.array(deal_ids(np.arange(len(history.state.deals))), dtype=object)
    return pd.DataFrame(
        {
            "deal_id": words(ids, rows.deal),
            "stage": words(stages, rows.stage),
            "entered_at": entered,
            "known_at": entered,
        }
    )


def deal_contacts_table(history: History) -> pd.DataFrame:
    """Return who is on each deal."""
    deal, contact = _memberships(history)
    first = len(history.state.deals)
    role = np.repeat([0, 1], [first, len(deal) - first])
    table = pd.DataFrame(
        {
            "deal_id": text(deal_ids(deal)),
            "contact_id": words(history.world.contact_ids(), contact),
            "role": words(("primary", "influencer"), role),
        }
    )
    return table.sort_values(["deal_id", "contact_id"], ignore_index=True)


def deals_table(
    *, history: History, rows: StageRows, written: HistoryRows, owner_ids: Words, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the deals as exported today, and add the values their properties took to ``written``."""
    world, deals, start = history.world, history.state.deals, history.world.settings.start
    ids = np.array(deal_ids(deals.serial), dtype=object)
    opened, last = rows.first_seconds(), rows.last_seconds()
    closed = ~IS_OPEN[deals.stage]
    until = np.where(closed, last, world.settings.days * DAY_SECONDS)
    company = world.contacts.company[deals.contact]
    amount = _write_amounts(history, opened, until, written, ids, rng)
    expected = _write_close_dates(history, opened, until, written, ids, rng)
    _write_owners(history, opened, written, ids, owner_ids)
    reason = np.where(
        IS_WON[deals.stage],
        len(LOST_REASONS) + rng.integers(0, len(WON_REASONS), len(deals)),
        rng.integers(0, len(LOST_REASONS), len(deals)),
    )
    return pd.DataFrame(
        {
            "deal_id": text(ids),
            "created_at": times(start, opened),
            "pipeline": words([spec.pipeline for spec in STAGES], deals.stage),
            "amount": pd.Series(amount),
            "currency": words(CURRENCIES, world.contacts.country[deals.contact]),
            "expected_close_at": times(start, expected),
            "owner_id": words(owner_ids, deals.owner),
            "company_id": words(world.company_ids(), company),
            "name": text([f"Offer {number}" for number in deals.serial + 1]),
            "closed_reason": words(LOST_REASONS + WON_REASONS, np.where(closed, reason, NONE)),
            "days_to_close": pd.Series(np.where(closed, np.round((last - opened) / DAY_SECONDS, 1), np.nan)),
        }
    )


def _write_amounts(
    history: History, opened: Integers, until: Integers, written: HistoryRows, ids: Words, rng: np.random.Generator
) -> Floats:
    """Write when each amount was entered and changed; return the amounts as they stand."""
    deals = history.state.deals
    count = len(deals)
    known = opened + np.where(
        rng.random(count) < AMOUNT_AT_OPENING, 0, (rng.exponential(15, count) * DAY_SECONDS).astype(np.int64) + 60
    )
    value = np.exp(9.4 + deals.log_amount + np.where(IS_MACHINES[deals.stage], 1.3, 0.0))
    amount = np.full(count, np.nan)
    alive = (rng.random(count) >= AMOUNT_NEVER) & (known < until)
    for _ in range(AMOUNT_ROUNDS):
        amount[alive] = np.maximum(np.round(value[alive], -1), 100.0)
        values = [f"{number:.0f}" for number in amount[alive]]
        written.add(object_type="deal", ids=ids[alive], name="amount", values=values, seconds=known[alive])
        known = known + (DAY_SECONDS * (0.1 + rng.exponential(1 / AMOUNT_CHANGES_PER_DAY, count))).astype(np.int64)
        value = value * rng.lognormal(-0.03, 0.2, count)
        alive = alive & (known < until)
    return amount


def _write_close_dates(
    history: History, opened: Integers, until: Integers, written: HistoryRows, ids: Words, rng: np.random.Generator
) -> Integers:
    """Write each forecast of the closing date and its slips; a win overwrites it with the day of the win."""
    deals, start = history.state.deals, history.world.settings.start
    count = len(deals)
    slow = IS_MACHINES[deals.stage].astype(np.int64)
    careful = np.where(history.world.owners.careless[deals.owner], 0.45, 0.93)
    horizon = np.array(FIRST_FORECAST_DAYS)[slow] * rng.lognormal(0, 0.35, count)
    expected = np.full(count, NONE)
    known = opened
    alive = rng.random(count) >= NO_CLOSE_DATE
    dated = alive
    for _ in range(SLIPS):
        expected = np.where(alive, (known // DAY_SECONDS + horizon.astype(np.int64) + 1) * DAY_SECONDS, expected)
        values = iso_words(start, expected[alive])
        written.add(object_type="deal", ids=ids[alive], name="expected_close_at", values=values, seconds=known[alive])
        noticed = expected + rng.integers(-6 * DAY_SECONDS, 9 * DAY_SECONDS, count)
        known = np.maximum(noticed, known + 3600)
        horizon = np.array(NEXT_FORECAST_DAYS)[slow] * rng.lognormal(0, 0.4, count)
        alive = alive & (known < until) & (rng.random(count) < careful)
    won: Booleans = dated & IS_WON[deals.stage]
    expected = np.where(won, until // DAY_SECONDS * DAY_SECONDS, expected)
    values = iso_words(start, expected[won])
    written.add(object_type="deal", ids=ids[won], name="expected_close_at", values=values, seconds=until[won])
    return expected


def _write_owners(history: History, opened: Integers, written: HistoryRows, ids: Words, owner_ids: Words) -> None:
    """Write the first owner of each deal and the hand-overs, which happen before office hours."""
    events, deals = history.events, history.state.deals
    first_owner = deals.owner.copy()
    first_owner[events.handed_deal] = events.handed_from
    written.add(object_type="deal", ids=ids, name="owner_id", values=owner_ids[first_owner], seconds=opened)
    written.add(
        object_type="deal",
        ids=ids[events.handed_deal],
        name="owner_id",
        values=owner_ids[deals.owner[events.handed_deal]],
        seconds=events.handed_day * DAY_SECONDS + 6 * 3600,
    )


@dataclass(frozen=True)
class DealMarks:
    """What the deals left on each contact: counts, and the second of the first opening and the first win."""

    deals: Integers
    open_deals: Integers
    first_opened: Integers
    first_won: Integers


def marks_on_contacts(*, history: History, rows: StageRows) -> DealMarks:
    """Sum up the deals by contact; seconds are ``NEVER`` where nothing happened."""
    count = len(history.world.contacts)
    deal, contact = _memberships(history)
    opened, last, stage = rows.first_seconds()[deal], rows.last_seconds()[deal], history.state.deals.stage[deal]
    first_opened, first_won = np.full(count, NEVER), np.full(count, NEVER)
    np.minimum.at(first_opened, contact, opened)
    np.minimum.at(first_won, contact[IS_WON[stage]], last[IS_WON[stage]])
    return DealMarks(
        deals=np.bincount(contact, minlength=count),
        open_deals=np.bincount(contact[IS_OPEN[stage]], minlength=count),
        first_opened=first_opened,
        first_won=first_won,
    )


@dataclass(frozen=True)
class DealTurns:
    """For each contact on a deal, when the deal came to be ``open``, ``won`` or ``lost`` (codes of ``TURNS``)."""

    contact: Integers
    second: Integers
    turn: Integers


TURNS: Final = ("open", "won", "lost")


def turns_of_deals(*, history: History, rows: StageRows) -> DealTurns:
    """Return each opening, re-opening, win and loss, also wins by mistake, once for everyone on the deal."""
    turn = np.array([TURNS.index(spec.outcome) for spec in STAGES])[rows.stage]
    same_deal = np.append(False, rows.deal[1:] == rows.deal[:-1])[: len(turn)]
    turned = np.flatnonzero(~same_deal | (turn != np.append(0, turn[:-1])[: len(turn)]))
    second = history.state.deals.second[rows.deal[turned]]
    paired = turned[second != NONE]
    return DealTurns(
        contact=np.concatenate([history.state.deals.contact[rows.deal[turned]], second[second != NONE]]),
        second=np.concatenate([rows.second[turned], rows.second[paired]]),
        turn=np.concatenate([turn[turned], turn[paired]]),
    )


def _memberships(history: History) -> tuple[Integers, Integers]:
    """Return the serial of the deal and the contact of everyone on a deal, first contacts first."""
    deals = history.state.deals
    paired = np.flatnonzero(deals.second != NONE)
    return np.concatenate([deals.serial, paired]), np.concatenate([deals.contact, deals.second[paired]])
