"""Gather what a batch's report shows, from the score store and the registry, and write it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from features.errors import LeadScoringError
from flows.places import require_home, store_of
from flows.wiring import Workplace, registry_of

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.registry import ModelVersion
    from serving.report_input import QuestionReport
    from serving.report_language import Code
    from serving.store import StoredBatch


class LostModelError(LeadScoringError):
    """The registry does not hold the model of a published batch."""


def write_batch_report(
    *, home: Path, batch_id: str | None = None, out: Path | None = None, language: Code | None = None
) -> Path:
    """Write the report of a batch (the latest by default) and return its file; the same batch gives the same bytes.

    ``language`` stands in for the one that was configured when the batch was made.
    """
    from serving.report import render_report, write_report
    from serving.report_changes import STALE_AFTER_HOURS
    from serving.report_input import ReportInput

    require_home(home)
    batch = _published(home, batch_id)
    summary = batch.summary
    facts = summary.get("report", {})
    newest = facts.get("newest_fact")
    report = ReportInput(
        title=summary["title"],
        as_of=pd.Timestamp(batch.as_of),
        scored_at=pd.Timestamp(batch.scored_at),
        batch_id=batch.batch_id,
        source=summary["source"],
        table_rows=summary["table_rows"],
        findings=summary["findings"],
        questions=[_question(home, batch, version) for version in models_of(home, batch_id=batch.batch_id).values()],
        language=language or facts.get("language", "en"),
        calls_a_week=facts.get("calls_a_week"),
        newest_fact=None if newest is None else pd.Timestamp(newest),
        stale_after_hours=facts.get("stale_after_hours", STALE_AFTER_HOURS),
        retrain_after_days=facts.get("retrain_after_days"),
    )
    file = out or home / "reports" / f"{batch.batch_id}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_report(render_report(report), file)
    return file


def report_step(workplace: Workplace, *, batch_id: str) -> Path:
    """Write the report of a batch and attach it to the models that made it."""
    file = write_batch_report(home=workplace.home, batch_id=batch_id)
    registry = workplace.registry()
    for question, version in models_of(workplace.home, batch_id=batch_id).items():
        registry.attach(question, version.version, artifact=file)
    return file


def models_of(home: Path, *, batch_id: str) -> dict[str, ModelVersion]:
    """Return the registered version that made each question's scores of a batch."""
    registry = registry_of(home)
    found = {}
    for question, bundle in _published(home, batch_id).model_versions.items():
        version = registry.of_bundle(question, bundle)
        if version is None:
            raise LostModelError(
                f"the registry must hold {bundle}, which made batch {batch_id!r}, and {home} does not; "
                "name the home in which the batch was published"
            )
        found[question] = version
    return found


def _published(home: Path, batch_id: str | None) -> StoredBatch:
    from serving.store import UnknownBatchError

    with closing(store_of(home)) as store:
        batch = next((one for one in store.batches() if batch_id in (None, one.batch_id)), None)
    if batch is None:
        wanted = "no batch is published yet" if batch_id is None else f"there is no batch {batch_id!r}"
        raise UnknownBatchError(f"{wanted}; publish one with: leadline run")
    return batch


def _question(home: Path, batch: StoredBatch, version: ModelVersion) -> QuestionReport:
    from models.bundle import load_bundle
    from serving.report_input import QuestionReport

    bundle = load_bundle(version.bundle, version=version.tags["bundle"])
    question = version.question
    facts = batch.summary.get("report", {}).get("questions", {}).get(question, {})
    with closing(store_of(home)) as store:
        scores = store.read(question, batch.batch_id)
    return QuestionReport(
        question=bundle.data.question,
        evaluation=bundle.evaluation,
        published=bundle.data.use,
        model_version=bundle.version,
        drivers=bundle.data.drivers,
        scores=scores,
        stages=_stages(bundle, scores) if question == "deals" else (),
        left_out=bundle.data.left_out,
        support=_support(bundle),
        calibrated=bundle.data.calibrated,
        drift=batch.summary.get("drift", {}).get(question),
        trained_as_of=pd.Timestamp(bundle.data.trained_as_of),
        drivers_before=facts.get("drivers_before"),
        changes=facts.get("changes"),
        groups=facts.get("groups"),
    )


def _stages(bundle: Bundle, scores: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Describe each stage in pipeline order: open deals, and the three probabilities side by side."""
    words = dict(zip(bundle.data.contract.stages, _stage_words(bundle), strict=True))
    rows: list[Mapping[str, Any]] = []
    grouped = dict(list(scores.dropna(subset=["stage"]).groupby(["pipeline", "stage"])))
    for key, word in words.items():
        pipeline, stage = key.split("/", 1)
        observed = bundle.data.stage_rates.get("stages", {}).get(pipeline, {}).get(stage)
        manual = bundle.data.stage_manual.get("stages", {}).get(pipeline, {}).get(stage)
        deals = grouped.get((pipeline, stage))
        model = None if deals is None or deals["win_probability"].isna().all() else deals["win_probability"].mean()
        rows.append(
            {
                "pipeline": pipeline,
                "stage": word,
                "open_deals": 0 if deals is None else len(deals),
                "manual": manual,
                "observed": observed,
                "model": None if model is None else float(model),
            }
        )
    return rows


def _stage_words(bundle: Bundle) -> tuple[str, ...]:
    stage = next(feature for feature in bundle.data.contract.features if feature.name == "stage")
    words = stage.levels[:-1]
    many = len(bundle.data.contract.pipelines) > 1
    return tuple(word.split(": ", 1)[1] if many else word for word in words)


def _support(bundle: Bundle) -> dict[str, Any]:
    """Say how far ahead the scores speak."""
    if bundle.data.question == "contacts":
        return {"horizon_days": bundle.data.horizon_days}
    ends = bundle.data.edges or {"all pipelines": bundle.data.shared_edges}
    return {"pipelines": {name: edges[-1] for name, edges in ends.items()}}
