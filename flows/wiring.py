"""The one place that builds the real parts from settings; tests hand in others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from features.sources.base import Source
from flows.settings import (
    ConfigurationError,
    FolderSettings,
    Settings,
    SyntheticSourceSettings,
    load_rules,
    load_settings,
    resolve,
    store_url,
)
from models.point_rules import PointRules

if TYPE_CHECKING:
    from features.engines.engine import BehaviourEngine
    from models.registry import ModelRegistry
    from serving.store import ScoreStore


@dataclass(frozen=True)
class Workplace:
    """Where one installation keeps everything, and what it was told."""

    settings: Settings
    rules: PointRules
    source: Source
    source_name: str
    home: Path

    @property
    def warehouse(self) -> Path:
        """Tables as they were extracted."""
        return self.home / "warehouse"

    @property
    def work(self) -> Path:
        """Intermediate results of a run."""
        return self.home / "work"

    @property
    def reports(self) -> Path:
        """One report for each batch."""
        return self.home / "reports"

    @property
    def exports(self) -> Path:
        """Files that the demo writes for people to look at."""
        return self.home / "exports"

    def engine(self) -> BehaviourEngine:
        """Return what computes behaviour features."""
        if self.settings.engine == "local":
            from features.engines.engine import LocalEngine

            return LocalEngine()
        from features.engines.spark import SparkEngine

        spark = self.settings.spark
        return SparkEngine(settings=spark, exchange=spark.exchange or self.work / "spark", scratch=self.home / "spark")

    def registry(self) -> ModelRegistry:
        """Return the model registry."""
        return registry_of(self.home)

    def store(self) -> ScoreStore:
        """Return the score store."""
        return store_of(self.home)


def make_workplace(*, config: Path, data: Path | None, home: Path) -> Workplace:
    """Build everything that a configuration names; ``data`` replaces the folder of a folder source."""
    settings = load_settings(config)
    source, name = make_source(settings, config=config, data=data)
    return Workplace(
        settings=settings, rules=load_rules(settings, config=config), source=source, source_name=name, home=home
    )


def make_source(settings: Settings, *, config: Path, data: Path | None) -> tuple[Source, str]:
    """Return the source of CRM tables and a short name for it that gives no path away."""
    chosen = settings.source
    if isinstance(chosen, FolderSettings) or data is not None:
        from features.sources.folder import FolderSource

        configured = chosen.path if isinstance(chosen, FolderSettings) else None
        folder = data or (resolve(configured, config=config) if configured else None)
        if folder is None:
            raise ConfigurationError(
                file=config, message="'source.path' is empty; set it, or name a folder with --data"
            )
        return FolderSource(folder), f"folder {folder.name}"
    from features.sources.synthetic import SyntheticSource

    return SyntheticSource(chosen), f"invented CRM, seed {chosen.seed}, {chosen.contacts:,} contacts"


def default_as_of(settings: Settings, *, now: datetime) -> pd.Timestamp:
    """Return the as-of of a run that names none: now, or the end of an invented history."""
    source = settings.source
    return pd.Timestamp(source.end if isinstance(source, SyntheticSourceSettings) else now).as_unit("us")


def registry_of(home: Path) -> ModelRegistry:
    """Return the model registry under a home."""
    from models.registry import ModelRegistry

    return ModelRegistry(home)


def store_of(home: Path) -> ScoreStore:
    """Return the score store of a home: SQLite in it, or the database that the environment names."""
    from serving.store import ScoreStore

    home.mkdir(parents=True, exist_ok=True)
    return ScoreStore(store_url(home).get_secret_value())
