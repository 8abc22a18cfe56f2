from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.prefect_environment import SETTINGS, prepare


def test_prefect_stays_quiet_private_and_under_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SETTINGS, "PREFECT_HOME"):
        # Set first, so that it is put back as it was even if it was not there.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")

    prepare(tmp_path / "home")

    assert os.environ["PREFECT_HOME"] == str(tmp_path / "home" / "prefect")
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.environ["PREFECT_RESULTS_DEFAULT_SERIALIZER"] == "json"
    # What the user has set stays.
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "DEBUG"
