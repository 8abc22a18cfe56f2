"""The audit as a command, and drift from the batch to the report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.tables import CrmTables
from flows.auditing import drift_of
from models.bundle import load_bundle
from tests.flows.commands import (
    FOLDER,
    TINY,
    Installed,
    install,
    leadline,
    leadline_json,
    tiny_tables,
    write_config,
    write_csv,
)

# Enough deals to tell the closed ones from the open ones.
WRONGLY_VOUCHED = """\
source: {kind: synthetic, contacts: 900, months: 12, seed: 7}
bootstrap_replicates: 20
properties: {deals: {safe: [days_to_close]}}
"""


def with_a_late_property(tables: CrmTables) -> CrmTables:
    """Give the contacts a history of ``last_seen`` that holds, from the first day on, what became known later."""
    contacts = tables["contacts"].dropna(subset=["last_activity_at"])
    late = pd.DataFrame(
        {
            "object_type": "contact",
            "object_id": contacts["contact_id"],
            "property": "last_seen",
            "value": contacts["last_activity_at"],
            "known_at": contacts["created_at"],
        }
    )
    history = pd.concat([tables["property_history"], late], ignore_index=True)
    return CrmTables(frames={**tables.frames, "property_history": history}, absent=tables.absent)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("audited"), TINY)


def test_the_audit_refuses_by_name_with_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_csv(with_a_late_property(tiny_tables()), tmp_path / "data")
    config = write_config(tmp_path, FOLDER)

    result = leadline("audit", "--config", config, "--data", data, "--as-of", "2026-01-01")

    assert result.exit_code == 1
    assert "REFUSED last_seen (history: known_at of each value): records of the past that lie after" in result.stdout
    assert "Left out email: personal data" in result.stdout
    assert not (tmp_path / "var").exists()


def test_the_audit_warns_of_what_is_wrongly_vouched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, WRONGLY_VOUCHED)

    result = leadline("audit", "--config", config)
    found = {one["question"]: one for one in leadline_json("audit", "--config", config)}
    checked = leadline_json("check", "--config", config)

    assert result.exit_code == 0
    assert "WARNING: used only because the configuration vouches for it: property_days_to_close" in result.stdout
    columns = {one["name"]: one for one in found["deals"]["columns"]}
    assert columns["property_days_to_close"]["use"] == "warned"
    assert columns["property_days_to_close"]["filled_without_outcome"] == 0.0
    assert [one["column"] for one in checked if one["code"] == "vouched-against-its-name"] == ["days_to_close"]


def test_a_batch_tells_its_drift_and_the_report_shows_it(tiny: Installed) -> None:
    batch = next(iter(tiny.workplace.store().batches()))

    told = batch.summary["drift"]

    assert set(told) == {"contacts", "deals"}
    assert told["contacts"]["features"][0]["psi"] >= told["contacts"]["features"][-1]["psi"]
    assert "How far today differs from the past" in Path(tiny.said["report"]).read_text(encoding="utf-8")


def test_a_model_that_kept_no_past_tells_no_drift(tiny: Installed) -> None:
    champion = tiny.workplace.registry().require_champion("deals")
    bundle = load_bundle(champion.bundle)
    bundle.evaluation.pop("drift")

    assert drift_of(bundle, pd.DataFrame({"deal_id": ["d1"]})) is None
