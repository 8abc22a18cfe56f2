"""Frequency-table naive Bayes, as Odoo's predictive lead scoring computes it: the baseline to beat."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.special import expit

from features.errors import LeadScoringError
from models.metrics import AnyArray, FloatArray, as_float

SMOOTHING: Final = 0.1
"""Added to the won and to the lost count of every value that was seen, so that no factor is zero."""

LOWEST: Final = 0.0001
"""Odoo publishes 0.01 to 99.99 percent for an open lead in its later versions, and so do we."""


class NaiveBayesError(LeadScoringError):
    """The closed records cannot fill a frequency table, or a record cannot be looked up in it."""


@dataclass(frozen=True)
class Count:
    """How many closed records were won and lost, smoothing included."""

    won: float
    lost: float

    def __add__(self, other: Count) -> Count:
        return Count(won=self.won + other.won, lost=self.lost + other.lost)


@dataclass(frozen=True)
class FrequencyTable:
    """Counts of one team: ``prior`` for all records, then for each stage, then for each value of each field."""

    prior: Count
    stages: Mapping[str, Count]
    fields: Mapping[str, Mapping[str, Count]]


@dataclass(frozen=True)
class OdooNaiveBayes:
    """Naive Bayes over frequency tables, one for each team and one for all of them.

    ``fit`` follows Odoo 14 and later (addons/crm): the score of winning is the prior share of won records times, for
    each field, the share of won records with this value, likewise for losing, and p = won / (won + lost). Odoo's
    tags (several values a record) are left out, and probabilities are not rounded.
    """

    everyone: FrequencyTable
    teams: Mapping[str, FrequencyTable]
    empty_is_value: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        *,
        fields: pd.DataFrame,
        won: AnyArray,
        stage: pd.Series | None = None,
        stage_position: Mapping[str, float] | None = None,
        team: pd.Series | None = None,
        empty_is_value: Collection[str] = (),
    ) -> OdooNaiveBayes:
        """Count closed records, one row each; all arguments are matched by place, not by index.

        ``stage`` is the last open stage of each record and ``stage_position`` the order of all stages (name them
        uniquely over pipelines); a won record counts as won in every stage, a lost one as lost in its stage and all
        earlier ones, and the first stage's counts are the prior. Without stages (contacts) the prior is the overall
        count. Empty values count for nothing, except in fields named by ``empty_is_value``. The table for everyone
        is the sum of the teams' tables with their smoothing, as in Odoo.
        Raises ``NaiveBayesError`` if there is no record, or a stage has no position.
        """
        if not len(fields):
            raise NaiveBayesError("naive Bayes needs at least one closed record, found none; load a longer history")
        positions = None if stage is None else _positions(stage, stage_position or {})
        outcome = np.asarray(won, dtype=bool)
        words = {str(name): _words(fields[name], empty_counts=name in empty_is_value) for name in fields.columns}
        owners = pd.Series([None] * len(fields), dtype=object) if team is None else _words(team, empty_counts=False)
        # A record without a team has a table of its own, which only the sum over all tables makes use of.
        tables = {
            key: _count(
                {name: column[rows] for name, column in words.items()},
                outcome[rows],
                None if positions is None else positions[rows],
                stage_position or {},
            )
            for key, rows in ((key, (owners.fillna("") == key).to_numpy()) for key in sorted(set(owners.fillna(""))))
        }
        return cls(
            everyone=_sum_tables(tables.values()),
            teams={key: table for key, table in tables.items() if key},
            empty_is_value=tuple(sorted(empty_is_value)),
        )

    def predict(
        self, *, fields: pd.DataFrame, stage: pd.Series | None = None, team: pd.Series | None = None
    ) -> FloatArray:
        """Probability to win of each row; arguments are matched by place.

        A value that was never seen is skipped, an unknown or missing team takes the table for everyone, and a record
        without a stage gets the lowest probability where stages were counted.
        """
        unknown = [str(name) for name in fields.columns if str(name) not in self.everyone.fields]
        if unknown:
            raise NaiveBayesError(
                f"every field must have been counted by fit, found {unknown} beside {sorted(self.everyone.fields)}; "
                "give predict the columns that fit was given"
            )
        if bool(self.everyone.stages) != (stage is not None):
            raise NaiveBayesError(
                "stage must be given to predict exactly if it was given to fit, "
                f"found it {'missing' if stage is None else 'given'}; call both alike"
            )
        log_odds = np.zeros(len(fields))
        columns = {str(name): _words(fields[name], empty_counts=name in self.empty_is_value) for name in fields.columns}
        stages = None if stage is None else _words(stage, empty_counts=False)
        known = None if team is None else _words(team, empty_counts=False).where(lambda key: key.isin(list(self.teams)))
        owners = pd.Series([""] * len(fields), dtype=object) if known is None else known.fillna("")
        for key in sorted(set(owners)):
            rows = (owners == key).to_numpy()
            table = self.teams[key] if key else self.everyone
            log_odds[rows] = np.log(table.prior.won / table.prior.lost)
            if stages is not None:
                log_odds[rows] += _factors(stages[rows], table.stages, table.prior)
            for name, column in columns.items():
                counts = table.fields.get(name, {})
                log_odds[rows] += _factors(column[rows], counts, _total(counts.values()))
        probability: FloatArray = np.clip(expit(log_odds), LOWEST, 1.0 - LOWEST)
        if stages is not None:
            probability[stages.isna().to_numpy()] = LOWEST
        return probability

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a count is a pair of won and lost."""
        return {
            "everyone": _table_to_dict(self.everyone),
            "teams": {team: _table_to_dict(table) for team, table in self.teams.items()},
            "empty_is_value": list(self.empty_is_value),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> OdooNaiveBayes:
        """Rebuild what ``to_dict`` returned."""
        return cls(
            everyone=_table_from_dict(plain["everyone"]),
            teams={team: _table_from_dict(table) for team, table in plain["teams"].items()},
            empty_is_value=tuple(plain["empty_is_value"]),
        )


def _words(column: pd.Series, *, empty_counts: bool) -> pd.Series:
    """Values as words in order 0, 1, 2..., with None for an empty one, or "" where an empty one counts."""
    words = column.reset_index(drop=True).astype("str").astype(object)
    empty = words.isna() | (words == "")
    return words.mask(empty, "" if empty_counts else None)


def _positions(stage: pd.Series, stage_position: Mapping[str, float]) -> FloatArray:
    names = _words(stage, empty_counts=False)
    strange = sorted(set(names.dropna()) - set(stage_position))
    if strange:
        raise NaiveBayesError(
            f"every stage must have a position, found {strange[0]!r} without; add it to the table of stages"
        )
    if names.isna().all():
        raise NaiveBayesError(
            "where stages are given at least one closed record must have one, found none; "
            "leave the argument out or check the stage history"
        )
    return as_float(names.map(dict(stage_position)).to_numpy(dtype=np.float64, na_value=np.nan))


def _count(
    words: Mapping[str, pd.Series], won: AnyArray, positions: FloatArray | None, stage_position: Mapping[str, float]
) -> FrequencyTable:
    fields = {name: _count_values(column, won) for name, column in words.items()}
    if positions is None:
        prior = Count(won=float(won.sum()) + SMOOTHING, lost=float((~won).sum()) + SMOOTHING)
        return FrequencyTable(prior=prior, stages={}, fields=fields)
    # As in Odoo a record without a stage moves no stage, won or lost.
    wins = float((won & ~np.isnan(positions)).sum())
    stages = {
        name: Count(won=wins + SMOOTHING, lost=float((~won & (positions >= place)).sum()) + SMOOTHING)
        for name, place in stage_position.items()
    }
    # Odoo has no entry for a stage that no record moved, and skips its factor.
    seen = {name: count for name, count in stages.items() if count != Count(won=SMOOTHING, lost=SMOOTHING)}
    first = min(stage_position, key=lambda name: (stage_position[name], name))
    return FrequencyTable(prior=stages[first], stages=seen, fields=fields)


def _count_values(column: pd.Series, won: AnyArray) -> dict[str, Count]:
    outcomes = pd.Series(won, index=column.index).groupby(column).agg(["sum", "count"])
    return {
        str(value): Count(won=float(wins) + SMOOTHING, lost=float(rows - wins) + SMOOTHING)
        for value, wins, rows in zip(outcomes.index, outcomes["sum"], outcomes["count"], strict=True)
    }


def _factors(column: pd.Series, counts: Mapping[str, Count], total: Count) -> FloatArray:
    """Log of the odds factor of each value; 0 for one that is empty or was never seen."""
    factors = {
        value: float(np.log(count.won / total.won) - np.log(count.lost / total.lost)) for value, count in counts.items()
    }
    return as_float(column.map(factors).fillna(0.0).to_numpy(dtype=np.float64))


def _total(counts: Iterable[Count]) -> Count:
    return sum(counts, start=Count(won=0.0, lost=0.0))


def _sum_tables(tables: Collection[FrequencyTable]) -> FrequencyTable:
    names = next(iter(tables)).fields
    return FrequencyTable(
        prior=_total(table.prior for table in tables),
        stages=_sum_counts([table.stages for table in tables]),
        fields={name: _sum_counts([table.fields[name] for table in tables]) for name in names},
    )


def _sum_counts(parts: Collection[Mapping[str, Count]]) -> dict[str, Count]:
    keys = sorted({key for part in parts for key in part})
    return {key: _total(part[key] for part in parts if key in part) for key in keys}


def _table_to_dict(table: FrequencyTable) -> dict[str, Any]:
    return {
        "prior": [table.prior.won, table.prior.lost],
        "stages": {name: [count.won, count.lost] for name, count in table.stages.items()},
        "fields": {
            name: {value: [count.won, count.lost] for value, count in counts.items()}
            for name, counts in table.fields.items()
        },
    }


def _table_from_dict(plain: Mapping[str, Any]) -> FrequencyTable:
    return FrequencyTable(
        prior=Count(*plain["prior"]),
        stages={name: Count(*pair) for name, pair in plain["stages"].items()},
        fields={
            name: {value: Count(*pair) for value, pair in counts.items()} for name, counts in plain["fields"].items()
        },
    )
