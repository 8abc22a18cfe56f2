"""Examine an installation: interpreter, packages, home, score store, configurations."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from features.engines.spark_session import require_spark
from features.errors import LeadScoringError
from flows.console import show_table
from flows.held import held_words, read_held
from flows.places import store_of
from flows.settings import CONFIGS, load_settings

PACKAGES: Final = ("numpy", "pandas", "pyarrow", "numba", "lightgbm", "scikit-learn", "mlflow", "prefect", "sqlalchemy")


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return asdict(self)


def examine(home: Path) -> list[Examined]:
    """Look at everything a run needs."""
    return [
        Examined("Python 3.11 or newer", sys.version_info >= (3, 11), platform.python_version()),
        *(_package(name) for name in PACKAGES),
        _home(home),
        _store(home),
        _held(home),
        *(_configuration(file) for file in sorted(CONFIGS.glob("*.yaml")) if not file.stem.endswith("_rules")),
    ]


def show_examination(results: Sequence[Examined]) -> None:
    """Print what was looked at."""
    show_table(
        title="Doctor",
        columns=["what", "state", "found"],
        rows=[[one.what, "ok" if one.ok else "BROKEN", one.found] for one in results],
    )


def _package(name: str) -> Examined:
    try:
        return Examined(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Examined(name, False, "not installed; run make setup")


def _home(home: Path) -> Examined:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return Examined("home can be written", False, f"{home}: {error.strerror}; choose another with --home")
    return Examined("home can be written", True, str(home))


def _store(home: Path) -> Examined:
    try:
        with closing(store_of(home)) as store:
            count = len(store.batches())
    except (LeadScoringError, OSError) as error:
        return Examined("score store answers", False, str(error))
    return Examined("score store answers", True, f"{count} batches")


def _held(home: Path) -> Examined:
    told = read_held(home)
    return Examined(
        "the last tables were accepted", told is None, "nothing is held back" if told is None else held_words(told)
    )


def _configuration(file: Path) -> Examined:
    try:
        if load_settings(file).engine == "spark":
            require_spark()
    except LeadScoringError as error:
        return Examined(f"configs/{file.name}", False, str(error))
    return Examined(f"configs/{file.name}", True, "valid")
