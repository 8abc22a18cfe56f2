"""A warehouse that somebody else fills, as a person types it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from features.sources.hubspot_sandbox.account import Account
from features.sources.hubspot_sandbox.filling import fill
from tests.features.hubspot_accounts import VirtualClock
from tests.features.landings import as_fivetran
from tests.flows.commands import END, leadline, leadline_json, tiny_tables, write_config

CONFIG = """\
source: {kind: warehouse, landing: fivetran, schema: crm, contact_properties: [job_level, country]}
bootstrap_replicates: 20
"""


def test_a_landing_is_checked_and_its_address_told_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account = Account(now=VirtualClock(END.to_pydatetime()).now)
    fill(account, tiny_tables(contacts=60))
    folder = tmp_path / "canary-4711"
    folder.mkdir()
    address = as_fivetran(account).to_duckdb(folder / "crm.duckdb", schema="crm")
    monkeypatch.setenv("LEADLINE_WAREHOUSE_URL", address.get_secret_value())
    config, home = write_config(tmp_path, CONFIG), tmp_path / "home"

    findings = leadline_json("check", "--config", config, "--home", home, "--as-of", END.isoformat())

    assert "landing-lacks" in {finding["code"] for finding in findings}
    assert [finding for finding in findings if finding["severity"] == "error"] == []
    assert "canary-4711" not in caplog.text + json.dumps(findings)
    assert not home.exists()


def test_without_an_address_the_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEADLINE_WAREHOUSE_URL", raising=False)

    result = leadline("check", "--config", write_config(tmp_path, CONFIG), "--home", tmp_path / "home")

    assert result.exit_code == 2
    assert "LEADLINE_WAREHOUSE_URL; found nothing" in result.stderr
