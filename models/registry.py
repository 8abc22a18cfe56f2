"""The model registry: every trained bundle, how it was judged, and which one was live when."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from features.errors import LeadScoringError
from models.mlflow_files import BUNDLE, MODEL_FILE, mlflow_files
from models.promotion_log import Promotion, PromotionLog, champions, replace_file
from models.run_record import flatten, json_text, require_data, shorten

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

MODEL_NAMES: Final[Mapping[str, str]] = {"contacts": "leadline-contacts", "deals": "leadline-deals"}

_CHAMPION: Final = "champion"
_CHALLENGER: Final = "challenger"
_EVALUATION: Final = "evaluation.json"
_PARAMETERS: Final = "parameters.json"
_REPORT: Final = "report.html"
_BATCH_LIMIT: Final = 100
_DIGEST_LIMIT: Final = 36


class RegistryError(LeadScoringError):
    """The registry cannot do what was asked of it; ``question`` and ``version`` say for which model."""

    def __init__(self, message: str, *, question: str | None = None, version: str | None = None) -> None:
        self.question = question
        self.version = version
        super().__init__(message)


@dataclass(frozen=True)
class ModelVersion:
    """One registered model: where its bundle lies and how its training run went.

    ``bundle`` is a local folder of data, not yet verified; ``report`` is None until one was recorded or attached.
    ``aliases`` may hold "champion" (live now) and "challenger" (recorded last, not yet promoted).
    """

    question: str
    version: str
    run_id: str
    run_name: str
    started_at: datetime
    aliases: tuple[str, ...]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    bundle: Path
    report: Path | None


class ModelRegistry:
    """Registered models under ``home/registry``: an MLflow store, its artifacts, and the promotion log.

    The promotion log decides which version is live; MLflow's ``champion`` alias repeats it for MLflow's own pages.
    Reading creates nothing. Paths are worked out from ``home``, so a home that was moved still opens.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home.absolute() / "registry"
        self._store = self._folder / "mlflow.db"
        self._artifacts = self._folder / "artifacts"
        self._log = PromotionLog(self._folder / "promotions.jsonl")
        self._client: MlflowClient | None = None

    @property
    def tracking_uri(self) -> str:
        """What ``mlflow ui --backend-store-uri`` needs to show this registry."""
        return f"sqlite:///{self._store}"

    def record(
        self,
        question: str,
        *,
        bundle: Path,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        evaluation: Mapping[str, Any],
        tags: Mapping[str, str],
        files: Mapping[str, str],
        description: str,
        report: Path | None,
        run_name: str,
        started_at: datetime,
    ) -> ModelVersion:
        """Log a training run with its bundle and register it as the question's challenger.

        Nested parameters are joined by dots. ``files`` are texts to keep beside the bundle, by name, and
        ``description`` is Markdown. The version appears last: a run that died half-way has none.
        """
        name = _model_name(question)
        require_data(bundle)
        if started_at.utcoffset() is None:
            raise RegistryError(f"started_at must carry a time zone; it is {started_at.isoformat()}", question=question)
        started = int(started_at.timestamp() * 1000)
        flat = dict(flatten(parameters))
        texts = {_EVALUATION: json_text(evaluation), _PARAMETERS: json_text(flat, default=str)}
        texts |= {**files, **mlflow_files(bundle)}
        if report is not None and not report.is_file():
            raise RegistryError(f"a report to record must be a file; {report} is none", question=question)
        with self._in_our_words(f"recording a model for {question}"):
            client = self._open(create=True)
            from mlflow.entities import Dataset, DatasetInput, Metric, Param

            run = client.create_run(
                self._experiment(client, question), start_time=started, run_name=run_name, tags=dict(tags)
            )
            run_id = run.info.run_id
            try:
                logged = [Param(key, shorten(value, whole_in=_PARAMETERS)) for key, value in flat.items()]
                for start in range(0, len(logged), _BATCH_LIMIT):
                    client.log_batch(run_id, params=logged[start : start + _BATCH_LIMIT])
                client.log_batch(run_id, metrics=[Metric(key, value, started, 0) for key, value in metrics.items()])
                if "data_digest" in tags:
                    digest = tags["data_digest"][:_DIGEST_LIMIT]
                    told = Dataset(name="CRM tables", digest=digest, source_type="leadline", source=digest)
                    client.log_inputs(run_id, datasets=[DatasetInput(told)])
                client.log_artifacts(run_id, str(bundle), BUNDLE)
                for file_name, text in texts.items():
                    client.log_text(run_id, text, file_name)
                if report is not None:
                    replace_file(self._run_folder(question, run_id) / _REPORT, report.read_bytes())
            except BaseException:
                client.set_terminated(run_id, status="FAILED")
                raise
            client.set_terminated(run_id)
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            source = self._run_folder(question, run_id).as_uri()
            entry = client.create_model_version(name, source, run_id=run_id, tags=dict(tags), description=description)
            client.set_registered_model_alias(name, _CHALLENGER, str(entry.version))
        return self.get(question, str(entry.version))

    def versions(self, question: str) -> list[ModelVersion]:
        """Return every registered version, the oldest first; none if nothing was ever recorded."""
        _model_name(question)
        live = self._log.live(question)
        with self._in_our_words(f"listing the models for {question}"):
            return [self._version(question, entry, live) for entry in self._entries(question)]

    def of_bundle(self, question: str, bundle: str) -> ModelVersion | None:
        """Return the version that holds the bundle of this name, if any."""
        return next((one for one in self.versions(question) if one.tags.get("bundle") == bundle), None)

    def get(self, question: str, version: str) -> ModelVersion:
        """Return one version; an unknown one raises ``RegistryError`` with the versions that exist."""
        name = _model_name(question)
        live = self._log.live(question)
        with self._in_our_words(f"reading version {version} for {question}"):
            entries = {str(entry.version): entry for entry in self._entries(question)}
            if version in entries:
                return self._version(question, entries[version], live)
        known = ", ".join(entries) or 'none yet: run "leadline train" first'
        raise RegistryError(f"{name} must have version {version!r}; it has {known}", question=question, version=version)

    def champion(self, question: str) -> ModelVersion | None:
        """Return the version that is live now, or None if none was ever promoted."""
        _model_name(question)
        live = self._log.live(question)
        return None if live is None else self.get(question, live)

    def require_champion(self, question: str) -> ModelVersion:
        """Return the version that is live now, or raise ``RegistryError`` saying how to get one."""
        champion = self.champion(question)
        if champion is None:
            raise RegistryError(
                f'{_model_name(question)} has no champion yet: run "leadline train" first', question=question
            )
        return champion

    def evaluation(self, question: str, version: str) -> dict[str, Any]:
        """Return the whole evaluation that was recorded with a version."""
        found = self.get(question, version)
        path = found.bundle.parent / _EVALUATION
        try:
            evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RegistryError(
                f"version {version} of {question} must have a readable {path}: {error}; restore it from a backup",
                question=question,
                version=version,
            ) from error
        return evaluation

    def attach(self, question: str, version: str, *, artifact: Path) -> Path:
        """Put a file, such as a later report, beside a version's bundle; say where. The same name is replaced."""
        found = self.get(question, version)
        if artifact.name in {BUNDLE, MODEL_FILE, _EVALUATION, _PARAMETERS} or not artifact.is_file():
            raise RegistryError(
                f"an attachment must be a file, and none that the training run wrote itself; {artifact} is not",
                question=question,
                version=version,
            )
        target = found.bundle.parent / artifact.name
        with self._in_our_words(f"attaching {artifact.name} to version {version} of {question}"):
            replace_file(target, artifact.read_bytes())
        return target

    def promote(self, question: str, version: str, *, reason: str, at: datetime, who: str = "cli") -> Promotion:
        """Make a version live from ``at`` on and log it; promoting the live version again changes nothing.

        The answer is the log line under which the version is live: the new one, or the one from before.
        """
        self.get(question, version)
        with self._locked():
            if self._log.live(question) == version:
                line = next(line for line in reversed(self.promotions(question)) if line.to_version == version)
            else:
                line = self._log.append(question, "promote", version, reason=reason, at=at, who=who)
            self._repeat_as_aliases(question, version)
        return line

    def rollback(self, question: str, *, reason: str, at: datetime, who: str = "cli") -> Promotion:
        """Make the champion before the present one live again, from ``at`` on, and log it.

        Each call goes one promotion further back; promoting the version that was left undoes it.
        """
        name = _model_name(question)
        with self._locked():
            line_of_champions = champions(self.promotions(question))
            if len(line_of_champions) < 2:
                found = f"only version {line_of_champions[0]}" if line_of_champions else "none"
                raise RegistryError(
                    f"a rollback of {name} needs a champion before the present one; the promotion log has {found}. "
                    f'Choose a version yourself: "leadline models promote {question}"',
                    question=question,
                )
            version = line_of_champions[-2]
            self.get(question, version)
            line = self._log.append(question, "rollback", version, reason=reason, at=at, who=who)
            self._repeat_as_aliases(question, version)
        return line

    def promotions(self, question: str) -> list[Promotion]:
        """Return the question's promotion log, in the order in which it was written."""
        _model_name(question)
        return self._log.lines(question)

    def live_at(self, question: str, at: datetime) -> str | None:
        """Return the version that was live at an instant, or None if none was; it is live from its ``at`` on."""
        _model_name(question)
        return self._log.live_at(question, at)

    def _repeat_as_aliases(self, question: str, version: str) -> None:
        name = _model_name(question)
        with self._in_our_words(f"marking version {version} of {question} as champion"):
            client = self._open(create=False)
            client.set_registered_model_alias(name, _CHAMPION, version)
            if _alias(client, name, _CHALLENGER) == version:
                client.delete_registered_model_alias(name, _CHALLENGER)

    def _entries(self, question: str) -> list[Any]:
        if not self._store.exists():
            return []
        client = self._open(create=False)
        page = client.search_model_versions(f"name = '{_model_name(question)}'")
        found = list(page)
        while page.token:
            page = client.search_model_versions(f"name = '{_model_name(question)}'", page_token=page.token)
            found.extend(page)
        return sorted(found, key=lambda entry: int(entry.version))

    def _version(self, question: str, entry: Any, live: str | None) -> ModelVersion:
        client = self._open(create=False)
        run = client.get_run(entry.run_id)
        folder = self._run_folder(question, entry.run_id)
        version = str(entry.version)
        roles = {_CHAMPION: live, _CHALLENGER: _alias(client, entry.name, _CHALLENGER)}
        report = folder / _REPORT
        return ModelVersion(
            question=question,
            version=version,
            run_id=entry.run_id,
            run_name=run.info.run_name,
            started_at=datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC),
            aliases=tuple(role for role, holder in roles.items() if holder == version),
            parameters=run.data.params,
            metrics=run.data.metrics,
            tags=entry.tags,
            bundle=folder / BUNDLE,
            report=report if report.is_file() else None,
        )

    def _run_folder(self, question: str, run_id: str) -> Path:
        return self._artifacts / question / run_id / "artifacts"

    def _experiment(self, client: MlflowClient, question: str) -> str:
        # MLflow writes where the experiment was created; in a home that was moved that is the old place.
        name = _model_name(question)
        location = (self._artifacts / question).as_uri()
        for title in (name, f"{name} in {self._folder}"):
            experiment = client.get_experiment_by_name(title)
            if experiment is None:
                return str(client.create_experiment(title, artifact_location=location))
            if experiment.artifact_location == location:
                return str(experiment.experiment_id)
        raise RegistryError(f"{self.tracking_uri} must keep its artifacts under {location}; it was moved by hand")

    def _open(self, *, create: bool) -> MlflowClient:
        if self._client is not None:
            return self._client
        if not create and not self._store.exists():
            raise RegistryError(f'{self._store} does not exist yet: run "leadline train" first')
        if set("?#") & set(str(self._folder)):
            raise RegistryError(f"the home folder's path must be free of ? and #; it is {self._folder.parent}")
        # MLflow reads both when it is imported.
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["DO_NOT_TRACK"] = "true"
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        if not self._store.exists():
            with self._locked():
                self._create_store(MlflowClient)
        self._client = MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)
        return self._client

    def _create_store(self, client: type[MlflowClient]) -> None:
        # MLflow's migrations are not one transaction: built aside, a killed first use leaves no half-made store.
        if self._store.exists():
            return
        partial = self._store.with_suffix(".db.partial")
        for leftover in self._folder.glob(f"{partial.name}*"):
            leftover.unlink()
        client(tracking_uri=f"sqlite:///{partial}", registry_uri=f"sqlite:///{partial}").search_experiments()
        # Copied, not moved: MLflow keeps its connection to the first file open.
        replace_file(self._store, partial.read_bytes())
        partial.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._in_our_words("locking the registry"):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _in_our_words(self, doing: str) -> Iterator[None]:
        try:
            # MLflow 3.17 uses what SQLAlchemy 2.1 and others have deprecated; its user can do nothing about it.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                yield
        except LeadScoringError:
            raise
        except Exception as error:
            if not isinstance(error, OSError) and not type(error).__module__.startswith(
                ("mlflow.", "sqlalchemy.", "alembic.", "sqlite3")
            ):
                raise
            first = (str(error).splitlines() or [""])[0]
            raise RegistryError(
                f"{doing} failed in {self._folder}: {type(error).__name__}: {first}. Mend what it names and try again"
            ) from error


def _model_name(question: str) -> str:
    if question not in MODEL_NAMES:
        raise RegistryError(f"the question must be one of {', '.join(MODEL_NAMES)}; it is {question!r}")
    return MODEL_NAMES[question]


def _alias(client: MlflowClient, name: str, alias: str) -> str | None:
    version = client.get_registered_model(name).aliases.get(alias)
    return None if version is None else str(version)
