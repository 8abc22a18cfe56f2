"""How Prefect runs here: quiet, private, without a server of its own to look after."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

SETTINGS: Final = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    # Its own limit of 20 s is too short for a slow machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    # Without this it writes results as pickles.
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
}


def prepare(home: Path) -> None:
    """Set Prefect's environment where the user has not; must be called before Prefect is first imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    folder = (home / "prefect").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(folder))
