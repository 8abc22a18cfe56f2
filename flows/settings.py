"""Settings: one YAML file over documented defaults, checked before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr

from features.catalogue import Question
from features.engines.spark_session import SparkSettings
from features.feature_contract import FeatureSettings
from features.plausibility import PlausibilitySettings
from features.properties import PropertySettings
from features.snapshots import SnapshotSettings
from features.sources.csv_export.mapping import ExportMapping
from features.sources.hubspot.client import Credentials
from features.sources.hubspot.kinds import HubSpotSettings
from features.sources.synthetic import SyntheticSettings
from features.sources.warehouse.settings import WarehouseSettings
from flows.config_file import ConfigurationError, over_defaults, read_yaml, validated
from models.audit import AuditSettings
from models.calibration import CalibrationSettings
from models.contact_fit import ContactSettings
from models.cutoffs import SplitSettings
from models.driver_refits import DriverSettings
from models.gate import GateSettings
from models.ladder import LadderSettings
from models.landmark import LandmarkSettings
from models.rules.sheet import PointRules
from models.signing import SigningSettings
from models.subgroups import SegmentSettings
from models.training import TrainingSettings
from serving.settings import ApiSettings, StoreSettings
from serving.writeback.fields import WriteBackSettings

SIGNING_KEY_VARIABLE: Final = "LEADLINE_SIGNING_KEY"
CONFIGS: Final = Path(__file__).resolve().parent.parent / "configs"


class FolderSettings(BaseModel):
    """A folder of CSV, CSV.gz or Parquet tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["folder"]
    path: Path | None = Field(default=None, description="The folder; --data on the command line goes before it.")


class SyntheticSourceSettings(SyntheticSettings):
    """The invented CRM of the demo."""

    kind: Literal["synthetic"]


class HubSpotSourceSettings(HubSpotSettings):
    """A HubSpot account; its token comes from the environment alone."""

    kind: Literal["hubspot"]


class WarehouseSourceSettings(WarehouseSettings):
    """A schema of a database; the URL that leads there comes from the environment alone."""

    kind: Literal["warehouse"]


class CsvExportSettings(BaseModel):
    """Files of HubSpot's export button."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["csv_export"]
    mapping: Path = Field(description="What their columns mean; leadline map drafts it. The files lie beside it.")


SourceSettings = Annotated[
    FolderSettings | SyntheticSourceSettings | HubSpotSourceSettings | WarehouseSourceSettings | CsvExportSettings,
    Field(discriminator="kind"),
]


class Settings(BaseModel):
    """Everything a run is told, besides the data, the as-of and the home."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    title: str = Field(default="Lead scores", description="Heads the report.")
    language: Literal["en", "de"] = Field(default="en", description="The report's language: en or de.")
    calls_a_week: float | None = Field(
        default=None, gt=0, description="How many contacts the team can call a week; the report says how far that goes."
    )
    source: SourceSettings = SyntheticSourceSettings(kind="synthetic")
    questions: tuple[Question, ...] = Field(default=("contacts", "deals"), min_length=1, description="What is scored.")
    horizon_days: float = Field(default=90.0, gt=0, description="Contacts: won within this many days.")
    retrain_after_days: float = Field(default=30.0, ge=0, description="A run trains again once the model is older.")
    point_rules: Path | None = Field(default=None, description="The rule sheet to compare with; empty for none.")
    bootstrap_replicates: int = Field(default=200, ge=20, description="Draws behind each 95 % interval.")
    seed: int = Field(default=7, description="Seeds the bootstrap.")
    memory_gigabytes: float | None = Field(
        default=None,
        ge=0.5,
        description="How much memory a run may use, about; empty means half of the machine's or its container's.",
    )
    stall_quantile: float = Field(
        default=0.95, gt=0.5, lt=1, description="A deal is stalled once this share of deals had left its stage."
    )
    engine: Literal["local", "spark"] = Field(
        default="local", description="What computes behaviour features: this machine, or Apache Spark."
    )
    spark: SparkSettings = SparkSettings()
    plausibility: PlausibilitySettings = PlausibilitySettings()
    properties: PropertySettings = PropertySettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    features: FeatureSettings = FeatureSettings()
    split: SplitSettings = SplitSettings()
    ladder: LadderSettings = LadderSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    gate: GateSettings = GateSettings()
    contacts: ContactSettings = ContactSettings()
    deals: LandmarkSettings = LandmarkSettings()
    audit: AuditSettings = AuditSettings()
    drivers: DriverSettings = DriverSettings()
    segments: SegmentSettings = SegmentSettings()
    signing: SigningSettings = SigningSettings()
    writeback: WriteBackSettings = WriteBackSettings()
    store: StoreSettings = StoreSettings()
    api: ApiSettings = ApiSettings()

    def training(self, rules: PointRules) -> TrainingSettings:
        """Return what a training needs of these settings."""
        shared = {name: getattr(self, name) for name in TrainingSettings.model_fields if name != "rules"}
        return TrainingSettings(**shared, rules=rules)


def load_settings(file: Path) -> Settings:
    """Read a configuration; keys it does not name, at whatever depth, keep the defaults of ``configs/base.yaml``."""
    return validated(Settings, over_defaults(read_yaml(file), defaults=Settings()), file=file)


def load_rules(settings: Settings, *, config: Path) -> PointRules:
    """Read the rule sheet that the settings name, or return rules without criteria."""
    if settings.point_rules is None:
        return PointRules()
    return load_rule_file(resolve(settings.point_rules, config=config))


def load_rule_file(file: Path) -> PointRules:
    """Read a rule sheet; what is wrong with it is told with its line and its key."""
    return validated(PointRules, read_yaml(file), file=file)


def load_mapping(file: Path) -> ExportMapping:
    """Read a mapping of exported files; what is wrong with it is told with its line and its key."""
    return validated(ExportMapping, read_yaml(file), file=file)


def resolve(path: Path, *, config: Path) -> Path:
    """Find a path of the configuration: from the working directory, else from beside or above the configuration."""
    candidates = [path, config.parent / path, config.resolve().parent.parent / path]
    return next((candidate for candidate in candidates if candidate.exists()), path)


def signing_key(settings: Settings, *, config: Path | None) -> SecretBytes | None:
    """Return the PEM of the key that signs new models: from the environment, else from its file; None for no key."""
    written = os.environ.get(SIGNING_KEY_VARIABLE)
    if written:
        return SecretBytes(written.encode())
    content = _key(settings.signing.private_key, name="private_key", config=config)
    return None if content is None else SecretBytes(content)


def public_key(settings: Settings, *, config: Path | None) -> bytes | None:
    """Return the PEM of the key that signed models are checked with; None for no check."""
    return _key(settings.signing.public_key, name="public_key", config=config)


def _key(path: Path | None, *, name: str, config: Path | None) -> bytes | None:
    if path is None:
        return None
    file = path if config is None else resolve(path, config=config)
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            file=config or file, message=f"'signing.{name}' must name a PEM file; {file}: {error.strerror}"
        ) from error


def hubspot_credentials() -> Credentials:
    """Return what opens HubSpot, from the environment: a token, or what a public app refreshes its own with."""
    return Credentials(
        token=_secret("LEADLINE_HUBSPOT_TOKEN"),
        client_id=os.environ.get("LEADLINE_HUBSPOT_CLIENT_ID") or None,
        client_secret=_secret("LEADLINE_HUBSPOT_CLIENT_SECRET"),
        refresh_token=_secret("LEADLINE_HUBSPOT_REFRESH_TOKEN"),
    )


def warehouse_address() -> SecretStr | None:
    """Return the URL that leads to the warehouse, from the environment."""
    return _secret("LEADLINE_WAREHOUSE_URL")


def _secret(variable: str) -> SecretStr | None:
    text = os.environ.get(variable)
    return SecretStr(text) if text else None
