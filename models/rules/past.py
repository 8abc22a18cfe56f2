"""The past that a rule sheet is tried on: contacts in play, when, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.contact_features import closings_of_contacts, open_deals
from features.episodes import LOST, Timelines, build_timelines
from features.errors import LeadScoringError
from features.labels import closing_within
from features.snapshots import idle_days, is_customer
from features.tables import CrmTables
from features.visibility import Int64Array, as_known_at, instant, microseconds
from models.boosting import FloatArray
from models.contact_fit import ContactInputs, label_contacts, wins_of
from models.contact_start import contact_inputs
from models.property_tests import BoolArray
from models.training import TrainingSettings, first_fact, in_id_order, sample_rows

DAYS_PER_WEEK: Final = 7.0
_WEEK: Final = pd.Timedelta(days=DAYS_PER_WEEK)


class NoPastError(LeadScoringError):
    """There is no past that a rule sheet could be tried on."""


@dataclass(frozen=True)
class Past:
    """One row per contact and calendar month in play whose horizon is over: who, when, and what came of it.

    ``tables`` are as known at ``as_of``. ``won`` and ``lost`` say what happened within the horizon; neither means that
    nothing was decided.
    """

    tables: CrmTables
    as_of: pd.Timestamp
    since: pd.Timestamp
    until: pd.Timestamp
    inputs: ContactInputs
    snapshots: pd.DataFrame
    won: FloatArray
    lost: BoolArray
    open_deal: BoolArray
    timelines: Timelines

    @property
    def contacts(self) -> Int64Array:
        """Return the contact of each row, the unit that intervals are drawn over."""
        return self.snapshots["contact"].to_numpy(dtype=np.int64)

    @property
    def weeks(self) -> float:
        """Return how many weeks the rows were drawn over."""
        return (self.until - self.since) / _WEEK

    def share_called(self, per_week: float) -> float:
        """Return the share of the rows that a team can work which calls ``per_week`` contacts."""
        return min(1.0, per_week * self.weeks / len(self.snapshots))

    def calls_a_week(self, share: float) -> float:
        """Return how many contacts a week the best ``share`` of the rows are."""
        return share * len(self.snapshots) / self.weeks


def labelled_past(
    *, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings, since: pd.Timestamp | None = None
) -> Past:
    """Draw the ripe past before ``as_of``, from ``since`` on if given.

    Raises ``NoPastError`` if no contact was seen for a whole horizon, or none of them won.
    """
    as_of = as_of.as_unit("us")
    known = in_id_order(as_known_at(tables, as_of=as_of))
    inputs = contact_inputs(settings)
    until = (as_of - pd.Timedelta(days=settings.horizon_days)).as_unit("us")
    if not len(known["contacts"]):
        raise NoPastError(f"no contact was created before {as_of.isoformat()}; choose a later --as-of")
    first = first_fact(known, question="contacts")
    since = first if since is None else max(since.as_unit("us"), first)
    if since >= until:
        raise NoPastError(
            f"the past from {since.date()} to {as_of.date()} is shorter than the horizon of {settings.horizon_days:g} "
            "days; shorten horizon_days or bring a longer history"
        )
    rows = label_contacts(tables=known, start=since, end=until, known_until=as_of, inputs=inputs).ripe()
    if not rows.y_obs.any():
        raise NoPastError(
            f"none of the {rows.snapshots['contact_id'].nunique():,} contacts seen from {since.date()} to "
            f"{until.date()} won within {settings.horizon_days:g} days; points cannot be tried without wins"
        )
    timelines = build_timelines(known)
    ids, objects = pd.Index(known["contacts"]["contact_id"]), rows.snapshots["contact"].to_numpy(dtype=np.int64)
    outcome, _ = closing_within(
        closings=closings_of_contacts(tables=known, timelines=timelines, contact_ids=ids),
        objects=objects,
        as_of=rows.snapshots["as_of"],
        days=settings.horizon_days,
    )
    deals = open_deals(
        tables=known,
        timelines=timelines,
        contact_ids=ids,
        objects=objects,
        as_of=microseconds(rows.snapshots["as_of"]),
    )["open_deals"]
    return Past(
        tables=known,
        as_of=as_of,
        since=since,
        until=until,
        inputs=inputs,
        snapshots=rows.snapshots,
        won=rows.y_obs,
        lost=np.asarray((outcome == LOST) & (rows.y_obs == 0.0), dtype=np.bool_),
        open_deal=np.asarray(deals > 0, dtype=np.bool_),
        timelines=timelines,
    )


@dataclass(frozen=True)
class Weeks:
    """Contacts in play at the same weekday of consecutive weeks; whole contacts, ``share`` of them all."""

    snapshots: pd.DataFrame
    week: Int64Array
    count: int
    share: float


def weekly_rows(past: Past, *, most_weeks: int = 53, most_rows: int = 200_000) -> Weeks:
    """Look at contacts every week up to the as-of; of many contacts at an even sample of them."""
    contacts = past.tables["contacts"]
    count = int(min(most_weeks, (past.as_of - past.since) // _WEEK + 1))
    chosen = sample_rows(len(contacts), most=max(1, most_rows // count))
    week = np.tile(np.arange(count), len(chosen))
    contact = np.repeat(chosen, count)
    step = int(DAYS_PER_WEEK * 86_400_000_000)
    as_of = instant(past.as_of) - (count - 1 - week) * step
    keep = microseconds(contacts["created_at"])[contact] < as_of
    wins, ids = wins_of(past.tables)
    keep &= ~is_customer(wins=wins, contacts=contact, as_of=as_of)
    if past.inputs.snapshots.max_idle_days is not None:
        idle = idle_days(contacts=contacts, activities=past.tables["activities"], objects=contact, as_of=as_of)
        keep &= idle <= past.inputs.snapshots.max_idle_days
    contact, week, as_of = contact[keep], week[keep], as_of[keep]
    frame = pd.DataFrame(
        {
            "contact": contact,
            "contact_id": ids.to_numpy()[contact],
            "as_of": pd.to_datetime(as_of, unit="us", utc=True).as_unit("us"),
        }
    )
    return Weeks(snapshots=frame, week=week, count=count, share=len(chosen) / len(contacts))
