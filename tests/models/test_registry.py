"""Behaviour of the model registry: what is recorded, what is live, and since when."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.bundle import save_bundle
from models.promotion_log import PromotionLogError
from models.registry import ModelRegistry, ModelVersion, RegistryError
from models.run_record import RunRecordError
from tests.models.test_bundle import make_bundle as a_bundle

MODELS = Path(__file__).parents[2] / "models"
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI", "PYTEST_CURRENT_TEST"}
HOUR = timedelta(hours=1)
EVALUATION = {"question": "deals", "rows": 10, "scorers": {"model": {"metrics": {"auc": {"value": None}}}}}


def make_bundle(folder: Path, *, base_rate: float = 0.25) -> Path:
    return save_bundle(a_bundle(base_rate=base_rate), folder)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def record(registry: ModelRegistry, bundle: Path, question: str = "deals", **changed: Any) -> ModelVersion:
    what: dict[str, Any] = {
        "bundle": bundle,
        "parameters": {"model": {"leaves": 7, "features": ["amount", "stage"]}, "seed": 11},
        "metrics": {"log_loss": 0.41, "auc": 0.77},
        "evaluation": EVALUATION,
        "tags": {"as_of": "2026-03-01T00:00:00+00:00"},
        "files": {"figures/gains.svg": "<svg/>"},
        "description": "# A card",
        "report": None,
        "run_name": "deals 2026-03-01",
        "started_at": MONDAY,
    }
    return registry.record(question, **(what | changed))


@pytest.fixture(scope="session")
def first_use(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose registry holds two versions for deals, none promoted; copied, since it takes seconds to make."""
    home = tmp_path_factory.mktemp("registry") / "100% home"
    registry = ModelRegistry(home)
    record(registry, make_bundle(home.parent / "a"))
    record(registry, make_bundle(home.parent / "b", base_rate=0.5))
    return home


@pytest.fixture
def registry(first_use: Path, tmp_path: Path) -> ModelRegistry:
    shutil.copytree(first_use, tmp_path / "home")
    return ModelRegistry(tmp_path / "home")


def test_an_empty_registry_answers_without_creating_anything(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "home")

    assert registry.champion("deals") is None
    assert registry.versions("deals") == []
    assert registry.live_at("deals", MONDAY) is None
    assert not (tmp_path / "home").exists()


def test_a_missing_champion_says_to_train_first(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "home")

    with pytest.raises(RegistryError, match='leadline-deals has no champion yet: run "leadline train" first'):
        registry.require_champion("deals")


def test_a_recorded_model_is_the_challenger_and_not_live(registry: ModelRegistry) -> None:
    first, second = registry.versions("deals")

    assert (first.version, first.aliases) == ("1", ())
    assert (second.version, second.aliases) == ("2", ("challenger",))
    assert registry.champion("deals") is None
    assert registry.of_bundle("deals", "deals-of-elsewhere") is None


def test_what_was_recorded_is_read_back(registry: ModelRegistry) -> None:
    found = registry.get("deals", "1")

    assert found.run_name == "deals 2026-03-01"
    assert found.started_at == MONDAY
    assert found.metrics == {"log_loss": 0.41, "auc": 0.77}
    assert found.parameters == {"model.leaves": "7", "model.features": '["amount", "stage"]', "seed": "11"}
    assert found.tags == {"as_of": "2026-03-01T00:00:00+00:00"}
    assert found.report is None
    assert registry.evaluation("deals", "1") == EVALUATION


def test_the_bundle_is_kept_byte_for_byte(registry: ModelRegistry, tmp_path: Path) -> None:
    original = make_bundle(tmp_path / "original")

    assert digests(registry.get("deals", "1").bundle) == digests(original)


def test_nothing_in_the_registry_is_a_pickle_and_its_code_is_ours(registry: ModelRegistry, tmp_path: Path) -> None:
    registry.promote("deals", "1", reason="better", at=MONDAY)

    files = {path for path in tmp_path.rglob("*") if path.is_file()}

    assert {path.suffix for path in files} == {".db", ".json", ".jsonl", ".txt", ".py", ".svg", ".yaml", ""}
    code = [path for path in files if path.suffix == ".py"]
    assert {path.name for path in code} == {"published.py", "pyfunc_model.py"}
    assert all(path.read_bytes() == (MODELS / path.name).read_bytes() for path in code)
    assert not [path for path in files if path.suffix == "" and path.name not in ("MLmodel", "lock")]
    assert not [path for path in files if path.read_bytes()[:2] in {b"\x80\x04", b"\x80\x05"}]


def test_promoting_makes_a_version_live(registry: ModelRegistry) -> None:
    line = registry.promote("deals", "2", reason="passed the gate", at=MONDAY)

    champion = registry.require_champion("deals")
    assert (champion.version, champion.aliases) == ("2", ("champion",))
    assert (line.from_version, line.to_version, line.who) == (None, "2", "cli")


def test_rollback_and_promote_undo_each_other(registry: ModelRegistry) -> None:
    registry.promote("deals", "1", reason="first", at=MONDAY)
    registry.promote("deals", "2", reason="better", at=MONDAY + HOUR)

    registry.rollback("deals", reason="complaints", at=MONDAY + 2 * HOUR)
    after_rollback = registry.require_champion("deals").version
    registry.promote("deals", "2", reason="was a false alarm", at=MONDAY + 3 * HOUR)
    after_promote = registry.require_champion("deals").version
    registry.rollback("deals", reason="was none", at=MONDAY + 4 * HOUR)

    assert (after_rollback, after_promote) == ("1", "2")
    assert registry.require_champion("deals").version == "1"


def test_rollback_without_an_earlier_champion_is_refused(registry: ModelRegistry) -> None:
    with pytest.raises(RegistryError, match="the promotion log has none"):
        registry.rollback("deals", reason="why not", at=MONDAY)

    registry.promote("deals", "1", reason="first", at=MONDAY)
    with pytest.raises(RegistryError, match="the promotion log has only version 1"):
        registry.rollback("deals", reason="why not", at=MONDAY + HOUR)


def test_promoting_the_live_version_again_adds_no_line(registry: ModelRegistry) -> None:
    first = registry.promote("deals", "1", reason="first", at=MONDAY)

    again = registry.promote("deals", "1", reason="retry after a crash", at=MONDAY + HOUR)

    assert again == first
    assert registry.promotions("deals") == [first]


def test_the_log_answers_what_was_live_when(registry: ModelRegistry) -> None:
    registry.promote("deals", "1", reason="first", at=MONDAY)
    registry.promote("deals", "2", reason="better", at=MONDAY + HOUR)
    registry.rollback("deals", reason="complaints", at=MONDAY + 2 * HOUR)

    assert registry.live_at("deals", MONDAY - timedelta(microseconds=1)) is None
    assert registry.live_at("deals", MONDAY) == "1"
    assert registry.live_at("deals", MONDAY + HOUR) == "2"
    assert registry.live_at("deals", MONDAY + 2 * HOUR) == "1"
    assert registry.live_at("contacts", MONDAY + 2 * HOUR) is None


def test_the_promotion_log_only_grows(registry: ModelRegistry, tmp_path: Path) -> None:
    log = tmp_path / "home" / "registry" / "promotions.jsonl"
    registry.promote("deals", "1", reason="first", at=MONDAY)
    before = log.read_text()

    registry.promote("deals", "2", reason="better", at=MONDAY + HOUR)

    assert log.read_text().startswith(before)
    assert json.loads(log.read_text().splitlines()[1]) == {
        "question": "deals",
        "action": "promote",
        "from": "1",
        "to": "2",
        "at": "2026-03-02T10:00:00+00:00",
        "reason": "better",
        "who": "cli",
    }


def test_a_damaged_promotion_log_is_named_with_its_line(registry: ModelRegistry, tmp_path: Path) -> None:
    registry.promote("deals", "1", reason="first", at=MONDAY)
    log = tmp_path / "home" / "registry" / "promotions.jsonl"
    log.write_text(log.read_text() + '{"question": "deals"\n')

    with pytest.raises(PromotionLogError, match="line 2 is none"):
        registry.champion("deals")


def test_an_unknown_version_lists_the_known_ones(registry: ModelRegistry) -> None:
    with pytest.raises(RegistryError, match="leadline-deals must have version '7'; it has 1, 2"):
        registry.promote("deals", "7", reason="typo", at=MONDAY)

    with pytest.raises(RegistryError, match='it has none yet: run "leadline train" first'):
        registry.get("contacts", "1")


def test_an_unknown_question_is_refused(registry: ModelRegistry) -> None:
    with pytest.raises(RegistryError, match="one of contacts, deals; it is 'leads'"):
        registry.champion("leads")


def test_a_time_without_a_zone_is_refused(registry: ModelRegistry) -> None:
    with pytest.raises(PromotionLogError, match="must carry a zone"):
        registry.promote("deals", "1", reason="first", at=datetime(2026, 3, 2))  # noqa: DTZ001


def test_a_report_can_be_attached_later_and_replaced(registry: ModelRegistry, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>old</p>")
    registry.attach("deals", "1", artifact=report)
    report.write_text("<p>new</p>")

    registry.attach("deals", "1", artifact=report)

    kept = registry.get("deals", "1").report
    assert kept is not None
    assert kept.read_text() == "<p>new</p>"


def test_an_attachment_cannot_replace_the_evaluation(registry: ModelRegistry, tmp_path: Path) -> None:
    forged = tmp_path / "evaluation.json"
    forged.write_text("{}")

    with pytest.raises(RegistryError, match="an attachment must be a file"):
        registry.attach("deals", "1", artifact=forged)


@pytest.mark.parametrize("name", ["model.pkl", "code.py", "MLmodel", "weights.joblib"])
def test_a_bundle_with_code_or_a_pickle_is_refused(registry: ModelRegistry, tmp_path: Path, name: str) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / name).write_bytes(b"")

    with pytest.raises(RunRecordError, match="a bundle must be data"):
        record(registry, bundle)

    assert len(registry.versions("deals")) == 2


def test_an_evaluation_that_is_not_json_is_refused_before_anything_is_written(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    with pytest.raises(RunRecordError, match="null for a missing number"):
        record(registry, make_bundle(tmp_path / "bundle"), evaluation={"auc": float("nan")})

    assert len(registry.versions("deals")) == 2


def test_the_questions_do_not_share_versions_or_champions(registry: ModelRegistry, tmp_path: Path) -> None:
    registry.promote("deals", "2", reason="better", at=MONDAY)

    recorded = record(registry, make_bundle(tmp_path / "bundle"), "contacts", report=make_report(tmp_path))

    assert recorded.version == "1"
    assert recorded.report is not None
    assert registry.champion("contacts") is None


def make_report(folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text("<h1>Report</h1>")
    return path


def test_a_home_that_was_moved_still_reads_and_records(registry: ModelRegistry, tmp_path: Path) -> None:
    (tmp_path / "home").rename(tmp_path / "moved home")
    moved = ModelRegistry(tmp_path / "moved home")

    recorded = record(moved, make_bundle(tmp_path / "bundle"))

    assert [version.version for version in moved.versions("deals")] == ["1", "2", "3"]
    assert digests(moved.get("deals", "1").bundle) == digests(recorded.bundle)
    assert not (tmp_path / "home").exists()


def test_a_long_parameter_is_shortened_in_mlflow_and_kept_whole_beside_it(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    names = [f"feature_{number:04d}" for number in range(1000)]

    recorded = record(registry, make_bundle(tmp_path / "bundle"), parameters={"features": names})

    assert recorded.parameters["features"].endswith("... (whole in parameters.json)")
    assert json.loads((recorded.bundle.parent / "parameters.json").read_text()) == {"features": names}


def test_mlflow_itself_shows_the_run_with_its_artifacts(registry: ModelRegistry, tmp_path: Path) -> None:
    recorded = record(registry, make_bundle(tmp_path / "bundle"), "contacts", tags={"data_digest": "d" * 64})
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)
    run = client.get_run(recorded.run_id)
    entry = client.get_model_version("leadline-contacts", "1")

    assert run.info.status == "FINISHED"
    assert run.data.metrics["auc"] == 0.77
    assert run.data.params["model.leaves"] == "7"
    assert {found.path for found in client.list_artifacts(recorded.run_id)} == {
        "bundle",
        "figures",
        "MLmodel",
        "evaluation.json",
        "input_example.json",
        "parameters.json",
        "published.py",
        "pyfunc_model.py",
        "python_env.yaml",
        "requirements.txt",
    }
    assert entry.source == recorded.bundle.parent.as_uri()
    assert entry.description == "# A card"
    assert [(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs] == [("CRM tables", "d" * 36)]


def test_mlflow_sends_no_telemetry_and_writes_only_under_home(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    work = tmp_path / "work"
    work.mkdir()
    program = (
        "import sys, datetime, pathlib\n"
        "from models.registry import ModelRegistry\n"
        "registry = ModelRegistry(pathlib.Path(sys.argv[1]))\n"
        "registry.record('deals', bundle=pathlib.Path(sys.argv[2]), parameters={}, metrics={}, evaluation={},\n"
        "    tags={}, files={}, description='', report=None,\n"
        "    run_name='run', started_at=datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC))\n"
        "from mlflow.telemetry.client import get_telemetry_client\n"
        "assert get_telemetry_client() is None\n"
    )
    quiet = {name: value for name, value in os.environ.items() if name not in NO_TELEMETRY}

    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "home"), str(bundle)],
        cwd=work,
        env=quiet,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list(work.iterdir()) == []


def test_what_a_killed_first_use_left_behind_does_not_matter(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "registry"
    folder.mkdir(parents=True)
    (folder / "mlflow.db.partial").write_bytes(b"half a database")
    (folder / "mlflow.db.partial-journal").write_bytes(b"half a journal")

    recorded = record(ModelRegistry(tmp_path / "home"), make_bundle(tmp_path / "bundle"))

    assert recorded.version == "1"
    assert {path.name for path in folder.iterdir()} == {"artifacts", "lock", "mlflow.db"}


def test_a_store_that_is_no_database_is_told_in_our_words(tmp_path: Path) -> None:
    store = tmp_path / "registry" / "mlflow.db"
    store.parent.mkdir()
    store.write_text("this is not a database, however long one makes it " * 40)

    with pytest.raises(RegistryError, match="listing the models for deals failed"):
        ModelRegistry(tmp_path).versions("deals")
