"""What the commands print for people: findings, models, evaluations, and what a run came to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from features.plausibility import IMPLAUSIBLE, WHAT_TO_DO
from flows.console import show_table, terminal
from flows.held import held_words, read_held
from flows.places import is_here, store_of
from flows.wiring import registry_of

if TYPE_CHECKING:
    from features.findings import Finding
    from flows.pipeline import TrainOutcome
    from flows.run import RunResult
    from models.registry import ModelVersion

SHOWN_METRICS: Final = (
    ("log_loss", "log\nloss", "{:.4f}"),
    ("brier", "Brier", "{:.4f}"),
    ("auc", "AUC", "{:.3f}"),
    ("auc_within_stage", "AUC in\nstage", "{:.3f}"),
    ("auc_no_open_deal", "AUC, no\nopen deal", "{:.3f}"),
    ("capture_20", "top 20 %\nholds", "{:.0%}"),
    ("predicted_over_observed", "pred. /\nobs.", "{:.2f}"),
)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print findings, worst first."""
    if not findings:
        terminal().print("Nothing was found: the tables are in order.")
        return
    order = {"error": 0, "warning": 1, "info": 2}
    show_table(
        title=f"{len(findings)} findings",
        columns=["severity", "table", "column", "rows", "what", "examples"],
        rows=[
            [one.severity, one.table, one.column or "", f"{one.count:,}", one.message, "; ".join(one.examples)]
            for one in sorted(findings, key=lambda one: order[one.severity])
        ],
    )
    if any(one.code.startswith(IMPLAUSIBLE) for one in findings):
        terminal().print(f"Compared with the tables of the run before: {WHAT_TO_DO}.", markup=False, highlight=False)


def show_outcome(outcome: TrainOutcome) -> None:
    """Print the verdict of a training."""
    from flows.run import use_words

    console = terminal()
    console.print(f"{outcome.question}: use {use_words(outcome.verdict.use)} (version {outcome.version})", markup=False)
    console.print(f"  {outcome.verdict.answer}", markup=False, highlight=False)
    for reason in outcome.verdict.reasons:
        console.print(f"  - {reason}", markup=False, highlight=False)
    if not outcome.promoted:
        console.print(f"  - not promoted: {outcome.not_promoted}", markup=False, highlight=False)


def show_run(home: Path, result: RunResult) -> None:
    """Print what a run came to: the verdicts, the figures of the test, and where things lie."""
    registry = registry_of(home)
    for question, version in result.models.items():
        show_evaluation(version, registry.evaluation(question, version.version))
    console = terminal()
    for question, reason in result.refused.items():
        console.print(f"{question}: {reason}", markup=False)
    again = " (already published, nothing changed)" if result.published.already else ""
    console.print(f"Batch   {result.published.batch_id}{again}", markup=False, highlight=False)
    console.print(f"Report  {result.report}", markup=False, highlight=False)
    console.print(
        f"Scores  leadline export {next(iter(result.published.rows))} --home {home} --out FILE",
        markup=False,
        highlight=False,
    )


def show_evaluation(version: ModelVersion, evaluation: dict[str, Any]) -> None:
    """Print a version's test: every scorer on the same rows, and the verdict; intervals stand in the JSON."""
    from flows.run import use_words

    question = evaluation["question"]
    scorers = evaluation["scorers"]
    if scorers:
        protocol = evaluation["protocol"]
        present = [one for one in SHOWN_METRICS if any(one[0] in result["metrics"] for result in scorers.values())]
        show_table(
            title=(
                f"{question}: test on {evaluation['objects']:,} {question} seen from {protocol['test_from'][:10]} to "
                f"{protocol['test_to'][:10]}, {evaluation['positive_objects']:,} of them won"
            ),
            columns=["", *(words for _, words, _ in present)],
            rows=[
                [
                    result["label"].removeprefix("the "),
                    *(_cell(result["metrics"], name, form) for name, _, form in present),
                ]
                for result in scorers.values()
            ],
        )
    console = terminal()
    verdict = evaluation["verdict"]
    console.print(f"Verdict for {question}: use {use_words(verdict['use'])} (version {version.version})", markup=False)
    if verdict.get("answer"):
        console.print(f"  {verdict['answer']}", markup=False, highlight=False)
    for reason in verdict["reasons"]:
        console.print(f"  - {reason}", markup=False, highlight=False)
    console.print()


def show_models(question: str, versions: Sequence[ModelVersion]) -> None:
    """Print all versions of a question's model."""
    show_table(
        title=f"Models for {question}",
        columns=["version", "trained as of", "publishes", "calibrated", "log loss", "alias"],
        rows=[
            [
                one.version,
                one.tags["trained_as_of"],
                one.tags["use"],
                one.tags["calibrated"],
                f"{one.metrics['model.log_loss']:.4f}" if "model.log_loss" in one.metrics else "",
                ", ".join(one.aliases),
            ]
            for one in versions
        ],
    )


def model_dict(version: ModelVersion) -> dict[str, Any]:
    """Return a version as plain data for JSON."""
    return {
        "question": version.question,
        "version": version.version,
        "aliases": list(version.aliases),
        "tags": dict(version.tags),
        "metrics": dict(version.metrics),
        "bundle": str(version.bundle),
        "report": None if version.report is None else str(version.report),
    }


def status_dict(home: Path, *, now: datetime) -> dict[str, Any]:
    """Return what is published and which models are in use."""
    batch, count = None, 0
    if is_here(home):
        with closing(store_of(home)) as store:
            batch, count = store.latest_batch(), len(store.batches())
    registry = registry_of(home)
    champions = {question: registry.champion(question) for question in ("contacts", "deals")}
    return {
        "home": str(home),
        "batch": None
        if batch is None
        else {
            "batch_id": batch.batch_id,
            "as_of": batch.as_of.isoformat(),
            "scored_at": batch.scored_at.isoformat(),
            "age_hours": round((now - batch.scored_at).total_seconds() / 3600, 2),
            "rows": dict(batch.rows),
        },
        "batches": count,
        "held": read_held(home),
        "models": {
            question: None if version is None else model_dict(version) for question, version in champions.items()
        },
    }


def show_status(plain: dict[str, Any]) -> None:
    """Print the status."""
    batch = plain["batch"]
    there = "" if Path(plain["home"]).is_dir() else " (not there)"
    rows = [["home", f"{plain['home']}{there}"], ["batches", plain["batches"]]]
    if batch is None:
        rows.append(["latest batch", "none yet: run leadline demo, or leadline run --config FILE"])
    else:
        counted = ", ".join(f"{count:,} {question}" for question, count in batch["rows"].items())
        rows += [
            ["latest batch", f"{batch['batch_id']} ({counted})"],
            ["as of", batch["as_of"]],
            ["scored", f"{batch['scored_at']} ({batch['age_hours']:g} hours ago)"],
        ]
    if plain["held"] is not None:
        rows.append(["held back", held_words(plain["held"])])
    for question, version in plain["models"].items():
        told = "none" if version is None else f"version {version['version']}, publishes {version['tags']['use']}"
        rows.append([f"model for {question}", told])
    show_table(title="Status", columns=["what", "state"], rows=rows)


def _cell(metrics: dict[str, Any], name: str, form: str) -> str:
    measured = metrics.get(name)
    return "n/a" if measured is None or measured["value"] is None else form.format(measured["value"])
