"""The steps of a run as plain functions: each reads named files, writes named files, and can be run again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from features.catalogue import Question
from features.errors import LeadScoringError
from features.survivors import survivors_of
from features.tables import TABLE_NAMES
from flows.auditing import drift_of
from flows.challenge import trained_as_of, why_not_promoted
from flows.extracting import Extract
from flows.recording import MODEL_CARD, files_of
from flows.run_files import matrix_frame, read_matrix, read_scores, run_folder, write_parquet
from flows.wiring import Workplace

if TYPE_CHECKING:
    from features.matrix import Matrix
    from models.bundle import Bundle
    from models.evaluation import Verdict
    from models.registry import ModelVersion
    from models.rules.replay import Points
    from serving.store import Lease, Published

KEPT_FINDINGS: Final = 200


class NothingPublishableError(LeadScoringError):
    """No question could be scored, so no batch was published."""


class ModelFromTheFutureError(LeadScoringError):
    """The promoted model knows facts that the as-of must not."""


@dataclass(frozen=True)
class TrainOutcome:
    """What a training led to: the registered version, whether its model was good enough to be used, and who scores.

    ``not_promoted`` says why the version is not in use.
    """

    question: Question
    version: str
    verdict: Verdict
    calibrated: bool
    promoted: bool
    not_promoted: str = ""

    @property
    def model_refused(self) -> bool:
        """Say whether something else than the model is published."""
        return self.verdict.use != "model"


def model_for(workplace: Workplace, *, question: Question, as_of: pd.Timestamp) -> ModelVersion | None:
    """Return the version that scores as of an instant, if any: the promoted one, unless that knows what came later.

    Then this is a backfill, and the version that was trained last before the as-of scores it.
    """
    registry = workplace.registry()
    champion = registry.champion(question)
    if champion is None or trained_as_of(champion) <= as_of:
        return champion
    settings = workplace.settings.training(workplace.rules).digest()
    earlier = [one for one in registry.versions(question) if trained_as_of(one) <= as_of]
    return max(
        earlier,
        key=lambda one: (trained_as_of(one), one.tags["settings_digest"] == settings, int(one.version)),
        default=None,
    )


def training_due(workplace: Workplace, *, question: Question, as_of: pd.Timestamp) -> bool:
    """Say whether a run must train: nothing yet, or only what is too old, knows the future or was told else.

    What was trained and not promoted counts as well: the same training again would end the same.
    """
    if model_for(workplace, question=question, as_of=as_of) is None:
        return True
    settings = workplace.settings.training(workplace.rules).digest()
    tried = [
        (as_of - trained_as_of(one)) / pd.Timedelta(days=1)
        for one in workplace.registry().versions(question)
        if one.tags["settings_digest"] == settings and trained_as_of(one) <= as_of
    ]
    return not tried or min(tried) >= workplace.settings.retrain_after_days


def train(
    workplace: Workplace, extracted: Extract, *, question: Question, as_of: pd.Timestamp, now: datetime
) -> TrainOutcome:
    """Train a challenger on what was known before ``as_of``, record it, and promote what its test says to use.

    Where the model fails its test, what is promoted is the fallback that did best, so that the company gets the
    honest answer instead of a model or of nothing; but a champion that did better than that stays. A backfill takes
    nothing over from a model that was trained later, and what was rolled back by hand stays so.
    """
    from features.engines.engine import computing_with
    from models.bundle import load_bundle, save_bundle
    from models.champion import Champion
    from models.contact_training import train_contacts
    from models.deal_training import train_deals
    from models.run_record import code_version

    settings = workplace.settings.training(workplace.rules)
    trainer = train_contacts if question == "contacts" else train_deals
    registry = workplace.registry()
    live = registry.champion(question)
    champion = (
        None
        if live is None
        else Champion(
            version=live.version, bundle=load_bundle(live.bundle, version=live.tags["bundle"], trust=workplace.trust)
        )
    )
    tables = extracted.training_tables(question=question, settings=settings.snapshots)
    with computing_with(workplace.engine()):
        trained = trainer(tables=tables, as_of=as_of, settings=settings, champion=champion)
    bundle = trained.bundle
    known = registry.of_bundle(question, bundle.version)
    if known is None:
        key = workplace.signing_key
        folder = save_bundle(
            bundle,
            workplace.work / "bundles" / bundle.version,
            private_key=None if key is None else key.get_secret_value(),
            trust=workplace.trust,
        )
        files = files_of(bundle)
        known = registry.record(
            question,
            bundle=folder,
            parameters=settings.model_dump(mode="json", by_alias=True),
            metrics=_flat_metrics(bundle.evaluation),
            evaluation=bundle.evaluation,
            tags={
                "bundle": bundle.version,
                "use": bundle.data.use,
                "calibrated": str(bundle.data.calibrated).lower(),
                "trained_as_of": as_of.isoformat(),
                "settings_digest": bundle.data.settings_digest,
                "data_digest": bundle.data.data_digest,
                "code_version": code_version(),
            },
            files=files,
            description=files[MODEL_CARD],
            report=None,
            run_name=bundle.version,
            started_at=now,
        )
        shutil.rmtree(folder)
    not_promoted = why_not_promoted(registry, question=question, challenger=known, live=live, verdict=trained.verdict)
    if not not_promoted:
        registry.promote(question, known.version, reason="; ".join(trained.verdict.reasons), at=now, who="training")
    return TrainOutcome(
        question=question,
        version=known.version,
        verdict=trained.verdict,
        calibrated=bundle.data.calibrated,
        promoted=not not_promoted,
        not_promoted=not_promoted,
    )


def bundle_for(workplace: Workplace, *, question: Question, as_of: pd.Timestamp) -> Bundle:
    """Return the model that scores as of an instant; where all were trained on later facts, they are refused."""
    from models.bundle import load_bundle

    version = model_for(workplace, question=question, as_of=as_of)
    if version is None:
        champion = workplace.registry().require_champion(question)
        raise ModelFromTheFutureError(
            f"the promoted model for {question} was trained on facts up to {champion.tags['trained_as_of']}, "
            f"later than the as-of {as_of.isoformat()}; train as of then (leadline train --as-of)."
        )
    return load_bundle(version.bundle, version=version.tags["bundle"], trust=workplace.trust)


def build_features(
    workplace: Workplace, extracted: Extract, *, question: Question, as_of: pd.Timestamp
) -> tuple[Path, Path]:
    """Write who is to be scored, and their features at the as-of; return both files."""
    from features.engines.engine import computing_with
    from models.deal_scoring import deal_matrix, deal_population

    bundle = bundle_for(workplace, question=question, as_of=as_of)
    folder = run_folder(workplace, as_of)
    files = folder / f"{question}_population.parquet", folder / f"{question}_matrix.parquet"
    with computing_with(workplace.engine()):
        if question == "contacts":
            populations: list[pd.DataFrame] = []
            write_parquet(_contact_matrices(bundle, extracted, as_of=as_of, populations=populations), files[1])
            population = pd.concat(populations, ignore_index=True)
        else:
            tables = extracted.deal_tables()
            population = deal_population(tables=tables, as_of=as_of, staleness=bundle.data.staleness)
            matrix = deal_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)
            write_parquet([matrix_frame(matrix)], files[1])
    write_parquet([population], files[0])
    return files


def _contact_matrices(
    bundle: Bundle, extracted: Extract, *, as_of: pd.Timestamp, populations: list[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """Yield the matrix of one partition of the contacts after the other, and note who they are."""
    from models.contact_scoring import contact_matrix, contact_population

    for contacts, tables in extracted.contact_tables():
        everyone = contact_population(bundle=bundle, tables=tables, as_of=as_of)
        population = everyone.loc[everyone["contact_id"].isin(contacts)].reset_index(drop=True)
        populations.append(population)
        yield matrix_frame(contact_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of))


def score(workplace: Workplace, extracted: Extract, *, question: Question, as_of: pd.Timestamp) -> Path:
    """Write the rows of the published contract for everyone whose features were built."""
    from models.contact_scoring import score_contacts
    from models.deal_scoring import score_deals
    from serving.contract import contract_of

    bundle = bundle_for(workplace, question=question, as_of=as_of)
    folder = run_folder(workplace, as_of)
    population = pd.read_parquet(folder / f"{question}_population.parquet")
    matrix = read_matrix(folder / f"{question}_matrix.parquet", names=bundle.data.contract.names)
    with closing(workplace.store()) as store:
        previous = store.previous(question, before=as_of.to_pydatetime())
    if question == "contacts":
        points = _points(bundle, extracted, matrix, as_of=as_of)
        rows = score_contacts(bundle=bundle, points=points, population=population, matrix=matrix, previous=previous)
    else:
        rows = score_deals(
            bundle=bundle,
            tables=extracted.deal_tables(),
            population=population,
            matrix=matrix,
            as_of=as_of,
            previous=previous,
        )
    id_column, objects = contract_of(question).id_column, extracted.small_tables[question]
    if "owner_id" in objects:
        rows["owner_id"] = rows[id_column].map(objects.set_index(id_column)["owner_id"])
    file = folder / f"{question}_scores.parquet"
    write_parquet([rows.reindex(columns=list(contract_of(question).unstamped_names))], file)
    return file


def _points(bundle: Bundle, extracted: Extract, matrix: Matrix, *, as_of: pd.Timestamp) -> Points:
    """Replay the point rules, one partition of the contacts after the other, which is the order of the matrix."""
    from models.contact_scoring import contact_points
    from models.rules.replay import one_after_the_other

    parts = []
    for contacts, tables in extracted.contact_tables():
        own = matrix.snapshots["contact_id"].isin(contacts)
        snapshots = matrix.snapshots.loc[own].reset_index(drop=True)
        parts.append(contact_points(bundle=bundle, tables=tables, snapshots=snapshots, as_of=as_of))
    return one_after_the_other(parts)


def publish(
    workplace: Workplace,
    extracted: Extract,
    *,
    as_of: pd.Timestamp,
    now: datetime,
    refused: Mapping[str, str],
    questions: tuple[Question, ...],
    lease: Lease | None = None,
) -> Published:
    """Publish the scores of all questions as one batch, all or nothing. The same scores again are the same batch.

    ``refused`` tells, for questions that cannot be scored, the reason; with a ``lease`` nothing is
    published once another run has taken that over.
    """
    from flows.report_facts import report_facts
    from serving.batch import batch_name
    from serving.contract import contract_of
    from serving.store import Batch, Gone

    if not questions:
        reasons = "; ".join(refused.values())
        raise NothingPublishableError(f"no question could be scored, so nothing was published: {reasons}")
    folder = run_folder(workplace, as_of)
    frames = {question: read_scores(folder, question) for question in questions}
    bundles = {question: bundle_for(workplace, question=question, as_of=as_of) for question in questions}
    tables = extracted.small_tables
    with closing(workplace.store()) as store:
        facts = report_facts(
            workplace,
            tables,
            store,
            frames=frames,
            bundles=bundles,
            as_of=as_of,
            newest_activity=extracted.newest_activity(before=as_of),
        )
    counts = {name: len(tables[name]) for name in TABLE_NAMES if tables.has(name)}
    if "activities" in counts:
        counts["activities"] = extracted.activity_count()
    batch = Batch(
        batch_id="unnamed",
        as_of=as_of.to_pydatetime(),
        scored_at=now,
        model_versions={question: bundle.version for question, bundle in bundles.items()},
        contacts=frames.get("contacts"),
        deals=frames.get("deals"),
        summary={
            "source": workplace.source_name,
            "title": workplace.settings.title,
            "table_rows": counts,
            "findings": [finding.to_dict() for finding in extracted.findings[:KEPT_FINDINGS]],
            "refused": dict(refused),
            "drift": {
                question: drift_of(bundle, pd.read_parquet(folder / f"{question}_matrix.parquet"))
                for question, bundle in bundles.items()
            },
            "report": facts,
        },
        cards={question: _card(bundle) for question, bundle in bundles.items()},
        gone={"contacts": {loser: Gone("merged", kept) for loser, kept in survivors_of(tables["contacts"]).items()}},
        in_crm={question: pd.Index(tables[question][contract_of(question).id_column]) for question in questions},
    )
    batch = replace(batch, batch_id=batch_name(batch))
    with closing(workplace.store()) as store:
        published = store.publish(batch, lease=lease)
        store.prune(now=now)
    shutil.rmtree(folder)
    return published


def _card(bundle: Bundle) -> dict[str, Any]:
    """Return what readers of the scores may ask about a model, who have no registry at hand."""
    return {
        "trained_as_of": bundle.data.trained_as_of.isoformat(),
        "use": bundle.data.use,
        "calibrated": bundle.data.calibrated,
        "evaluation": bundle.evaluation,
    }


def _flat_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{scorer}.{metric}": measured["value"]
        for scorer, result in evaluation["scorers"].items()
        for metric, measured in result["metrics"].items()
        if measured["value"] is not None
    }
