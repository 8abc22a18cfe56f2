"""A subgroup table: does the model serve everybody alike? Rates, calibration and lift by any column of the user's.

The column need not be a feature, and better is none if it tells a protected attribute: to see whether a model treats
groups alike one must look at the attribute, and to learn from it is another thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from features.episodes import build_timelines
from features.errors import LeadScoringError
from features.properties import TABLE_OF, ObjectType, history_properties, property_at
from features.tables import CrmTables
from features.visibility import microseconds
from models.evaluation import MODEL
from models.metrics import AnyArray, FloatArray, auc, weighted_mean
from models.out_of_time import OutOfTime
from models.segments import segment_evaluations

TOP_SHARE: Final = 0.2
MOST_GROUPS: Final = 12
QUARTERS: Final = 4


class SegmentSettings(BaseModel):
    """By which columns the test, and the report, is broken down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contacts: tuple[str, ...] = Field(
        default=("source", "country", "industry"), description="Columns of contacts; what a table lacks is named."
    )
    deals: tuple[str, ...] = Field(
        default=("pipeline", "source"), description="Columns of deals; what a table lacks is named."
    )


class UnknownColumnError(LeadScoringError):
    """The column by which figures are to be broken down is not there."""


@dataclass(frozen=True)
class Subgroup:
    """One value of the column, on the same test rows.

    ``low`` and ``high`` are the 95 % interval of the ``observed`` rate; ``predicted`` is the mean probability and
    ``chance`` how far apart the two lie in 95 of 100 cases if every probability is right. ``in_top`` is the share of
    the group's rows in the best fifth of the whole list, ``lift`` the rate of wins among those over the group's rate.
    """

    value: str
    rows: int
    objects: int
    positives: int
    observed: float
    low: float
    high: float
    predicted: float
    chance: float
    auc: float
    in_top: float
    lift: float

    @property
    def is_off(self) -> bool:
        """Say whether predicted and observed lie farther apart than chance explains."""
        return abs(self.predicted - self.observed) > self.chance


def subgroups(*, rows: OutOfTime, tables: CrmTables, column: str, scorer: str = MODEL) -> list[Subgroup]:
    """Break the figures of a scorer down by a column of the question's table, as it was known at each snapshot.

    A column without history shows today's value. Numbers are cut into quarters of about equal size.
    """
    values = group_words(column_at(rows=rows, tables=tables, column=column))
    probability = rows.scores[scorer]
    limit = _top_from(probability, rows.weight)
    found = []
    for part in segment_evaluations(
        column, values, y_obs=rows.y_obs, weight=rows.weight, objects=rows.objects, scores={scorer: probability}
    ):
        inside = values == part.value
        top = inside & (probability >= limit)
        rate_of_top = weighted_mean(rows.y_obs[top], rows.weight[top])
        found.append(
            Subgroup(
                value=part.value,
                rows=part.rows,
                objects=part.objects,
                positives=part.positives,
                observed=part.observed,
                low=part.low,
                high=part.high,
                predicted=part.predicted[scorer],
                chance=part.chance[scorer],
                auc=auc(y_obs=rows.y_obs[inside], y_pred=probability[inside], weight=rows.weight[inside]),
                in_top=float(rows.weight[top].sum() / rows.weight[inside].sum()),
                lift=rate_of_top / part.observed if part.observed > 0 else float("nan"),
            )
        )
    return found


def with_segments(
    rows: OutOfTime, *, tables: CrmTables, columns: Sequence[str]
) -> tuple[OutOfTime, tuple[str, ...], tuple[str, ...]]:
    """Break the rows down by more columns; returns them with the columns that are there and those that are not."""
    found, absent, segments = [], [], dict(rows.segments)
    for column in columns:
        try:
            values = rows.segments.get(column)
            segments[column] = (
                group_words(column_at(rows=rows, tables=tables, column=column)) if values is None else values
            )
        except UnknownColumnError:
            absent.append(column)
        else:
            found.append(column)
    return replace(rows, segments=segments), tuple(found), tuple(absent)


def column_at(*, rows: OutOfTime, tables: CrmTables, column: str) -> AnyArray:
    """Return the column's value of each row; an unknown column is an error that names those that exist."""
    object_type: ObjectType = "contact" if rows.question == "contacts" else "deal"
    table = TABLE_OF[object_type]
    frame = tables[table]
    if column not in frame.columns and column not in history_properties(tables, object_type):
        known = ", ".join(sorted(str(name) for name in frame.columns))
        raise UnknownColumnError(f"--by must name a column of {table}, found {column!r}; {table} has {known}")
    ids = pd.Index(frame["contact_id"]) if object_type == "contact" else build_timelines(tables).deal_ids
    return property_at(
        tables=tables,
        object_type=object_type,
        name=column,
        ids=ids,
        objects=rows.objects,
        as_of=microseconds(rows.snapshots["as_of"]),
    ).value


def group_words(values: AnyArray) -> AnyArray:
    """Return a word for each value: ranges of numbers, the most frequent words, ``other`` for the rest, ``missing``."""
    plain = pd.Series(values, dtype=object)
    missing = plain.isna() | (plain == "")
    numbers = pd.to_numeric(plain.where(~missing), errors="coerce")
    if (~missing).any() and numbers[~missing].notna().all() and numbers.nunique() > MOST_GROUPS:
        edges = np.unique(np.quantile(numbers.dropna(), np.linspace(0, 1, QUARTERS + 1)))
        place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
        words = pd.Series([f"{edges[at]:g} to {edges[at + 1]:g}" for at in place], dtype=object)
    else:
        words = plain.astype(str)
        frequent = words[~missing].value_counts().index[:MOST_GROUPS]
        words = words.where(words.isin(frequent), "other")
    return words.where(~missing, "missing").to_numpy(dtype=object)


def _top_from(probability: FloatArray, weight: FloatArray) -> float:
    order = np.argsort(-probability, kind="stable")
    reached = np.cumsum(weight[order])
    return float(probability[order][np.searchsorted(reached, TOP_SHARE * reached[-1])])
