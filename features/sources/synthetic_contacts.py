"""The people side of the simulated export: contacts with their duplicates, companies, activities and owners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.sources.synthetic_behaviour import (
    DIRECTIONS,
    KINDS,
    NAMES,
    OUTCOMES,
    ActivityColumns,
    split_to_duplicates,
)
from features.sources.synthetic_deals import DealMarks, DealTurns
from features.sources.synthetic_frames import HistoryRows, Words, iso_words, office_seconds, text, times, words
from features.sources.synthetic_market import (
    COUNTRIES,
    DAY_SECONDS,
    EMPLOYEE_BANDS,
    INDUSTRIES,
    JOB_LEVELS,
    NEVER,
    NONE,
    SOURCES,
    Booleans,
    Integers,
)
from features.sources.synthetic_state import deal_ids
from features.sources.synthetic_world import TEAMS, World

JOB_LEVEL_AT_CREATION: Final = 0.62
JOB_LEVEL_FOUND_DAYS: Final = 500.0
PROMOTED_SHARE: Final = 0.05
PROMOTED_AFTER_DAYS: Final = 300.0
DUPLICATE_ACTIVITY_SHARE: Final = 0.5
NO_EMAIL_SHARE: Final = 0.06
NO_INDUSTRY_SHARE: Final = 0.1
LEAD_STATUSES: Final = ("new", "attempted", "connected", "open_deal", "customer", "unqualified")
STATUS_OF_FIRST_TURN: Final = LEAD_STATUSES.index("open_deal")
LIFECYCLE_STAGES: Final = ("subscriber", "lead", "opportunity", "customer")


@dataclass(frozen=True)
class Records:
    """The contact records of the export: one for each contact, then the duplicates that nobody merged."""

    contact: Integers
    ids: Words
    is_duplicate: Booleans
    created_second: Integers
    merged_ids: Words
    duplicate_row: Integers
    """For each contact, the row of its unmerged duplicate, or ``NONE``."""


def contact_records(*, world: World, created_second: Integers, rng: np.random.Generator) -> Records:
    """Lay out the records: a merged duplicate is gone but for its id on the survivor, others stand on their own."""
    contacts, days = world.contacts, world.settings.days
    ids = world.contact_ids()
    doubled = np.flatnonzero(contacts.duplicated_day < days)
    doubled_ids = np.array([f"c{len(ids) + number:06d}" for number in range(1, len(doubled) + 1)], dtype=object)
    merged = contacts.merged_day[doubled] < days
    merged_ids = np.full(len(ids), np.nan, dtype=object)
    merged_ids[doubled[merged]] = doubled_ids[merged]
    kept = doubled[~merged]
    duplicate_row = np.full(len(ids), NONE)
    duplicate_row[kept] = len(ids) + np.arange(len(kept))
    return Records(
        contact=np.concatenate([np.arange(len(ids)), kept]),
        ids=np.concatenate([ids, doubled_ids[~merged]]),
        is_duplicate=np.repeat([False, True], [len(ids), len(kept)]),
        created_second=np.concatenate([created_second, office_seconds(contacts.duplicated_day[kept], rng)]),
        merged_ids=np.concatenate([merged_ids, np.full(len(kept), np.nan, dtype=object)]),
        duplicate_row=duplicate_row,
    )


def activity_records(
    *, world: World, activities: ActivityColumns, records: Records, rng: np.random.Generator
) -> Integers:
    """Return the row in ``records`` on which each activity lies."""
    moved = split_to_duplicates(world=world, activities=activities, share=DUPLICATE_ACTIVITY_SHARE, rng=rng)
    return np.where(moved, records.duplicate_row[activities.contact], activities.contact)


def activities_table(
    *, world: World, activities: ActivityColumns, records: Records, record: Integers, deals: int, owner_ids: Words
) -> pd.DataFrame:
    """Return the activities, oldest first."""
    start = world.settings.start
    return pd.DataFrame(
        {
            "activity_id": text([f"a{number:08d}" for number in range(1, len(record) + 1)]),
            "occurred_at": times(start, activities.occurred),
            "type": words(KINDS, activities.kind),
            "contact_id": words(records.ids, record),
            "deal_id": words(deal_ids(np.arange(deals)), activities.deal),
            "known_at": times(start, activities.known),
            "direction": words(DIRECTIONS, activities.direction),
            "outcome": words(OUTCOMES, activities.outcome),
            "name": words(NAMES, activities.name),
            "owner_id": words(owner_ids, activities.owner),
            "duration_seconds": pd.Series(activities.duration),
        }
    )


def companies_table(*, world: World, created_second: Integers) -> pd.DataFrame:
    """Return the companies, each created with its first contact."""
    companies = world.companies
    first_contact = np.minimum.reduceat(created_second[: companies.size.sum()], companies.first)
    return pd.DataFrame(
        {
            "company_id": text(world.company_ids()),
            "created_at": times(world.settings.start, first_contact),
            "industry": words(INDUSTRIES.values, companies.industry),
            "country": words(COUNTRIES.values, companies.country),
            "employee_band": words(EMPLOYEE_BANDS.values, companies.employee_band),
        }
    )


def owners_table(*, world: World, owner_ids: Words) -> pd.DataFrame:
    """Return the sellers and their teams."""
    count = len(world.owners.skill)
    return pd.DataFrame(
        {
            "owner_id": text(owner_ids),
            "name": text([f"Seller {number}" for number in range(1, count + 1)]),
            "team": words(TEAMS, np.arange(count) % len(TEAMS)),
        }
    )


def contacts_table(
    *,
    world: World,
    activities: ActivityColumns,
    records: Records,
    record: Integers,
    marks: DealMarks,
    turns: DealTurns,
    written: HistoryRows,
    owner_ids: Words,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return the contacts as exported today, and add the values their properties took to ``written``."""
    contacts, start, who = world.contacts, world.settings.start, records.contact
    job_level = _write_job_levels(world, records, marks, written, rng)
    status = _write_lead_statuses(activities, records, record, turns, written)
    last_activity = np.full(len(who), NONE)
    np.maximum.at(last_activity, record, activities.occurred)
    touched = last_activity != NONE
    industry = np.where(rng.random(len(who)) < NO_INDUSTRY_SHARE, NONE, contacts.industry[who])
    lifecycle = np.select([marks.first_won < NEVER, marks.open_deals > 0], [3, 2], 0)[who]
    lifecycle = np.where(records.is_duplicate | (lifecycle == 0), touched.astype(np.int64), lifecycle)
    table = pd.DataFrame(
        {
            "contact_id": text(records.ids),
            "created_at": times(start, records.created_second),
            "company_id": words(world.company_ids(), contacts.company[who]),
            "owner_id": words(owner_ids, world.contact_owners(world.settings.days)[who]),
            "email": text(_emails(world, records, rng)),
            "source": words(SOURCES.values, contacts.source[who]),
            "merged_ids": text(records.merged_ids),
            "country": words(COUNTRIES.values, contacts.country[who]),
            "industry": words(INDUSTRIES.values, industry),
            "job_level": words(JOB_LEVELS.values, job_level),
            "lifecyclestage": words(LIFECYCLE_STAGES, lifecycle),
            "num_associated_deals": pd.Series(np.where(records.is_duplicate, 0, marks.deals[who]), dtype="float64"),
            "last_activity_at": text(iso_words(start, last_activity)),
            "hs_lead_status": words(LEAD_STATUSES, status),
        }
    )
    return table.sort_values("contact_id", ignore_index=True)


def _emails(world: World, records: Records, rng: np.random.Generator) -> Words:
    """Return addresses at the company's domain or at a free mail service, on names reserved for examples."""
    contacts, who = world.contacts, records.contact
    alone = contacts.company[who] == NONE
    free = rng.random(len(who)) < np.where(alone, 0.75, 0.3 / (1 + np.exp(1.2 * contacts.quality[who])))
    company = np.where(alone, "home", world.company_ids()[contacts.company[who]])
    domain = np.where(free | records.is_duplicate, "freemail.example", company + ".example")
    emails = records.ids + "@" + domain
    emails[rng.random(len(who)) < NO_EMAIL_SHARE] = np.nan
    return np.asarray(emails, dtype=object)


def _write_job_levels(
    world: World, records: Records, marks: DealMarks, written: HistoryRows, rng: np.random.Generator
) -> Integers:
    """Write when each job level became known; many are only looked up once a deal is opened."""
    end, who = world.settings.days * DAY_SECONDS, records.contact
    level = world.contacts.job_level[who]
    at_creation = rng.random(len(who)) < JOB_LEVEL_AT_CREATION
    looked_up = records.created_second + (rng.exponential(JOB_LEVEL_FOUND_DAYS, len(who)) * DAY_SECONDS).astype(
        np.int64
    )
    looked_up = np.where(records.is_duplicate, looked_up, np.minimum(looked_up, marks.first_opened[who] + 1800))
    known = np.where(at_creation, records.created_second, looked_up)
    promotion = known + (DAY_SECONDS * (1 + rng.exponential(PROMOTED_AFTER_DAYS, len(who)))).astype(np.int64)
    promoted = (rng.random(len(who)) < PROMOTED_SHARE) & (level > 1) & (promotion < end)
    first_level = np.where(promoted, level - 1, level)
    for rows, levels, seconds in ((known < end, first_level, known), (promoted & (known < end), level, promotion)):
        values = words(JOB_LEVELS.values, levels[rows])
        written.add(
            object_type="contact", ids=records.ids[rows], name="job_level", values=values, seconds=seconds[rows]
        )
    return np.where(known < end, level, NONE)


def _write_lead_statuses(
    activities: ActivityColumns, records: Records, record: Integers, turns: DealTurns, written: HistoryRows
) -> Integers:
    """Write the lead status as it is kept while things happen; return where it stands.

    Sellers set it by hand up to the first deal, and the deals' turns set it from then on.
    """
    reached = activities.by_seller & np.isin(activities.outcome, [OUTCOMES.index("connected"), OUTCOMES.index("held")])
    count = len(records.contact)
    first_turn = np.full(count, NEVER)
    np.minimum.at(first_turn, turns.contact, turns.second)
    attempted = _first_known(activities, record, activities.by_seller, count)
    connected = _first_known(activities, record, reached, count)
    called = np.flatnonzero(attempted < np.minimum(connected, first_turn))
    spoken = np.flatnonzero(connected < first_turn)
    row = np.concatenate([np.arange(count), called, spoken, turns.contact])
    second = np.concatenate([records.created_second, attempted[called], connected[spoken], turns.second])
    code = np.concatenate([np.repeat([0, 1, 2], [count, len(called), len(spoken)]), STATUS_OF_FIRST_TURN + turns.turn])
    order = np.lexsort((code, second, row))
    row, second, code = row[order], second[order], code[order]
    changed = np.append(True, (row[1:] != row[:-1]) | (code[1:] != code[:-1]))
    row, second, code = row[changed], second[changed], code[changed]
    values = words(LEAD_STATUSES, code)
    written.add(object_type="contact", ids=records.ids[row], name="hs_lead_status", values=values, seconds=second)
    current: Integers = code[np.append(row[1:] != row[:-1], True)]
    return current


def _first_known(activities: ActivityColumns, record: Integers, chosen: Booleans, records: int) -> Integers:
    first = np.full(records, NEVER)
    np.minimum.at(first, record[chosen], activities.known[chosen])
    return first
