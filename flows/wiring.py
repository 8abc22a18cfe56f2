"""The one place that builds the real parts from settings; tests hand in others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd
from pydantic import SecretBytes

from features.sources.base import Source
from flows.config_file import ConfigurationError
from flows.console import Ticker
from flows.machine import machine_memory
from flows.places import store_of
from flows.settings import (
    CsvExportSettings,
    FolderSettings,
    HubSpotSourceSettings,
    Settings,
    SyntheticSourceSettings,
    WarehouseSourceSettings,
    hubspot_credentials,
    load_mapping,
    load_rules,
    load_settings,
    public_key,
    resolve,
    signing_key,
    warehouse_address,
)
from models.rules.sheet import PointRules
from models.signing import Trust

if TYPE_CHECKING:
    from features.engines.engine import BehaviourEngine
    from features.warehouse import ActivityWarehouse
    from models.registry import ModelRegistry
    from serving.store import ScoreStore


ACTIVITIES: Final = "activities.duckdb"


@dataclass(frozen=True)
class Workplace:
    """Where one installation keeps everything, and what it was told.

    ``accepts_tables`` means that a person has seen how unlike last time's the tables are.
    """

    settings: Settings
    rules: PointRules
    source: Source
    source_name: str
    home: Path
    config: Path | None = None
    public_key: bytes | None = None
    accepts_tables: bool = False

    @property
    def signing_key(self) -> SecretBytes | None:
        """The key that signs new models, read when one is made: who only scores need not have it."""
        return signing_key(self.settings, config=self.config)

    @property
    def trust(self) -> Trust:
        """What a model must show before it is loaded."""
        return Trust(
            public_key=self.public_key,
            required=self.settings.signing.required,
            memory=self.home / "registry" / "tried",
        )

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

    @property
    def memory_bytes(self) -> int:
        """How much memory a run may use: what the settings say, else half of the machine's or its container's."""
        chosen = self.settings.memory_gigabytes
        return machine_memory() // 2 if chosen is None else int(chosen * 1024**3)

    def activities(self) -> ActivityWarehouse:
        """Return the warehouse of activities under home."""
        return open_activities(self.warehouse / ACTIVITIES, memory_bytes=self.memory_bytes)

    def unkept_activities(self, *, spill: Path | None) -> ActivityWarehouse:
        """Return a warehouse of activities that is forgotten when it is closed."""
        return open_activities(None, memory_bytes=self.memory_bytes, spill=spill)

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
        return store_of(self.home, settings=self.settings.store)


def make_workplace(*, config: Path, data: Path | None, home: Path, accepts_tables: bool = False) -> Workplace:
    """Build everything that a configuration names; ``data`` replaces the folder that files are read from."""
    settings = load_settings(config)
    source, name = make_source(settings, config=config, data=data, home=home)
    return Workplace(
        settings=settings,
        rules=load_rules(settings, config=config),
        source=source,
        source_name=name,
        home=home,
        config=config,
        public_key=public_key(settings, config=config),
        accepts_tables=accepts_tables,
    )


def make_source(settings: Settings, *, config: Path, data: Path | None, home: Path) -> tuple[Source, str]:
    """Return the source of CRM tables and a short name for it that gives no path away."""
    chosen = settings.source
    if isinstance(chosen, CsvExportSettings):
        from features.sources.csv_export.source import CsvExportSource

        file = resolve(chosen.mapping, config=config)
        if not file.is_file():
            message = f"'source.mapping' must name a mapping; there is none at {file}. Draft one with leadline map"
            raise ConfigurationError(file=config, message=message)
        return CsvExportSource(mapping=load_mapping(file), folder=data or file.parent), f"export, {file.name}"
    if isinstance(chosen, FolderSettings) or data is not None:
        from features.sources.folder import FolderSource

        configured = chosen.path if isinstance(chosen, FolderSettings) else None
        folder = data or (resolve(configured, config=config) if configured else None)
        if folder is None:
            raise ConfigurationError(
                file=config, message="'source.path' is empty; set it, or name a folder with --data"
            )
        return FolderSource(folder), f"folder {folder.name}"
    if isinstance(chosen, HubSpotSourceSettings):
        from features.sources.hubspot.source import HubSpotSource, landing_file

        source = HubSpotSource(
            settings=chosen,
            credentials=hubspot_credentials(),
            file=landing_file(home),
            now=lambda: datetime.now(UTC),
            tell=Ticker().tell,
        )
        return source, "HubSpot"
    if isinstance(chosen, WarehouseSourceSettings):
        from features.sources.warehouse.source import WarehouseSource

        return WarehouseSource(settings=chosen, address=warehouse_address()), f"warehouse, landed by {chosen.landing}"
    from features.sources.synthetic import SyntheticSource

    return SyntheticSource(chosen), f"invented CRM, seed {chosen.seed}, {chosen.contacts:,} contacts"


def default_as_of(settings: Settings, *, now: datetime) -> pd.Timestamp:
    """Return the as-of of a run that names none: now, or the end of an invented history."""
    source = settings.source
    return pd.Timestamp(source.end if isinstance(source, SyntheticSourceSettings) else now).as_unit("us")


def open_activities(file: Path | None, *, memory_bytes: int, spill: Path | None = None) -> ActivityWarehouse:
    """Return the warehouse of activities in a file, or without one in memory; the rest of the run needs memory too."""
    from features.warehouse import ActivityWarehouse

    return ActivityWarehouse(file, memory_bytes=memory_bytes // 4, spill=spill)


def registry_of(home: Path) -> ModelRegistry:
    """Return the model registry under a home."""
    from models.registry import ModelRegistry

    return ModelRegistry(home)
