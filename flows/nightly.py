"""The Prefect flows: each wires one step of ``pipeline``, and ``nightly`` runs them in order.

Steps hand each other names and file paths, never tables, so that any of them can be run again on its own.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from features.catalogue import Question
from features.findings import Finding
from features.sources.hubspot.client import UnavailableError
from flows import extracting, pipeline
from flows.answers import write_answer, write_refusal
from flows.changing import explain_changes
from flows.lease import home_lock, store_lease
from flows.reporting import report_step
from flows.run import outcome_dict, use_words
from flows.wiring import Workplace, default_as_of, make_workplace
from models.training import NothingToLearnError
from serving.store import Lease, StoreBusyError, StoreUnreachableError

Plain = dict[str, Any]


def may_pass(_task: object, _run: object, state: State[Any]) -> bool:
    """Say whether a failure may pass by itself; what was refused is refused again, at once or in a minute."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, OSError | StoreBusyError | StoreUnreachableError | UnavailableError)


patient = task(retries=2, retry_delay_seconds=30, retry_condition_fn=may_pass, cache_policy=NO_CACHE)


@flow(name="extract")
def extract(config: str, data: str | None, home: str, as_of: str, accept_tables: bool = False) -> Plain:
    """Read the source, check it, and keep the tables; retried while the source is away."""
    workplace = _workplace(config, data, home, accept_tables)
    extracted = patient(extracting.extract)(workplace, as_of=pd.Timestamp(as_of))
    return {
        "folder": str(extracted.folder),
        "digest": extracted.digest,
        "memory_bytes": extracted.memory_bytes,
        "findings": [finding.to_dict() for finding in extracted.findings],
    }


@flow(name="train")
def train(config: str, data: str | None, home: str, as_of: str, extracted: Plain, question: Question) -> Plain:
    """Train a question if that is due; say what came of it, or why nothing could be learnt."""
    workplace = _workplace(config, data, home)
    instant = pd.Timestamp(as_of)
    if not pipeline.training_due(workplace, question=question, as_of=instant):
        return {"question": question}
    kept = _extract(extracted)
    try:
        outcome = pipeline.train(workplace, kept, question=question, as_of=instant, now=datetime.now(UTC))
    except NothingToLearnError as error:
        write_refusal(workplace, question, error)
        return {"question": question, "refused": str(error)}
    write_answer(workplace, outcome)
    return {"question": question, "trained": outcome_dict(outcome)}


@flow(name="build_features")
def build_features(config: str, data: str | None, home: str, as_of: str, extracted: Plain, question: Question) -> None:
    """Build the features of everyone to be scored."""
    pipeline.build_features(
        _workplace(config, data, home), _extract(extracted), question=question, as_of=pd.Timestamp(as_of)
    )


@flow(name="score")
def score(config: str, data: str | None, home: str, as_of: str, extracted: Plain, question: Question) -> None:
    """Score everyone whose features were built, and say what changed a score since the batch before."""
    workplace, kept, instant = _workplace(config, data, home), _extract(extracted), pd.Timestamp(as_of)
    pipeline.score(workplace, kept, question=question, as_of=instant)
    explain_changes(workplace, kept, question=question, as_of=instant)


@flow(name="publish")
def publish(
    config: str, data: str | None, home: str, as_of: str, extracted: Plain, refused: dict[str, str], held: Plain
) -> Plain:
    """Publish the batch, all or nothing; retried while the store is away."""
    workplace = _workplace(config, data, home)
    published = patient(pipeline.publish)(
        workplace,
        _extract(extracted),
        as_of=pd.Timestamp(as_of),
        now=datetime.now(UTC),
        refused=refused,
        questions=tuple(one for one in workplace.settings.questions if one not in refused),
        lease=Lease(**held),
    )
    return {"batch_id": published.batch_id, "already_published": published.already, "rows": dict(published.rows)}


@flow(name="report")
def report(config: str, data: str | None, home: str, batch_id: str) -> str:
    """Write the report of the batch."""
    return str(report_step(_workplace(config, data, home), batch_id=batch_id))


@flow(name="nightly")
def nightly(
    config: str,
    data: str | None = None,
    home: str = "var",
    as_of: str | None = None,
    accept_tables: bool = False,
) -> Plain:
    """Extract, train if due, build features, score, publish and report; leaves a summary as an artifact."""
    workplace = _workplace(config, data, home)
    moment = as_of or default_as_of(workplace.settings, now=datetime.now(UTC)).isoformat()
    questions = workplace.settings.questions
    with home_lock(workplace.home):
        extracted = extract(config, data, home, moment, accept_tables)
        with store_lease(workplace.home) as held:
            trained = [train(config, data, home, moment, extracted, question) for question in questions]
            refused = {one["question"]: one["refused"] for one in trained if "refused" in one}
            for question in questions:
                if question not in refused:
                    build_features(config, data, home, moment, extracted, question)
                    score(config, data, home, moment, extracted, question)
            published = publish(config, data, home, moment, extracted, refused, asdict(held))
            written = report(config, data, home, published["batch_id"])
    result = published | {
        "trained": [one["trained"] for one in trained if "trained" in one],
        "refused": refused,
        "findings": len(extracted["findings"]),
        "report": written,
    }
    create_markdown_artifact(key="leadline-run", markdown=summary(result), description="What the run came to")
    return result


def summary(result: Plain) -> str:
    """Say in Markdown what a run came to."""
    lines = [f"# Batch {result['batch_id']}", ""]
    lines += [f"- {count:,} {question} published" for question, count in result["rows"].items()]
    lines += [f"- {question} refused: {reason}" for question, reason in result["refused"].items()]
    lines += [f"- {result['findings']} findings in the tables", f"- report: `{result['report']}`"]
    for outcome in result["trained"]:
        lines += ["", f"## {outcome['question']}: use {use_words(outcome['use'])}", ""]
        lines += [f"- {reason}" for reason in outcome["reasons"]]
        if outcome["not_promoted"]:
            lines += [f"- not promoted: {outcome['not_promoted']}"]
    return "\n".join(lines)


def _workplace(config: str, data: str | None, home: str, accepts_tables: bool = False) -> Workplace:
    return make_workplace(
        config=Path(config),
        data=None if data is None else Path(data),
        home=Path(home),
        accepts_tables=accepts_tables,
    )


def _extract(plain: Plain) -> extracting.Extract:
    return extracting.Extract(
        folder=Path(plain["folder"]),
        digest=plain["digest"],
        memory_bytes=plain["memory_bytes"],
        findings=tuple(Finding(**(one | {"examples": tuple(one["examples"])})) for one in plain["findings"]),
    )
