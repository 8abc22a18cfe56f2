"""What a report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from serving.report_changes import STALE_AFTER_HOURS
from serving.report_language import Code

Published = Literal["model", "rules", "stage_rate", "base_rate", "none"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class QuestionReport:
    """What the report says about one question.

    ``evaluation`` is the Evaluation JSON; its ``scorers`` may be empty if no test was possible. ``drivers`` are
    families by size, as ``models.drivers`` describes them; ``drivers_before`` are those of the model before (families,
    and trained_as_of). ``scores`` are the published rows. Effects
    are differences of probability. If the percentages of what is published failed their test they are not
    ``calibrated``: the rows then hold at most an order. ``support`` says how far ahead the history goes: horizon_days
    or days by pipelines. ``drift`` compares the scored rows with the training past, ``changes`` counts what changed
    since the batch before, and ``groups`` counts the scored by the values of some columns.
    """

    question: Literal["contacts", "deals"]
    evaluation: Row
    published: Published
    model_version: str
    drivers: Sequence[Row]
    scores: pd.DataFrame
    stages: Sequence[Row] = ()
    left_out: Sequence[Row] = ()
    support: Row | None = None
    calibrated: bool = True
    drift: Row | None = None
    trained_as_of: pd.Timestamp | None = None
    drivers_before: Row | None = None
    changes: Row | None = None
    groups: Mapping[str, Sequence[Row]] | None = None


@dataclass(frozen=True)
class ReportInput:
    """All that one report shows; times carry their zone.

    ``newest_fact`` is when the last thing that the tables tell happened. Data older than ``stale_after_hours`` (None:
    an invented history does not age) and models older than ``retrain_after_days`` are told to be.
    """

    title: str
    as_of: pd.Timestamp
    scored_at: pd.Timestamp
    batch_id: str
    source: str
    table_rows: Mapping[str, int]
    findings: Sequence[Row]
    questions: Sequence[QuestionReport]
    language: Code = "en"
    calls_a_week: float | None = None
    newest_fact: pd.Timestamp | None = None
    stale_after_hours: float | None = STALE_AFTER_HOURS
    retrain_after_days: float | None = None
