"""The cases that a rule sheet got wrong: won deals that scored low, and high scorers that never bought."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from features.contact_features import closings_of_contacts, open_deals, past_deals
from features.episodes import WON
from features.snapshots import is_customer
from features.visibility import NEVER, Int64Array, instant, microseconds
from models.contact_fit import wins_of
from models.rules.past import Past
from models.rules.replay import Points, apply_rules
from models.rules.sheet import PointRules

MOST_CASES: Final = 200
_MOST_LINES: Final = 4


@dataclass(frozen=True)
class WonDeal:
    """A won deal, and the points of its best-rated contact just before the deal opened; None if unknown."""

    deal_id: str
    contact_id: str
    opened_at: datetime
    won_at: datetime
    amount: float | None
    points: float | None
    grade: str | None
    log: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class WonDeals:
    """The won deals whose contact was in play before, those that scored low first."""

    deals: int
    seen_before: int
    low: int
    cases: tuple[WonDeal, ...]


@dataclass(frozen=True)
class NeverBought:
    """A contact that scored high and did not win until the as-of: its highest points, and where it stands now."""

    contact_id: str
    as_of: datetime
    points: float
    grade: str | None
    stands: str
    log: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class HighScorers:
    """Contacts that reached the threshold, and those of them that never bought, the highest first."""

    contacts: int
    never_bought: int
    cases: tuple[NeverBought, ...]


def won_deals_that_scored_low(past: Past, *, rules: PointRules, below: float) -> WonDeals:
    """List the deals won in the past whose best contact had fewer than ``below`` points just before they opened."""
    deals, rows = _before_won_deals(past)
    points = apply_rules(rules=rules, tables=past.tables, snapshots=rows, properties=past.inputs.properties)
    ranked = rows.assign(row=np.arange(len(rows)), points=points.total)
    best = ranked.sort_values(["deal_id", "points"], ascending=[True, False], kind="stable").drop_duplicates("deal_id")
    is_low = ~(best["points"] >= below)
    low = best.loc[is_low].sort_values(["points", "deal_id"], na_position="first", kind="stable")
    grades = points.grades(rules)
    amounts = past.tables["deals"].set_index("deal_id")["amount"]
    cases = tuple(
        WonDeal(
            deal_id=one["deal_id"],
            contact_id=one["contact_id"],
            opened_at=one["as_of"].to_pydatetime(),
            won_at=one["won_at"].to_pydatetime(),
            amount=_number(amounts.get(one["deal_id"])),
            points=_number(one["points"]),
            grade=grades[one["row"]],
            log=_log(points, one["row"]),
        )
        for one in low.head(MOST_CASES).to_dict("records")
    )
    return WonDeals(deals=deals, seen_before=len(best), low=int(is_low.sum()), cases=cases)


def high_scorers_that_never_bought(past: Past, *, points: Points, rules: PointRules, at_least: float) -> HighScorers:
    """List the contacts with ``at_least`` so many points in the past that had not won until the as-of."""
    wins, _ = wins_of(past.tables)
    ranked = past.snapshots.assign(row=np.arange(len(past.snapshots)), points=points.total)
    high = ranked.loc[ranked["points"] >= at_least]
    best = high.sort_values(["points", "as_of"], ascending=[False, True], kind="stable").drop_duplicates("contact_id")
    contact = best["contact"].to_numpy(dtype=np.int64)
    now = np.full(len(best), instant(past.as_of))
    never = best.loc[~is_customer(wins=wins, contacts=contact, as_of=now)].sort_values(
        ["points", "contact_id"], ascending=[False, True], kind="stable"
    )
    shown = never.head(MOST_CASES)
    stands = _standing(past, shown["contact"].to_numpy(dtype=np.int64))
    grades = points.grades(rules)
    cases = tuple(
        NeverBought(
            contact_id=one["contact_id"],
            as_of=one["as_of"].to_pydatetime(),
            points=float(one["points"]),
            grade=grades[one["row"]],
            stands=where,
            log=_log(points, one["row"]),
        )
        for one, where in zip(shown.to_dict("records"), stands, strict=True)
    )
    return HighScorers(contacts=len(best), never_bought=len(never), cases=cases)


def _before_won_deals(past: Past) -> tuple[int, pd.DataFrame]:
    """Return how many deals were won in the window, and (deal, contact) in play just before each opened."""
    timelines, tables = past.timelines, past.tables
    closings = timelines.closings
    deal = np.repeat(np.arange(len(timelines.deal_ids)), np.diff(closings.stream.starts))
    chosen = (closings.outcome == WON) & (closings.undone_at == NEVER)
    deal, won_at = deal[chosen], closings.stream.times[chosen]
    deal, first = np.unique(deal, return_index=True)
    won_at = won_at[first]
    opened = timelines.stream.times[timelines.stream.starts[deal]]
    inside = opened >= instant(past.since)
    frame = pd.DataFrame(
        {
            "deal_id": timelines.deal_ids.to_numpy()[deal[inside]],
            "as_of": _times(opened[inside]),
            "won_at": _times(won_at[inside]),
        }
    )
    rows = frame.merge(tables["deal_contacts"][["deal_id", "contact_id"]].drop_duplicates(), on="deal_id")
    created = tables["contacts"].set_index("contact_id")["created_at"].reindex(rows["contact_id"])
    rows = rows.loc[(created < rows["as_of"].to_numpy()).to_numpy()].reset_index(drop=True)
    wins, ids = wins_of(tables)
    customer = is_customer(
        wins=wins,
        contacts=ids.get_indexer(pd.Index(rows["contact_id"])).astype(np.int64),
        as_of=microseconds(rows["as_of"]),
    )
    return len(frame), rows.loc[~customer].reset_index(drop=True)


def _standing(past: Past, contacts: Int64Array) -> list[str]:
    ids = pd.Index(past.tables["contacts"]["contact_id"])
    now = np.full(len(contacts), instant(past.as_of))
    is_open = open_deals(tables=past.tables, timelines=past.timelines, contact_ids=ids, objects=contacts, as_of=now)[
        "open_deals"
    ]
    closings = closings_of_contacts(tables=past.tables, timelines=past.timelines, contact_ids=ids)
    lost = past_deals(closings=closings, objects=contacts, as_of=now)["lost_deals"]
    return [
        "a deal is open" if open_count else "a deal was lost" if lost_count else "never had a deal"
        for open_count, lost_count in zip(is_open, lost, strict=True)
    ]


def _log(points: Points, row: int) -> tuple[tuple[str, float], ...]:
    given = points.log[row]
    order = np.argsort(-np.abs(given), kind="stable")[:_MOST_LINES]
    return tuple((points.lines[place].name, float(given[place])) for place in order if given[place])


def _times(values: Int64Array) -> pd.DatetimeIndex:
    return pd.to_datetime(values, unit="us", utc=True).as_unit("us")


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
