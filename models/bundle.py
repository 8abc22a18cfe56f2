"""A bundle: a model on disk as data, written whole, and verified before anything is loaded from it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from features.catalogue import Question
from features.errors import LeadScoringError
from features.feature_contract import FeatureContract
from features.properties import PropertySettings
from models.calibration import Calibrator
from models.evaluation import Use
from models.explanation import Reference
from models.intervals import VennAbers
from models.landmark import Buckets, LandmarkModel
from models.point_rules import PointRules, PointsMap
from models.staleness import Staleness

FORMAT: Final = 1
_DATA: Final = "bundle.json"
_BOOSTER: Final = "booster.txt"
_EVALUATION: Final = "evaluation.json"
_MANIFEST: Final = "manifest.json"


class BundleError(LeadScoringError):
    """A bundle is missing, incomplete, damaged or of another format."""


class BundleData(BaseModel):
    """Everything about a trained question that is not the booster itself.

    ``use`` says what its scores are: the model, or the fallback that the test preferred. ``edges`` are the future
    buckets of each pipeline (deals), ``background`` the rows that effects are computed against (deals).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    question: Question
    use: Use
    calibrated: bool
    trained_as_of: datetime
    horizon_days: float
    contract: FeatureContract
    properties: PropertySettings
    rules: PointRules
    calibrator: Calibrator
    venn_abers: VennAbers
    reference: Reference
    base_rate: float
    points_map: PointsMap | None
    points_known: bool
    points_center: tuple[float, ...] = ()
    max_idle_days: float | None = None
    stage_rates: dict[str, Any] = {}
    stage_manual: dict[str, Any] = {}
    stall_days: dict[str, float] = {}
    staleness: Staleness = Staleness()
    edges: dict[str, tuple[float, ...]] = {}
    shared_edges: tuple[float, ...] = ()
    background: tuple[tuple[float | None, ...], ...] = ()
    drivers: tuple[dict[str, Any], ...] = ()
    left_out: tuple[dict[str, Any], ...] = ()
    data_digest: str
    settings_digest: str


@dataclass(frozen=True)
class Bundle:
    """A trained question in memory. ``booster`` is the LightGBM text, empty where none is needed."""

    data: BundleData
    booster: str
    evaluation: dict[str, Any]

    @property
    def version(self) -> str:
        """Name this model by its question, its as-of and its content."""
        content = hashlib.sha256((_dump(self.data) + self.booster).encode()).hexdigest()
        return f"{self.data.question}-{self.data.trained_as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{content[:12]}"

    def load_booster(self) -> Any:
        """Return the ``lightgbm.Booster``."""
        import lightgbm

        return lightgbm.Booster(model_str=self.booster)

    def landmark(self) -> LandmarkModel:
        """Return the deal model."""
        return LandmarkModel(booster=self.load_booster(), buckets=self.buckets())

    def buckets(self) -> Buckets:
        """Return the future buckets."""
        return Buckets(edges=dict(self.data.edges), shared=self.data.shared_edges)

    def background(self) -> np.ndarray:
        """Return the background rows (missing as NaN)."""
        rows = [[np.nan if value is None else value for value in row] for row in self.data.background]
        return np.array(rows, dtype=np.float64)


def save_bundle(bundle: Bundle, folder: Path) -> Path:
    """Write the bundle aside and move it to ``folder``; a sound one that is already there is left as it is."""
    if folder.exists():
        try:
            load_bundle(folder)
        except BundleError:
            shutil.rmtree(folder)
        else:
            return folder
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    files = {
        _DATA: _dump(bundle.data),
        _BOOSTER: bundle.booster,
        _EVALUATION: json.dumps(bundle.evaluation, indent=1, sort_keys=True, allow_nan=False),
    }
    for name, text in files.items():
        (aside / name).write_text(text, encoding="utf-8")
    manifest = {"format": FORMAT, "sha256": {name: _digest(aside / name) for name in files}}
    (aside / _MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    aside.replace(folder)
    return folder


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle after its digests hold. A damaged booster would end the process, so nothing is parsed before."""
    manifest = _read_json(folder / _MANIFEST)
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"the bundle {folder} has format {manifest.get('format')!r}, this version reads {FORMAT}; train again."
        )
    expected = manifest.get("sha256")
    if not isinstance(expected, dict) or set(expected) != {_DATA, _BOOSTER, _EVALUATION}:
        raise BundleError(f"the manifest of the bundle {folder} does not list its three files; train again.")
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file() or _digest(path) != digest:
            raise BundleError(
                f"{path} is missing or not the file that was saved; the model is not loaded. "
                "Roll back to another version or train again."
            )
    try:
        data = BundleData.model_validate(_read_json(folder / _DATA))
    except ValidationError as error:
        raise BundleError(f"{folder / _DATA} is not a bundle of this version ({error.error_count()} faults)") from error
    return Bundle(
        data=data,
        booster=(folder / _BOOSTER).read_text(encoding="utf-8"),
        evaluation=_read_json(folder / _EVALUATION),
    )


def _dump(data: BundleData) -> str:
    return json.dumps(data.model_dump(mode="json", by_alias=True), indent=1, sort_keys=True, allow_nan=False)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as JSON; roll back to another version or train again.") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path} must hold a JSON object; roll back to another version or train again.")
    return content
