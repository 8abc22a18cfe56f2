"""A seeded, simulated CRM with known true probabilities, as a source of CRM tables.

Simulated: companies and contacts with visible properties and hidden quality; interest that rises and decays;
activities; deals in a quick and a slow pipeline whose stages are skipped and re-entered; wins, losses, neglect,
re-openings, wins by mistake; seasons, a falling win rate and a shifting source mix; late logging, duplicates, slipping
close dates, and columns that an export fills only after the outcome.
Not simulated: bots, test records, bulk clean-ups, time zones, edits of activities, and anything that a score changes.
It shows whether the pipeline works and ranks designs; it is no evidence of accuracy on a real CRM.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from features.findings import Finding
from features.sources.synthetic_behaviour import draw_activities
from features.sources.synthetic_contacts import (
    activities_table,
    activity_records,
    companies_table,
    contact_records,
    contacts_table,
    owners_table,
)
from features.sources.synthetic_deals import (
    deal_contacts_table,
    deals_table,
    marks_on_contacts,
    stage_history_table,
    stage_rows,
    stages_table,
    turns_of_deals,
)
from features.sources.synthetic_frames import HistoryRows, Words, office_seconds
from features.sources.synthetic_history import History, run_history, stream
from features.sources.synthetic_market import DAY_SECONDS
from features.sources.synthetic_truth import (
    SyntheticAsOfError,
    TruthFrames,
    WinDays,
    simulate_truth,
    simulate_win_days,
)
from features.sources.synthetic_world import SyntheticSettings, World
from features.tables import CrmTables

__all__ = [
    "SyntheticAsOfError",
    "SyntheticCrm",
    "SyntheticSettings",
    "SyntheticSource",
    "SyntheticTruth",
    "TruthFrames",
    "WinDays",
    "simulate",
    "simulate_truth",
    "simulate_win_days",
]


@dataclass(frozen=True)
class SyntheticTruth:
    """What no table tells: the hidden quality of contacts and companies, and true probabilities at any as-of."""

    settings: SyntheticSettings
    contact_quality: pd.DataFrame
    company_quality: pd.DataFrame

    def contact_probability(self, as_of: datetime, *, draws: int = 200) -> pd.DataFrame:
        """Return contact_id and ``customer_within_horizon`` for the contacts that are no customers at the as-of."""
        return simulate_truth(self.settings, as_of, draws=draws).contacts

    def deal_probability(self, as_of: datetime, *, draws: int = 200) -> pd.DataFrame:
        """Return deal_id, ``won`` and ``won_within_horizon`` for the deals open at the as-of."""
        return simulate_truth(self.settings, as_of, draws=draws).deals


@dataclass(frozen=True)
class SyntheticCrm:
    """A simulated CRM: the export, and the truth beside it."""

    tables: CrmTables
    truth: SyntheticTruth


@dataclass(frozen=True)
class SyntheticSource:
    """Delivers the simulated export as any other source would."""

    settings: SyntheticSettings

    def read(self) -> tuple[CrmTables, list[Finding]]:
        """Return all nine tables; nothing is found wrong with them."""
        return simulate(self.settings).tables, []


def simulate(settings: SyntheticSettings) -> SyntheticCrm:
    """Simulate a CRM from its start to its end and export it."""
    history = run_history(settings)
    tables = _export(history, stream(settings, "records"))
    return SyntheticCrm(tables, _truth(history.world))


def _export(history: History, rng: np.random.Generator) -> CrmTables:
    world = history.world
    owner_ids = _owner_ids(world)
    created_second = office_seconds(world.contacts.created_day, rng)
    rows = stage_rows(history=history, rng=rng)
    activities = draw_activities(
        touches=history.touches,
        created_second=created_second,
        opened_second=rows.first_seconds(),
        end_second=world.settings.days * DAY_SECONDS,
        rng=rng,
    )
    records = contact_records(world=world, created_second=created_second, rng=rng)
    record = activity_records(world=world, activities=activities, records=records, rng=rng)
    written = HistoryRows(world.settings.start)
    contacts = contacts_table(
        world=world,
        activities=activities,
        records=records,
        record=record,
        marks=marks_on_contacts(history=history, rows=rows),
        turns=turns_of_deals(history=history, rows=rows),
        written=written,
        owner_ids=owner_ids,
        rng=rng,
    )
    deals = deals_table(history=history, rows=rows, written=written, owner_ids=owner_ids, rng=rng)
    return CrmTables(
        {
            "contacts": contacts,
            "companies": companies_table(world=world, created_second=created_second),
            "activities": activities_table(
                world=world,
                activities=activities,
                records=records,
                record=record,
                deals=len(deals),
                owner_ids=owner_ids,
            ),
            "deals": deals,
            "deal_contacts": deal_contacts_table(history),
            "deal_stage_history": stage_history_table(history=history, rows=rows),
            "stages": stages_table(),
            "property_history": written.table(),
            "owners": owners_table(world=world, owner_ids=owner_ids),
        }
    )


def _owner_ids(world: World) -> Words:
    return np.array([f"o{number:03d}" for number in range(1, len(world.owners.skill) + 1)], dtype=object)


def _truth(world: World) -> SyntheticTruth:
    contacts = pd.DataFrame({"contact_id": world.contact_ids(), "quality": world.contacts.quality})
    companies = pd.DataFrame({"company_id": world.company_ids(), "quality": world.companies.quality})
    return SyntheticTruth(
        world.settings, contacts.astype({"contact_id": "str"}), companies.astype({"company_id": "str"})
    )
