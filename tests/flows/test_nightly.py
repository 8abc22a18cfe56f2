from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.prefect_environment import prepare
from tests.flows.commands import (
    FOLDER,
    TINY,
    Installed,
    contents,
    leadline,
    tiny_tables,
    write_config,
    write_csv,
)

HOUSE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Nights:
    """A Prefect that runs for the tests only, in a folder of its own."""

    folder: Path


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    folder = tmp_path_factory.mktemp("prefect")
    before = dict(os.environ)
    prepare(folder)
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield Nights(folder)
    os.environ.clear()
    os.environ.update(before)


@dataclass(frozen=True)
class Night:
    said: dict[str, Any]
    home: Path
    config: Path


@pytest.fixture(scope="module")
def night(prefect: Nights, tmp_path_factory: pytest.TempPathFactory) -> Night:
    from flows.nightly import nightly

    folder = tmp_path_factory.mktemp("night")
    config = write_config(folder, TINY)
    said = nightly(config=str(config), home=str(folder / "home"))
    return Night(said=said, home=folder / "home", config=config)


def test_a_night_publishes_what_the_plain_run_publishes(night: Night, tiny: Installed) -> None:
    def comparable(said: dict[str, Any]) -> dict[str, Any]:
        return said | {"report": Path(said["report"]).name}

    assert comparable(night.said) == comparable(tiny.said)
    assert night.said["already_published"] is False


def test_a_night_repeated_from_the_command_line_publishes_nothing_new_and_prints_json_alone(night: Night) -> None:
    result = leadline("run", "--config", night.config, "--home", night.home, "--prefect", "--json")

    said = json.loads(result.stdout)
    assert said["already_published"] is True
    assert (said["batch_id"], said["trained"]) == (night.said["batch_id"], [])


def test_a_night_is_summed_up_for_people() -> None:
    from flows.nightly import summary

    told = summary(
        {
            "batch_id": "b1",
            "rows": {"contacts": 1200},
            "findings": 2,
            "report": "var/reports/b1.html",
            "trained": [
                {
                    "question": "contacts",
                    "use": "rules",
                    "reasons": ["it does not beat your point rules"],
                    "not_promoted": "version 2 was rolled back",
                }
            ],
            "refused": {"deals": "deals cannot be scored: no deal"},
        }
    )

    assert told.splitlines() == [
        "# Batch b1",
        "",
        "- 1,200 contacts published",
        "- deals refused: deals cannot be scored: no deal",
        "- 2 findings in the tables",
        "- report: `var/reports/b1.html`",
        "",
        "## contacts: use your point rules",
        "",
        "- it does not beat your point rules",
        "- not promoted: version 2 was rolled back",
    ]


def test_a_night_leaves_a_summary_as_an_artifact(night: Night) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        left = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["leadline-run"])))

    assert {one.type for one in left} == {"markdown"}
    assert any(f"# Batch {night.said['batch_id']}" in str(one.data) for one in left)


def test_every_step_was_a_flow_of_its_own(night: Night) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        flows = {client.read_flow(run.flow_id).name for run in client.read_flow_runs()}

    assert {"extract", "train", "build_features", "score", "publish", "report", "nightly"} <= flows


def test_no_result_of_a_flow_is_kept_as_a_pickle(night: Night, prefect: Nights) -> None:
    """Prefect would pickle results by default; none is written at all."""
    from prefect.settings import get_current_settings

    storage = prefect.folder / "prefect" / "storage"
    kept = contents(storage) if storage.exists() else {}
    under_home = contents(night.home)

    assert get_current_settings().results.local_storage_path == storage
    assert kept == {}
    assert [name for name, data in under_home.items() if b"cloudpickle" in data or name.endswith(".pkl")] == []


def test_a_refusal_is_not_tried_again_a_minute_later(prefect: Nights, tmp_path: Path) -> None:
    """A retry waits for 30 seconds; the limit of this test is far below that."""
    import time

    from features.findings import RefusedTablesError
    from flows.nightly import extract

    folder = write_csv(tiny_tables(), tmp_path / "data", without=("stages",))
    config = write_config(tmp_path, FOLDER)
    started = time.monotonic()

    with pytest.raises(RefusedTablesError, match="stages must be there"):
        extract(str(config), str(folder), str(tmp_path / "home"), "2026-01-01T00:00:00+00:00")

    assert time.monotonic() - started < 20
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("error", "tried_again"),
    [
        ("serving.store:StoreUnreachableError", True),
        ("serving.store:StoreBusyError", True),
        ("builtins:ConnectionResetError", True),
        ("serving.store:BatchConflictError", False),
        ("flows.pipeline:NothingPublishableError", False),
        ("builtins:KeyError", False),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(error: str, tried_again: bool) -> None:
    import importlib

    from prefect.states import Failed

    from flows.nightly import may_pass

    module, name = error.split(":")
    failure = getattr(importlib.import_module(module), name)("gone")

    assert may_pass(None, None, Failed(data=failure)) is tried_again


def test_the_deployment_names_a_flow_that_prefects_own_loader_finds() -> None:
    from prefect.flows import load_flow_from_entrypoint

    (deployment,) = yaml.safe_load((HOUSE / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]

    flow = load_flow_from_entrypoint(deployment["entrypoint"])

    assert deployment["entrypoint"] == "flows.nightly.nightly"
    assert flow.name == deployment["name"] == "nightly"
    assert set(deployment["parameters"]) <= set(flow.parameters.properties)
    assert (HOUSE / deployment["parameters"]["config"]).exists()
