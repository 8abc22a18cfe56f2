"""A rule sheet priced against the past, as a training keeps it for the report: each criterion, and the whole."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from features.tables import CrmTables
from models.boosting import FloatArray
from models.evaluation import as_plain
from models.rules.learning import DEFAULT_DOUBLE, LearnedPoints
from models.rules.past import NoPastError, labelled_past
from models.rules.replay import apply_rules
from models.rules.suggestion import Lesson, learn_from_the_past
from models.rules.trial import CriterionRecord, criterion_records
from models.training import TrainingSettings

MOST_REPLICATES: Final = 60
"""Draws behind the ranges of learned points: enough for a picture, and affordable in every training."""


def rule_evidence(
    *, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings, model_scores: FloatArray | None
) -> dict[str, Any] | None:
    """Return what the past says of the settings' sheet, as plain data; None without a sheet.

    ``model_scores`` are a model's on the rows of the later test, learnt before it; without them one is fitted.
    ``criteria`` tell manual points, the points that the past supports on the sheet's own scale with their 95 % range,
    how many contacts they held for, and ``lift``: how often those won over how often all did. Where there is no past
    to learn from, ``why_not`` says so and the rest is empty.
    """
    if not settings.rules.criteria:
        return None
    told = settings.model_copy(update={"bootstrap_replicates": min(MOST_REPLICATES, settings.bootstrap_replicates)})
    try:
        past = labelled_past(tables=tables, as_of=as_of, settings=told)
        lesson = learn_from_the_past(
            tables=tables,
            as_of=as_of,
            settings=told,
            calls_a_week=None,
            double=DEFAULT_DOUBLE,
            model_scores=model_scores,
        )
    except NoPastError as error:
        return {"why_not": str(error), "criteria": [], "test": None}
    points = apply_rules(
        rules=told.rules, tables=past.tables, snapshots=past.snapshots, properties=past.inputs.properties
    )
    records = criterion_records(past, points=points, rules=told.rules)
    learned = lesson.learned
    return {
        "why_not": "",
        "winners": learned.winners,
        "contacts": int(past.snapshots["contact_id"].nunique()),
        "base_rate": float(past.won.mean()),
        "advice": lesson.advice,
        "not_tested": lesson.not_tested,
        "criteria": [
            _criterion(place, learned=learned, record=record, base_rate=float(past.won.mean()))
            for place, record in enumerate(records)
        ],
        "test": _test(lesson),
    }


def _criterion(place: int, *, learned: LearnedPoints, record: CriterionRecord, base_rate: float) -> dict[str, Any]:
    point, scale = learned.points[place], learned.scale
    priced = point.why_not is None
    content: dict[str, Any] = as_plain(
        {
            "name": point.name,
            "group": point.group,
            "manual": point.manual,
            "learned": {
                end: getattr(point.learned, end) * scale if priced else None for end in ("value", "low", "high")
            },
            "held": point.held,
            "winners": point.winners,
            "rate_held": record.rate_held,
            "lift": record.rate_held / base_rate if base_rate > 0 else float("nan"),
            "mispriced": point.mispriced(scale),
            "why_not": point.why_not,
            "same_as": list(point.same_as),
        }
    )
    return content


def _test(lesson: Lesson) -> dict[str, Any] | None:
    test = lesson.test
    if test is None:
        return None
    content: dict[str, Any] = as_plain(
        {
            "since": test.since,
            "until": test.until,
            "rows": test.rows,
            "winners": test.winners,
            "share": test.share,
            "metrics": test.order.metrics,
            "differences": test.order.differences,
        }
    )
    return content
