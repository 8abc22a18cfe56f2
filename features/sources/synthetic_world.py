"""What stays fixed in the simulated CRM: its settings, calendar, pipelines, owners, companies and contacts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from features.sources.synthetic_market import (
    COUNTRIES,
    EMPLOYEE_BANDS,
    INDUSTRIES,
    JOB_LEVELS,
    LATE_SOURCE_SHARES,
    NEVER,
    NONE,
    SOURCES,
    Booleans,
    Choices,
    Floats,
    Integers,
)


class SyntheticSettings(BaseModel):
    """Which world is simulated; equal settings give equal tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=7, ge=0, description="Another seed gives another world with about the same rates.")
    contacts: int = Field(default=4000, ge=50, description="More contacts give more of everything, in proportion.")
    months: int = Field(default=24, ge=3, le=240, description="More months give a longer history before the end.")
    end: AwareDatetime = Field(
        default=datetime(2026, 1, 1, tzinfo=UTC), description="A later end moves the whole history; no fact reaches it."
    )
    careless_owners: float = Field(
        default=0.25, ge=0, le=1, description="Share of the owners who leave many lost deals open."
    )

    @field_validator("end")
    @classmethod
    def _in_utc(cls, end: datetime) -> datetime:
        return end.astimezone(UTC)

    @property
    def start(self) -> datetime:
        """The instant at which the history begins: ``months`` calendar months before the end."""
        start: datetime = (pd.Timestamp(self.end) - pd.DateOffset(months=self.months)).to_pydatetime()
        return start

    @property
    def days(self) -> int:
        """The length of the history in days, which are the steps of the simulation."""
        return (self.end - self.start).days


FIRST_INTEREST: Final = np.array([1.0, 0.7, 1.1, 0.1, 0.7])
"""The mean interest of a new contact, by source."""

MONTH_FACTORS: Final = (0.95, 1.0, 1.05, 1.05, 1.05, 1.0, 0.85, 0.55, 1.1, 1.1, 1.05, 0.6)
WEEKDAY_FACTORS: Final = (1.25, 1.3, 1.3, 1.25, 1.2, 0.35, 0.35)
WIN_DRIFT: Final = 0.30
"""How much the log of the win rate falls over the last third of the history."""

COMPANIES_PER_CONTACT: Final = 0.5
WITHOUT_COMPANY: Final = 0.15
IMPORTED_SHARE: Final = 0.25
IMPORT_DAYS: Final = 30
DUPLICATE_SHARE: Final = 0.03
CONTACTS_PER_OWNER: Final = 330
MOST_ACTIVE: Final = 7.0
TEAMS: Final = ("north", "south", "growth")
CARELESS, CAREFUL = 0.4, 0.03
"""The share of their lost deals that owners leave open."""


@dataclass(frozen=True)
class Owners:
    """The sellers; whoever leaves hands everything to the successor."""

    skill: Floats
    diligence: Floats
    neglect: Floats
    leaves_day: Integers
    successor: Integers

    @property
    def careless(self) -> Booleans:
        """Say who leaves many lost deals open."""
        return np.equal(self.neglect, CARELESS)


@dataclass(frozen=True)
class Companies:
    """The companies; contacts of company ``i`` are ``first[i] : first[i] + size[i]``."""

    industry: Integers
    country: Integers
    employee_band: Integers
    quality: Floats
    first: Integers
    size: Integers


@dataclass(frozen=True)
class Contacts:
    """The people, in the order of their companies; those without a company come last."""

    company: Integers
    country: Integers
    industry: Integers
    job_level: Integers
    source: Integers
    owner: Integers
    colleague: Integers
    created_day: Integers
    quality: Floats
    activity: Floats
    first_interest: Floats
    duplicated_day: Integers
    merged_day: Integers

    def __len__(self) -> int:
        return len(self.company)


@dataclass(frozen=True)
class World:
    """Everything about the simulated market that no simulated event changes."""

    settings: SyntheticSettings
    owners: Owners
    companies: Companies
    contacts: Contacts

    def calendar_factor(self, day: int) -> float:
        """Return how busy this day is: quiet in August, in December and at weekends."""
        date = self.settings.start + timedelta(days=day)
        return MONTH_FACTORS[date.month - 1] * WEEKDAY_FACTORS[date.weekday()]

    def win_factor(self, day: int) -> float:
        """Return the drift of the win rate: 1 at first, falling in the last third, level after the end."""
        into_last_third = 3 * day / self.settings.days - 2
        return float(np.exp(-WIN_DRIFT * min(max(into_last_third, 0.0), 1.0)))

    def contact_owners(self, day: int) -> Integers:
        """Return who owns each contact on this day."""
        owner = self.contacts.owner
        return np.where(self.owners.leaves_day[owner] <= day, self.owners.successor[owner], owner)

    def contact_ids(self) -> npt.NDArray[np.object_]:
        """Return the id of each contact, numbered in the order of creation."""
        rank = np.empty(len(self.contacts), dtype=np.int64)
        rank[np.argsort(self.contacts.created_day, kind="stable")] = np.arange(len(self.contacts))
        return np.array([f"c{number:06d}" for number in rank + 1], dtype=object)

    def company_ids(self) -> npt.NDArray[np.object_]:
        """Return the id of each company."""
        return np.array([f"f{number:05d}" for number in range(1, len(self.companies.size) + 1)], dtype=object)


def build_world(*, settings: SyntheticSettings, rng: np.random.Generator) -> World:
    """Draw the owners, companies and contacts of a world."""
    owners = _draw_owners(settings, rng)
    members = _draw_memberships(settings.contacts, rng)
    companies = _draw_companies(members, rng)
    contacts = _draw_contacts(settings, members, companies, len(owners.skill), rng)
    return World(settings, owners, companies, contacts)


def _draw_owners(settings: SyntheticSettings, rng: np.random.Generator) -> Owners:
    count = int(np.clip(settings.contacts // CONTACTS_PER_OWNER, 4, 200))
    leavers = count // 6
    leaves_day = np.full(count, NEVER)
    leaves_day[:leavers] = rng.integers(settings.days // 4, settings.days, leavers)
    skill = rng.normal(0, 0.3, count)
    return Owners(
        skill=skill,
        diligence=np.exp(0.5 * skill + rng.normal(0, 0.25, count)),
        neglect=np.where(np.diff(np.floor(np.arange(count + 1) * settings.careless_owners)) > 0, CARELESS, CAREFUL),
        leaves_day=leaves_day,
        successor=np.where(leaves_day < NEVER, rng.integers(leavers, count, count), np.arange(count)),
    )


def _draw_memberships(count: int, rng: np.random.Generator) -> Integers:
    """Return the company of each contact, in order, ``NONE`` last; no company is empty."""
    with_company = count - int(count * WITHOUT_COMPANY)
    weights = rng.lognormal(0, 0.9, max(int(count * COMPANIES_PER_CONTACT), 1))
    drawn = np.sort(rng.choice(len(weights), with_company, p=weights / weights.sum()))
    _, company = np.unique(drawn, return_inverse=True)
    return np.concatenate([company, np.full(count - with_company, NONE)]).astype(np.int64)


def _draw_companies(members: Integers, rng: np.random.Generator) -> Companies:
    size = np.bincount(members[members != NONE])
    industry, country, band = (choices.draw(rng, len(size)) for choices in (INDUSTRIES, COUNTRIES, EMPLOYEE_BANDS))
    fit = _effects(INDUSTRIES, industry) + _effects(COUNTRIES, country) + _effects(EMPLOYEE_BANDS, band)
    return Companies(
        industry=industry,
        country=country,
        employee_band=band,
        quality=fit + rng.normal(0, 0.35, len(size)),
        first=np.concatenate([[0], np.cumsum(size)[:-1]]),
        size=size,
    )


def _draw_contacts(
    settings: SyntheticSettings, members: Integers, companies: Companies, owners: int, rng: np.random.Generator
) -> Contacts:
    count = len(members)
    created_day = _draw_created_days(settings, rng)
    alone = members == NONE
    late = created_day >= settings.days * 2 // 3
    late_sources = Choices(SOURCES.values, LATE_SOURCE_SHARES, SOURCES.effects)
    source = np.where(late, late_sources.draw(rng, count), SOURCES.draw(rng, count))
    source[created_day < IMPORT_DAYS] = SOURCES.draw(rng, int((created_day < IMPORT_DAYS).sum()))
    job_level = JOB_LEVELS.draw(rng, count)
    fit = _effects(JOB_LEVELS, job_level) + _effects(SOURCES, source)
    company_quality = np.where(alone, -0.5, companies.quality[members])
    duplicated_day = np.where(
        rng.random(count) < DUPLICATE_SHARE, created_day + 10 + rng.exponential(90, count), NEVER
    ).astype(np.int64)
    return Contacts(
        company=members,
        country=np.where(alone, COUNTRIES.draw(rng, count), companies.country[members]),
        industry=np.where(alone, INDUSTRIES.draw(rng, count), companies.industry[members]),
        job_level=job_level,
        source=source,
        owner=rng.integers(0, owners, count),
        colleague=_next_colleague(members, companies),
        created_day=created_day,
        quality=0.8 * company_quality + fit + rng.normal(0, 0.45, count),
        activity=np.minimum(rng.lognormal(-0.5, 1.0, count), MOST_ACTIVE),
        first_interest=FIRST_INTEREST[source]
        * rng.exponential(1.0, count)
        * np.where(created_day < IMPORT_DAYS, 0.3, 1),
        duplicated_day=duplicated_day,
        merged_day=np.where(
            duplicated_day < NEVER, duplicated_day + 20 + rng.exponential(150, count).astype(np.int64), NEVER
        ),
    )


def _draw_created_days(settings: SyntheticSettings, rng: np.random.Generator) -> Integers:
    """Draw when contacts enter the CRM: a list is imported in the first month, the others come one by one."""
    imported = rng.random(settings.contacts) < IMPORTED_SHARE
    import_days = rng.integers(0, min(IMPORT_DAYS, settings.days), settings.contacts)
    return np.where(imported, import_days, rng.integers(0, settings.days, settings.contacts))


def _next_colleague(members: Integers, companies: Companies) -> Integers:
    """Return the next contact of the same company, round in a circle, or ``NONE``."""
    following = np.arange(1, len(members) + 1)
    last = companies.first + companies.size - 1
    following[last] = companies.first
    return np.where((members == NONE) | (following == np.arange(len(members))), NONE, following)


def _effects(choices: Choices, drawn: Integers) -> Floats:
    return np.array(choices.effects, dtype=np.float64)[drawn]
