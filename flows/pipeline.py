"""The steps of a run as plain functions: each reads named files, writes named files, and can be run again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from features.catalogue import Question
from features.checks import check_tables
from features.errors import LeadScoringError
from features.findings import Finding, refuse_errors
from features.properties import TABLE_OF, usable_properties
from features.tables import TABLE_NAMES, CrmTables
from features.vouching import vouching_findings
from flows.auditing import drift_of
from flows.wiring import Workplace

if TYPE_CHECKING:
    from features.matrix import Matrix
    from models.bundle import Bundle
    from models.evaluation import Verdict
    from models.registry import ModelRegistry, ModelVersion
    from serving.store import Lease, Published

KEPT_EXTRACTS: Final = 2
KEPT_FINDINGS: Final = 200


class NothingPublishableError(LeadScoringError):
    """No question could be scored, so no batch was published."""


class ModelFromTheFutureError(LeadScoringError):
    """The promoted model knows facts that the as-of must not."""


@dataclass(frozen=True)
class Extract:
    """Tables as they were read, on disk, with what the checks found."""

    folder: Path
    digest: str
    findings: tuple[Finding, ...]

    @property
    def tables(self) -> CrmTables:
        """Read the tables back."""
        return load_tables(self.folder)


@dataclass(frozen=True)
class TrainOutcome:
    """What a training led to: the registered version, whether its model was good enough to be used, and who scores."""

    question: Question
    version: str
    verdict: Verdict
    calibrated: bool
    promoted: bool

    @property
    def model_refused(self) -> bool:
        """Say whether something else than the model is published."""
        return self.verdict.use != "model"


def check(workplace: Workplace, *, as_of: pd.Timestamp | None) -> tuple[CrmTables, list[Finding]]:
    """Read the source and check its tables, and that they have the columns vouched for; nothing is written."""
    tables, findings = workplace.source.read()
    if not any(finding.severity == "error" for finding in findings):
        findings = [*findings, *check_tables(tables, as_of=as_of)]
        for object_type, table in TABLE_OF.items():
            if tables.has(table):
                usable_properties(tables=tables, object_type=object_type, settings=workplace.settings.properties)
        findings += vouching_findings(tables=tables, settings=workplace.settings.properties)
    return tables, findings


def extract(workplace: Workplace, *, as_of: pd.Timestamp) -> Extract:
    """Read and check the source, and keep the tables under home. Errors stop here, before anything is written."""
    tables, findings = check(workplace, as_of=as_of)
    refuse_errors(findings)
    return keep(workplace, tables, findings)


def keep(workplace: Workplace, tables: CrmTables, findings: Sequence[Finding]) -> Extract:
    """Keep checked tables under home, by their content, and clear away what a run that was killed has left."""
    shutil.rmtree(workplace.work, ignore_errors=True)
    for leftover in workplace.warehouse.glob(".*.partial"):
        shutil.rmtree(leftover)
    digest = tables.digest()
    folder = workplace.warehouse / digest[:16]
    if not folder.exists():
        aside = folder.with_name(f".{folder.name}.partial")
        aside.mkdir(parents=True)
        for name in TABLE_NAMES:
            if tables.has(name):
                # The digest knows no order of columns, so what lies under it must not show one.
                frame = tables[name]
                frame[sorted(frame.columns)].to_parquet(aside / f"{name}.parquet", index=False)
        aside.replace(folder)
        _forget_old(workplace.warehouse, keep=folder)
    return Extract(folder=folder, digest=digest, findings=tuple(findings))


@lru_cache(maxsize=1)
def load_tables(folder: Path) -> CrmTables:
    """Read back the tables that ``extract`` kept."""
    from features.contracts import empty_frame

    frames, absent = {}, []
    for name in TABLE_NAMES:
        file = folder / f"{name}.parquet"
        if file.exists():
            frames[name] = pd.read_parquet(file)
        else:
            frames[name] = empty_frame(name)
            absent.append(name)
    return CrmTables(frames=frames, absent=tuple(absent))


def model_for(workplace: Workplace, *, question: Question, as_of: pd.Timestamp) -> ModelVersion | None:
    """Return the version that scores as of an instant, if any: the promoted one, unless that knows what came later.

    Then this is a backfill, and the version that was trained last before the as-of scores it.
    """
    registry = workplace.registry()
    champion = registry.champion(question)
    if champion is None or _trained_as_of(champion) <= as_of:
        return champion
    settings = workplace.settings.training(workplace.rules).digest()
    earlier = [one for one in registry.versions(question) if _trained_as_of(one) <= as_of]
    return max(
        earlier,
        key=lambda one: (_trained_as_of(one), one.tags["settings_digest"] == settings, int(one.version)),
        default=None,
    )


def training_due(workplace: Workplace, *, question: Question, as_of: pd.Timestamp) -> bool:
    """Say whether a run must train: no model yet, or only ones that are too old, know the future or were told else."""
    version = model_for(workplace, question=question, as_of=as_of)
    if version is None:
        return True
    age = (as_of - _trained_as_of(version)) / pd.Timedelta(days=1)
    settings = workplace.settings.training(workplace.rules).digest()
    return age >= workplace.settings.retrain_after_days or version.tags["settings_digest"] != settings


def train(
    workplace: Workplace, tables: CrmTables, *, question: Question, as_of: pd.Timestamp, now: datetime
) -> TrainOutcome:
    """Train a challenger on what was known before ``as_of``, record it, and promote what its test says to use.

    Where the model fails its test, what is promoted is the fallback that did best, so that the company gets the
    honest answer instead of a model or of nothing. A backfill takes nothing over from a model that was trained later.
    """
    from models.bundle import save_bundle
    from models.contact_training import train_contacts
    from models.deal_training import train_deals

    settings = workplace.settings.training(workplace.rules)
    trainer = train_contacts if question == "contacts" else train_deals
    trained = trainer(tables=tables, as_of=as_of, settings=settings)
    bundle = trained.bundle
    registry = workplace.registry()
    known = registered(registry, question=question, bundle=bundle.version)
    if known is None:
        folder = save_bundle(bundle, workplace.work / "bundles" / bundle.version)
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
            },
            report=None,
            run_name=bundle.version,
            started_at=now,
        )
        shutil.rmtree(folder)
    champion = registry.champion(question)
    promoted = champion is None or _trained_as_of(champion) <= as_of
    if promoted:
        registry.promote(question, known.version, reason="; ".join(trained.verdict.reasons), at=now)
    return TrainOutcome(
        question=question,
        version=known.version,
        verdict=trained.verdict,
        calibrated=bundle.data.calibrated,
        promoted=promoted,
    )


def registered(registry: ModelRegistry, *, question: str, bundle: str) -> ModelVersion | None:
    """Return the registered version that holds this bundle, if any."""
    return next((one for one in registry.versions(question) if one.tags["bundle"] == bundle), None)


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
    return load_bundle(version.bundle)


def build_features(
    workplace: Workplace, tables: CrmTables, *, question: Question, as_of: pd.Timestamp
) -> tuple[Path, Path]:
    """Write who is to be scored, and their features at the as-of; return both files."""
    from models.contact_scoring import contact_matrix, contact_population
    from models.deal_scoring import deal_matrix, deal_population

    bundle = bundle_for(workplace, question=question, as_of=as_of)
    if question == "contacts":
        population = contact_population(bundle=bundle, tables=tables, as_of=as_of)
        matrix = contact_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)
    else:
        population = deal_population(tables=tables, as_of=as_of)
        matrix = deal_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)
    folder = _run_folder(workplace, as_of)
    files = folder / f"{question}_population.parquet", folder / f"{question}_matrix.parquet"
    write_parquet(population, files[0])
    write_parquet(pd.concat([matrix.snapshots, matrix.features], axis=1), files[1])
    return files


def score(workplace: Workplace, tables: CrmTables, *, question: Question, as_of: pd.Timestamp) -> Path:
    """Write the rows of the published contract for everyone whose features were built."""
    from models.contact_scoring import score_contacts
    from models.deal_scoring import score_deals
    from serving.contract import contract_of

    bundle = bundle_for(workplace, question=question, as_of=as_of)
    folder = _run_folder(workplace, as_of)
    population = pd.read_parquet(folder / f"{question}_population.parquet")
    matrix = _read_matrix(folder / f"{question}_matrix.parquet", names=bundle.data.contract.names)
    scorer = score_contacts if question == "contacts" else score_deals
    with closing(workplace.store()) as store:
        previous = store.previous(question, before=as_of.to_pydatetime())
    rows = scorer(
        bundle=bundle,
        tables=tables,
        population=population,
        matrix=matrix,
        as_of=as_of,
        previous=previous,
    )
    id_column = contract_of(question).id_column
    if "owner_id" in tables[question]:
        rows["owner_id"] = rows[id_column].map(tables[question].set_index(id_column)["owner_id"])
    file = folder / f"{question}_scores.parquet"
    write_parquet(rows.reindex(columns=list(contract_of(question).unstamped_names)), file)
    return file


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
    from serving.store import Batch, batch_digest

    if not questions:
        reasons = "; ".join(refused.values())
        raise NothingPublishableError(f"no question could be scored, so nothing was published: {reasons}")
    folder = _run_folder(workplace, as_of)
    frames = {question: pd.read_parquet(folder / f"{question}_scores.parquet") for question in questions}
    bundles = {question: bundle_for(workplace, question=question, as_of=as_of) for question in questions}
    tables = extracted.tables
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
            "table_rows": {name: len(tables[name]) for name in TABLE_NAMES if tables.has(name)},
            "findings": [finding.to_dict() for finding in extracted.findings[:KEPT_FINDINGS]],
            "refused": dict(refused),
            "drift": {
                question: drift_of(bundle, pd.read_parquet(folder / f"{question}_matrix.parquet"))
                for question, bundle in bundles.items()
            },
        },
        cards={question: _card(bundle) for question, bundle in bundles.items()},
    )
    # Named by its content: equal batches are one, and different ones never meet under the same name.
    batch = replace(batch, batch_id=f"{as_of:%Y%m%dT%H%M%SZ}-{batch_digest(batch)[:8]}")
    with closing(workplace.store()) as store:
        published = store.publish(batch, lease=lease)
        store.prune(now=now)
    shutil.rmtree(folder)
    return published


def write_parquet(frame: pd.DataFrame, file: Path) -> None:
    """Write a frame aside and move it into place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.partial")
    frame.to_parquet(aside, index=False)
    aside.replace(file)


def _trained_as_of(version: ModelVersion) -> pd.Timestamp:
    return pd.Timestamp(version.tags["trained_as_of"])


def _card(bundle: Bundle) -> dict[str, Any]:
    """Return what readers of the scores may ask about a model, who have no registry at hand."""
    return {
        "trained_as_of": bundle.data.trained_as_of.isoformat(),
        "use": bundle.data.use,
        "calibrated": bundle.data.calibrated,
        "evaluation": bundle.evaluation,
    }


def _read_matrix(file: Path, *, names: list[str]) -> Matrix:
    from features.matrix import Matrix

    frame = pd.read_parquet(file)
    return Matrix(snapshots=frame.drop(columns=names), features=frame[names])


def _run_folder(workplace: Workplace, as_of: pd.Timestamp) -> Path:
    return workplace.work / f"{as_of:%Y%m%dT%H%M%S%fZ}"


def _flat_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{scorer}.{metric}": measured["value"]
        for scorer, result in evaluation["scorers"].items()
        for metric, measured in result["metrics"].items()
        if measured["value"] is not None
    }


def _forget_old(warehouse: Path, *, keep: Path) -> None:
    """Remove all but the newest extracts; a run that reads an older one has finished long ago."""
    others = [path for path in warehouse.iterdir() if path.is_dir() and path != keep and not path.name.startswith(".")]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_EXTRACTS - 1 :]:
        shutil.rmtree(old)
