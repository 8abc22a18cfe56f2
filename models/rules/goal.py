"""The points goal: how many points a month marketing should bring for a number of won deals, by source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from features.episodes import OPEN
from features.properties import property_at, usable_properties
from features.snapshots import contact_snapshots
from features.tables import CrmTables
from features.visibility import NEVER, Int64Array, as_known_at, codes, instant, microseconds
from models.boosting import FloatArray
from models.bootstrap import cluster_weights
from models.contact_fit import wins_of
from models.evaluation import Estimate, as_plain
from models.metrics import as_float, quotient
from models.property_tests import BoolArray
from models.rules.comparison import estimate
from models.rules.past import NoPastError
from models.rules.replay import apply_rules
from models.training import TrainingSettings, first_fact, in_id_order

_MONTH_DAYS: Final = 30.4375
UNKNOWN_SOURCE: Final = "not known"
EVERYBODY: Final = "all contacts"


@dataclass(frozen=True)
class SourceGoal:
    """What the contacts of one source brought a month, and the points they should bring.

    ``points_per_win`` is NaN where none of them won.
    """

    source: str
    contacts: int
    wins: int
    points_a_month: float
    wins_a_month: float
    points_per_win: Estimate
    goal_a_month: float


@dataclass(frozen=True)
class PointsGoal:
    """The goal for all and for each source, and the past that it rests on; ``note`` says why it has no sources."""

    since: datetime
    until: datetime
    months: float
    wins_wanted: float
    everybody: SourceGoal
    sources: tuple[SourceGoal, ...]
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, with the arithmetic."""
        content: dict[str, Any] = as_plain(self)
        return {**content, "arithmetic": self.arithmetic()}

    def arithmetic(self) -> list[str]:
        """Show the goal as a sum that can be checked with a pencil."""
        whole = self.everybody
        brought, wins, price = whole.points_a_month, whole.wins_a_month, whole.points_per_win
        factor = self.wins_wanted / wins
        return [
            f"In {self.months:.1f} months {whole.contacts:,} contacts earned {brought * self.months:,.0f} points "
            f"({brought:,.0f} a month) and {whole.wins:,} of them won ({wins:.2f} a month).",
            f"{brought:,.0f} / {wins:.2f} = {price.value:,.0f} points for each win "
            f"(95 % {price.low:,.0f} to {price.high:,.0f}).",
            f"{self.wins_wanted:g} wins x {price.value:,.0f} points = {whole.goal_a_month:,.0f} points a month, "
            f"{factor:.2f} times what comes now; with today's mix each source brings {factor:.2f} times its own.",
            "Points are earned when a contact's total rises above what it was a month before (below zero counts as "
            "zero). That points came before wins does not prove that more points bring more wins.",
        ]


def points_goal(
    *,
    tables: CrmTables,
    as_of: pd.Timestamp,
    settings: TrainingSettings,
    wins_a_month: float,
    source: str,
    since: pd.Timestamp | None = None,
) -> PointsGoal:
    """Price a win in the points earned in the same months, and multiply by the wins wanted.

    A win is a contact's first; ``source`` is the property to divide by. Raises ``NoPastError`` if nobody won.
    """
    known = in_id_order(as_known_at(tables, as_of=as_of))
    if not len(known["contacts"]):
        raise NoPastError(f"no contact was created before {as_of.isoformat()}; choose a later --as-of")
    first = first_fact(known, question="contacts")
    since = first if since is None else max(since, first)
    wins, ids = wins_of(known)
    everyone = np.arange(len(ids))
    outcome, won_at = wins.first_standing(
        objects=everyone, start=np.full(len(ids), -NEVER), end=np.full(len(ids), instant(as_of))
    )
    won = (outcome != OPEN) & (won_at >= instant(since))
    if not won.any():
        raise NoPastError(
            f"no contact won from {since.date()} to {as_of.date()}; without wins there is no goal to reckon"
        )
    rows = _looks(known, settings, since=since, until=as_of, won=np.flatnonzero(won), won_at=won_at[won])
    points = apply_rules(rules=settings.rules, tables=known, snapshots=rows, properties=settings.properties)
    brought = _earned(known, rows, total=points.total, since=since)
    present = np.isin(everyone, rows["contact"]) | won
    months = (as_of - since) / pd.Timedelta(days=_MONTH_DAYS)
    places, names, note = _sources(known, settings, source=source, as_of=as_of)
    weights = list(cluster_weights(cluster=everyone, replicates=settings.bootstrap_replicates, seed=settings.seed))
    factor = wins_a_month * months / float(won.sum())

    def goal(name: str, inside: BoolArray) -> SourceGoal:
        monthly = float(brought[inside].sum() / months)
        return SourceGoal(
            source=name,
            contacts=int((inside & present).sum()),
            wins=int((inside & won).sum()),
            points_a_month=monthly,
            wins_a_month=float((inside & won).sum() / months),
            points_per_win=_per_win(brought * inside, (won & inside).astype(np.float64), weights),
            goal_a_month=factor * monthly,
        )

    sources = [goal(name, places == place) for place, name in enumerate(names)]
    return PointsGoal(
        since=since.to_pydatetime(),
        until=as_of.to_pydatetime(),
        months=float(months),
        wins_wanted=wins_a_month,
        everybody=goal(EVERYBODY, np.ones(len(ids), dtype=bool)),
        sources=tuple(sorted(sources, key=lambda one: (-one.goal_a_month, one.source))),
        note=note,
    )


def _looks(
    tables: CrmTables,
    settings: TrainingSettings,
    *,
    since: pd.Timestamp,
    until: pd.Timestamp,
    won: Int64Array,
    won_at: Int64Array,
) -> pd.DataFrame:
    """Look at each contact once a month while it is in play, and at a winner once more just before it won."""
    contacts = tables["contacts"]
    monthly = contact_snapshots(
        contacts=contacts,
        activities=tables["activities"],
        wins=wins_of(tables)[0],
        start=since,
        end=until,
        settings=settings.snapshots,
    )
    seen = microseconds(contacts["created_at"])[won] < won_at
    last = pd.DataFrame(
        {
            "contact": won[seen],
            "contact_id": contacts["contact_id"].to_numpy()[won[seen]],
            "as_of": pd.to_datetime(won_at[seen], unit="us", utc=True).as_unit("us"),
        }
    )
    return pd.concat([monthly, last], ignore_index=True).sort_values(["contact", "as_of"], ignore_index=True)


def _earned(tables: CrmTables, rows: pd.DataFrame, *, total: FloatArray, since: pd.Timestamp) -> FloatArray:
    """Return the points that each contact earned: every rise of its total, from zero on for one that is new."""
    level = np.maximum(np.nan_to_num(total), 0.0)
    contact = rows["contact"].to_numpy(dtype=np.int64)
    before = np.append(0.0, level[:-1])
    is_first = np.append(True, contact[1:] != contact[:-1])
    is_new = microseconds(tables["contacts"]["created_at"])[contact] >= instant(since)
    before = np.where(is_first, np.where(is_new, 0.0, level), before)
    rise = np.maximum(level - before, 0.0)
    return as_float(np.bincount(contact, weights=rise, minlength=len(tables["contacts"])))


def _sources(
    tables: CrmTables, settings: TrainingSettings, *, source: str, as_of: pd.Timestamp
) -> tuple[Int64Array, list[str], str]:
    usable, _ = usable_properties(tables=tables, object_type="contact", settings=settings.properties)
    if source not in usable:
        note = (
            f"Not divided by source: the property {source!r} of contacts is not there, or has no history and is not "
            "vouched for in properties.contacts.safe."
        )
        return np.zeros(len(tables["contacts"]), dtype=np.int64), [], note
    ids = pd.Index(tables["contacts"]["contact_id"])
    values = property_at(
        tables=tables,
        object_type="contact",
        name=source,
        ids=ids,
        objects=np.arange(len(ids)),
        as_of=np.full(len(ids), instant(as_of)),
        vouched=source in settings.properties.safe("contact"),
    ).value
    words = pd.Series(values, dtype=object).map(lambda value: UNKNOWN_SOURCE if pd.isna(value) else str(value))
    names = sorted(set(words))
    return codes(words, index=pd.Index(names, dtype=object)), names, ""


def _per_win(brought: FloatArray, won: FloatArray, weights: list[FloatArray]) -> Estimate:
    draws = [quotient(block @ brought, block @ won) for block in weights]
    return estimate(quotient(np.array([brought.sum()]), np.array([won.sum()])), np.concatenate(draws))
