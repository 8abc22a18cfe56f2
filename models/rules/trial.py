"""The test drive: a rule sheet replayed over the past at once, priced against what really happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from features.labels import won_within
from models.boosting import FloatArray
from models.bootstrap import cluster_weights
from models.contact_fit import wins_of
from models.evaluation import Estimate, as_plain
from models.metrics import quotient
from models.property_tests import BoolArray
from models.rules.cases import HighScorers, WonDeals, high_scorers_that_never_bought, won_deals_that_scored_low
from models.rules.comparison import OrderComparison, compare_orders, estimate, known_last
from models.rules.past import Past, Weeks, weekly_rows
from models.rules.replay import GRADE_LETTERS, Points, apply_rules
from models.rules.sheet import PointRules

DEFAULT_SHARE: Final = 0.2
_QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
_CAPACITY: Final = "your capacity"


@dataclass(frozen=True)
class Spread:
    """How the points of one outcome are spread: the 10, 25, 50, 75 and 90 % quantiles of those that are known."""

    outcome: str
    rows: int
    contacts: int
    unknown: int
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class Sent:
    """What a threshold would have sent to sales: contacts that newly reached it, per week.

    ``busiest`` is the fullest week. ``per_sent`` is the share of those sent whose deal was won within the horizon, of
    those whose horizon is over.
    """

    threshold: str
    points: float
    per_week: float
    busiest: float
    per_sent: Estimate


@dataclass(frozen=True)
class Cell:
    """One cell of the grade: how many contacts were ever in it, and how often one in it won within the horizon."""

    grade: str
    rows: int
    contacts: int
    winners: int
    rate: Estimate


@dataclass(frozen=True)
class CriterionRecord:
    """How often a criterion could be judged and held, and how often those it held for won, and the others."""

    name: str
    group: str
    points: float
    judged: float
    held: int
    contacts: int
    rate_held: float
    rate_not: float
    left_out: str | None


@dataclass(frozen=True)
class SheetTrial:
    """Everything that was measured on one sheet."""

    name: str
    learned_until: datetime | None
    spreads: tuple[Spread, ...]
    sent: tuple[Sent, ...]
    cells: tuple[Cell, ...]
    criteria: tuple[CriterionRecord, ...]
    low_below: float
    low_because: str
    won_low: WonDeals
    never_bought: HighScorers


@dataclass(frozen=True)
class Trial:
    """One sheet, or two side by side on the same rows; differences are the first minus the second."""

    as_of: datetime
    since: datetime
    until: datetime
    horizon_days: float
    rows: int
    contacts: int
    winners: int
    base_rate: float
    share: float
    calls_a_week: float
    calls_asked: float | None
    order: OrderComparison
    sheets: tuple[SheetTrial, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        content: dict[str, Any] = as_plain(self)
        return content


def try_rules(
    *, past: Past, sheets: Mapping[str, PointRules], calls_a_week: float | None, replicates: int, seed: int
) -> Trial:
    """Try one sheet, or two against each other, at the team's capacity (a fifth of the list without one)."""
    share = DEFAULT_SHARE if calls_a_week is None else past.share_called(calls_a_week)
    weeks = weekly_rows(past)
    points = {name: _replayed(past, rules, past.snapshots) for name, rules in sheets.items()}
    names = list(sheets)
    order = compare_orders(
        scores={name: found.total for name, found in points.items()},
        y_obs=past.won,
        objects=past.contacts,
        open_deal=past.open_deal,
        share=share,
        replicates=replicates,
        seed=seed,
        reference=names[1] if len(names) > 1 else None,
    )
    return Trial(
        as_of=past.as_of.to_pydatetime(),
        since=past.since.to_pydatetime(),
        until=past.until.to_pydatetime(),
        horizon_days=past.inputs.horizon_days,
        rows=len(past.won),
        contacts=len(np.unique(past.contacts)),
        winners=len(np.unique(past.contacts[past.won == 1.0])),
        base_rate=float(past.won.mean()),
        share=share,
        calls_a_week=past.calls_a_week(share),
        calls_asked=calls_a_week,
        order=order,
        sheets=tuple(
            _try_sheet(
                past,
                name=name,
                rules=sheets[name],
                points=found,
                weeks=weeks,
                share=share,
                replicates=replicates,
                seed=seed,
            )
            for name, found in points.items()
        ),
    )


def _replayed(past: Past, rules: PointRules, snapshots: pd.DataFrame) -> Points:
    return apply_rules(rules=rules, tables=past.tables, snapshots=snapshots, properties=past.inputs.properties)


def _try_sheet(
    past: Past,
    *,
    name: str,
    rules: PointRules,
    points: Points,
    weeks: Weeks,
    share: float,
    replicates: int,
    seed: int,
) -> SheetTrial:
    edge = points_at_share(points.total, share=share)
    below, because = (rules.thresholds.mql, "MQL") if rules.thresholds.mql is not None else (edge, _CAPACITY)
    return SheetTrial(
        name=name,
        learned_until=rules.learned_until,
        spreads=_spreads(past, points.total),
        sent=_sent(past, rules=rules, weeks=weeks, edge=edge, replicates=replicates, seed=seed),
        cells=_cells(past, grades=points.grades(rules), replicates=replicates, seed=seed),
        criteria=criterion_records(past, points=points, rules=rules),
        low_below=below,
        low_because=because,
        won_low=won_deals_that_scored_low(past, rules=rules, below=below),
        never_bought=high_scorers_that_never_bought(past, points=points, rules=rules, at_least=below),
    )


def points_at_share(total: FloatArray, *, share: float) -> float:
    """Return the points from which on about the best ``share`` of the rows lie."""
    ordered = np.sort(known_last(total))[::-1]
    return float(ordered[min(len(ordered) - 1, max(0, int(np.ceil(share * len(ordered))) - 1))])


def _spreads(past: Past, total: FloatArray) -> tuple[Spread, ...]:
    is_won = past.won == 1.0
    parts = {"won": is_won, "lost": past.lost, "open": ~is_won & ~past.lost}
    spreads = []
    for outcome, rows in parts.items():
        known = total[rows & ~np.isnan(total)]
        spreads.append(
            Spread(
                outcome=outcome,
                rows=int(rows.sum()),
                contacts=len(np.unique(past.contacts[rows])),
                unknown=int(np.isnan(total[rows]).sum()),
                quantiles=tuple(np.quantile(known, _QUANTILES).tolist()) if len(known) else (np.nan,) * len(_QUANTILES),
            )
        )
    return tuple(spreads)


def _sent(past: Past, *, rules: PointRules, weeks: Weeks, edge: float, replicates: int, seed: int) -> tuple[Sent, ...]:
    thresholds = {**rules.thresholds.named(), _CAPACITY: edge}
    if weeks.count < 2 or not len(weeks.snapshots):
        return ()
    total = _replayed(past, rules, weeks.snapshots).total
    won, ripe = _won_after(past, weeks.snapshots)
    contact = weeks.snapshots["contact"].to_numpy(dtype=np.int64)
    previous = np.append(-1, np.where(contact[1:] == contact[:-1], np.arange(len(contact) - 1), -1))
    follows = (previous >= 0) & (np.append(-1, weeks.week[:-1]) == weeks.week - 1)
    sent = []
    for name, value in thresholds.items():
        high = total >= value
        # What was high in the first week may have been so for long.
        new = high & ~(follows & high[previous]) & (weeks.week > 0)
        per_week = np.bincount(weeks.week[new], minlength=weeks.count)[1:] / weeks.share
        sent.append(
            Sent(
                threshold=name,
                points=value,
                per_week=float(per_week.mean()),
                busiest=float(per_week.max()),
                per_sent=_rate(won, rows=new & ripe, objects=contact, replicates=replicates, seed=seed),
            )
        )
    return tuple(sent)


def _won_after(past: Past, snapshots: pd.DataFrame) -> tuple[FloatArray, BoolArray]:
    wins, _ = wins_of(past.tables)
    labels = won_within(
        wins=wins,
        objects=snapshots["contact"].to_numpy(dtype=np.int64),
        as_of=snapshots["as_of"],
        days=past.inputs.horizon_days,
        known_until=past.as_of,
    )
    return np.nan_to_num(labels), ~np.isnan(labels)


def _cells(past: Past, *, grades: np.ndarray, replicates: int, seed: int) -> tuple[Cell, ...]:
    words = np.where(pd.isna(grades), "unknown", grades).astype(str)
    wanted = [f"{letter}{digit}" for letter in GRADE_LETTERS for digit in (1, 2, 3)]
    if (words == "unknown").any():
        wanted.append("unknown")
    cells = []
    for grade in wanted:
        rows = words == grade
        cells.append(
            Cell(
                grade=grade,
                rows=int(rows.sum()),
                contacts=len(np.unique(past.contacts[rows])),
                winners=len(np.unique(past.contacts[rows & (past.won == 1.0)])),
                rate=_rate(past.won, rows=rows, objects=past.contacts, replicates=replicates, seed=seed),
            )
        )
    return tuple(cells)


def criterion_records(past: Past, *, points: Points, rules: PointRules) -> tuple[CriterionRecord, ...]:
    """Say of each criterion how often it could be judged and held, and who won where it did and where it did not."""
    reasons = {item.column: item.reason for item in points.left_out}
    records = []
    for place, (line, criterion) in enumerate(zip(points.criteria, rules.criteria, strict=True)):
        judged, held = points.judged[:, place], points.times[:, place] > 0
        records.append(
            CriterionRecord(
                name=line.name,
                group=line.group,
                points=criterion.points,
                judged=float(judged.mean()),
                held=int(held.sum()),
                contacts=len(np.unique(past.contacts[held])),
                rate_held=float(past.won[held].mean()) if held.any() else float("nan"),
                rate_not=float(past.won[judged & ~held].mean()) if (judged & ~held).any() else float("nan"),
                left_out=reasons.get(line.name),
            )
        )
    return tuple(records)


def _rate(won: FloatArray, *, rows: BoolArray, objects: np.ndarray, replicates: int, seed: int) -> Estimate:
    if not rows.any():
        return Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
    inside = won[rows]
    draws = [
        quotient(weights @ inside, weights.sum(axis=1))
        for weights in cluster_weights(cluster=objects[rows], replicates=replicates, seed=seed)
    ]
    return estimate(np.array([inside.mean()]), np.concatenate(draws))
