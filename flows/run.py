"""A whole run from the tables to the report, as a person at a terminal starts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from features.catalogue import Question
from flows import pipeline
from flows.answers import write_answer, write_refusal
from flows.changing import explain_changes
from flows.console import Progress
from flows.extracting import Extract, extract
from flows.lease import home_lock, store_lease
from flows.reporting import models_of, report_step
from flows.wiring import Workplace
from models.training import NothingToLearnError

if TYPE_CHECKING:
    from models.registry import ModelVersion
    from serving.store import Lease, Published


@dataclass(frozen=True)
class RunResult:
    """What a run did. ``models`` scored; ``trained`` is empty where they were fresh enough."""

    published: Published
    models: Mapping[str, ModelVersion]
    trained: tuple[pipeline.TrainOutcome, ...]
    refused: dict[str, str]
    findings: int
    report: Path

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        return {
            "batch_id": self.published.batch_id,
            "already_published": self.published.already,
            "rows": dict(self.published.rows),
            "trained": [outcome_dict(outcome) for outcome in self.trained],
            "refused": self.refused,
            "findings": self.findings,
            "report": str(self.report),
        }


def outcome_dict(outcome: pipeline.TrainOutcome) -> dict[str, Any]:
    """Return a training's outcome as plain data for JSON."""
    return {
        "question": outcome.question,
        "version": outcome.version,
        "use": outcome.verdict.use,
        "calibrated": outcome.calibrated,
        "promoted": outcome.promoted,
        "not_promoted": outcome.not_promoted or None,
        "answer": outcome.verdict.answer,
        "reasons": list(outcome.verdict.reasons),
    }


@contextmanager
def extracted_tables(
    workplace: Workplace, *, as_of: pd.Timestamp, progress: Progress
) -> Iterator[tuple[Extract, Lease]]:
    """Read and check what is new, and hold the home while the block works on it; errors change nothing there."""
    with home_lock(workplace.home):
        with progress.step("Reading and checking the tables") as step:
            extracted = extract(workplace, as_of=as_of, telling=step.tell)
            tables = extracted.small_tables
            warnings = sum(finding.severity == "warning" for finding in extracted.findings)
            step.outcome = (
                f"{len(tables['contacts']):,} contacts, {len(tables['deals']):,} deals, "
                f"{extracted.activity_count():,} activities; {warnings} warnings"
            )
        with store_lease(workplace.home) as held:
            yield extracted, held


def run(workplace: Workplace, *, as_of: pd.Timestamp, now: datetime, progress: Progress) -> RunResult:
    """Extract, check, train if due, score, publish and report; safe to repeat at any point."""
    with extracted_tables(workplace, as_of=as_of, progress=progress) as (extracted, held):
        trained: list[pipeline.TrainOutcome] = []
        refused: dict[str, str] = {}
        for question in workplace.settings.questions:
            if not pipeline.training_due(workplace, question=question, as_of=as_of):
                continue
            with progress.step(f"Learning what drives {question}") as step:
                try:
                    outcome = pipeline.train(workplace, extracted, question=question, as_of=as_of, now=now)
                except NothingToLearnError as error:
                    refused[question] = step.outcome = str(error)
                    write_refusal(workplace, question, error)
                else:
                    trained.append(outcome)
                    write_answer(workplace, outcome)
                    step.outcome = f"use {use_words(outcome.verdict.use)}"
                    if not outcome.promoted:
                        step.outcome = f"the version in use stays: {outcome.not_promoted}"
        published = score_and_publish(
            workplace, extracted, lease=held, as_of=as_of, now=now, refused=refused, progress=progress
        )
        with progress.step("Writing the report"):
            report = report_step(workplace, batch_id=published.batch_id)
    return RunResult(
        published=published,
        models=models_of(workplace.home, batch_id=published.batch_id),
        trained=tuple(trained),
        refused=refused,
        findings=len(extracted.findings),
        report=report,
    )


def score_and_publish(
    workplace: Workplace,
    extracted: Extract,
    *,
    lease: Lease,
    as_of: pd.Timestamp,
    now: datetime,
    refused: Mapping[str, str],
    progress: Progress,
) -> Published:
    """Score every question that was not refused, and publish one batch."""
    questions: tuple[Question, ...] = tuple(one for one in workplace.settings.questions if one not in refused)
    for question in questions:
        with progress.step(f"Scoring {question} and finding the reasons"):
            pipeline.build_features(workplace, extracted, question=question, as_of=as_of)
            pipeline.score(workplace, extracted, question=question, as_of=as_of)
            explain_changes(workplace, extracted, question=question, as_of=as_of)
    with progress.step("Publishing the batch") as step:
        published = pipeline.publish(
            workplace, extracted, lease=lease, as_of=as_of, now=now, refused=refused, questions=questions
        )
        step.outcome = ", ".join(f"{count:,} {question}" for question, count in published.rows.items())
    return published


def use_words(use: str) -> str:
    """Say what is published in a few words."""
    return {
        "model": "the model",
        "rules": "your point rules",
        "stage_rate": "the observed stage rate",
        "base_rate": "the base rate",
    }[use]
