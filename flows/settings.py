"""Settings: one YAML file over documented defaults, checked before anything runs."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr, ValidationError

from features.catalogue import Question
from features.engines.spark_session import SparkSettings
from features.errors import LeadScoringError
from features.feature_contract import FeatureSettings
from features.properties import PropertySettings
from features.snapshots import SnapshotSettings
from features.sources.csv_export.mapping import ExportMapping
from features.sources.hubspot.client import Credentials
from features.sources.hubspot.kinds import HubSpotSettings
from features.sources.synthetic import SyntheticSettings
from features.sources.warehouse.settings import WarehouseSettings
from models.audit import AuditSettings
from models.calibration import CalibrationSettings
from models.contact_fit import ContactSettings
from models.cutoffs import SplitSettings
from models.driver_refits import DriverSettings
from models.gate import GateSettings
from models.ladder import LadderSettings
from models.landmark import LandmarkSettings
from models.point_rules import PointRules
from models.signing import SigningSettings
from models.subgroups import SegmentSettings
from models.training import TrainingSettings
from serving.settings import ApiSettings, StoreSettings
from serving.writeback.fields import WriteBackSettings

SIGNING_KEY_VARIABLE: Final = "LEADLINE_SIGNING_KEY"
_RENAMED: Final = {"high_from": "thresholds: {mql: ...}"}
CONFIGS: Final = Path(__file__).resolve().parent.parent / "configs"

Model = TypeVar("Model", bound=BaseModel)


class ConfigurationError(LeadScoringError):
    """The configuration cannot be used; the message names the file and the key."""

    def __init__(self, *, file: Path, message: str) -> None:
        self.file = file
        super().__init__(f"{file}: {message}")


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
        description="How much memory a run may use, about; empty means half of what the machine has.",
    )
    stall_quantile: float = Field(
        default=0.95, gt=0.5, lt=1, description="A deal is stalled once this share of deals had left its stage."
    )
    engine: Literal["local", "spark"] = Field(
        default="local", description="What computes behaviour features: this machine, or Apache Spark."
    )
    spark: SparkSettings = SparkSettings()
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
    return _validated(Settings, _over_defaults(_read_yaml(file), defaults=Settings()), file=file)


def load_rules(settings: Settings, *, config: Path) -> PointRules:
    """Read the rule sheet that the settings name, or return rules without criteria."""
    if settings.point_rules is None:
        return PointRules()
    return load_rule_file(resolve(settings.point_rules, config=config))


def load_rule_file(file: Path) -> PointRules:
    """Read a rule sheet; what is wrong with it is told with its line and its key."""
    return _validated(PointRules, _read_yaml(file), file=file)


def load_mapping(file: Path) -> ExportMapping:
    """Read a mapping of exported files; what is wrong with it is told with its line and its key."""
    return _validated(ExportMapping, _read_yaml(file), file=file)


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


_BOOLEAN: Final = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """Plain data only, and no key twice: of two, YAML would silently keep the later one.

    Truth values are ``true`` and ``false`` alone: YAML 1.1 would read the country code NO as false.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML declares it on the instance
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"found the key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(_BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError as error:
        raise ConfigurationError(file=file, message="no such file; name one with --config") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(file=file, message="cannot be read as UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ConfigurationError(file=file, message=f"{where}{problem}; correct the YAML") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(file=file, message=f"must hold keys and values, found {type(content).__name__}")
    return content


def _over_defaults(content: dict[str, Any], *, defaults: BaseModel) -> dict[str, Any]:
    """Complete every part that the content names: one key of a booster must not reset its other keys."""
    complete = dict(content)
    for name, field in type(defaults).model_fields.items():
        default, given = getattr(defaults, name), content.get(name)
        # A part of which there are several kinds, such as the source, has the defaults of its kind.
        one_kind = isinstance(field.annotation, type) and isinstance(default, BaseModel)
        if one_kind and isinstance(given, dict):
            complete[name] = default.model_dump(by_alias=True) | _over_defaults(given, defaults=default)
    return complete


def _validated(model: type[Model], content: dict[str, Any], *, file: Path) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(file=file, message=_explain(error, model=model, file=file)) from error


def _explain(error: ValidationError, *, model: type[BaseModel], file: Path) -> str:
    root = yaml.compose(file.read_text(encoding="utf-8"), Loader=_Loader)
    faults: dict[str, str] = {}
    known = sorted(_keys(model))
    for fault in error.errors(include_url=False):
        place = [str(part) for part in fault["loc"]]
        if place[:1] == ["source"]:
            # Behind it pydantic names the kind of source, which is no key.
            del place[1:2]
        if place[:1] and place[0] in faults:
            continue
        line, depth = _line_of(root, place)
        # Where several types are allowed pydantic names each of them behind the key.
        key = ".".join(place if fault["type"] == "missing" else place[:depth]) or "the file"
        if fault["type"] == "extra_forbidden" or _is_no_group(place, model=model, kind=fault["type"]):
            key = key if fault["type"] == "extra_forbidden" else place[0]
            word = key.rpartition(".")[2]
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            meant = _RENAMED.get(word) or (near[0] if near else None)
            hint = f"; did you mean {meant!r}?" if meant else f"; known are {', '.join(known)}"
            told = f"line {line}: unknown key {key!r}{hint}"
        else:
            told = f"line {line}: {key!r}: {fault['msg']} (found {fault['input']!r})"
        faults.setdefault(key, told)
    return "; ".join(faults.values())


def _line_of(node: yaml.Node | None, place: list[str]) -> tuple[int, int]:
    """Return the line of the deepest part of a key that the file has, and how many parts of it that are."""
    line = 1
    for depth, part in enumerate(place):
        if isinstance(node, yaml.MappingNode) and part in (keys := {key.value: key for key, _ in node.value}):
            line = keys[part].start_mark.line + 1
            node = next(value for key, value in node.value if key.value == part)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            return line, depth
    return line, len(place)


def _is_no_group(place: list[str], *, model: type[BaseModel], kind: str) -> bool:
    """Say whether a key of the user's own, which would be a group of rules, has nothing of one."""
    is_own = bool(place) and place[0] not in model.model_fields and model.model_config.get("extra") == "allow"
    return is_own and (kind == "model_type" or (kind == "missing" and len(place) == 2))


def _keys(model: type[BaseModel]) -> set[str]:
    """Return the names of all keys, nested ones too."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= _keys(part)
    return found
