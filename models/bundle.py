"""A bundle: a model on disk as data, written whole, and verified before anything is loaded from it."""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from features.catalogue import Question
from features.feature_contract import FeatureContract
from features.properties import PropertySettings
from models.bundle_files import (
    BOOSTER,
    CONTRACT,
    DATA,
    ENVIRONMENT,
    EVALUATION,
    FORMAT,
    MANIFEST,
    PROBE,
    BundleError,
    dump,
    manifest_of,
    read_files,
)
from models.bundle_trial import try_first
from models.calibration import Calibrator
from models.comparisons import Comparison
from models.evaluation import Use
from models.explanation import Reference
from models.intervals import VennAbers
from models.ladder import LadderSettings, Step
from models.landmark import Buckets, LandmarkModel
from models.probe import make_probe
from models.rules.points_map import PointsMap
from models.rules.sheet import PointRules
from models.signing import ANY_MAKER, SIGNATURE, Trust, sign
from models.silence import Silence
from models.staleness import Staleness

_LIBRARIES: Final = ("leadline", "lightgbm", "numba", "numpy", "pandas", "pydantic", "scikit-learn", "scipy")


class BundleData(BaseModel):
    """Everything about a trained question that is not the booster itself.

    ``use`` says what its scores are: the model, or the fallback that the test preferred. ``edges`` are the future
    buckets of each pipeline (deals), ``background`` the rows that effects are computed against (deals).
    ``silence`` is what contacts of whom nothing is known get (contacts).
    ``comparisons`` say, for each feature of the contract and each criterion, how winners stood. It learnt from
    what was known from ``trained_from`` until just before ``trained_as_of``; ``step`` says what the ``ladder`` allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = FORMAT
    question: Question
    use: Use
    calibrated: bool
    trained_from: datetime | None = None
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
    silence: Silence | None = None
    stage_rates: dict[str, Any] = {}
    stage_manual: dict[str, Any] = {}
    stall_days: dict[str, float] = {}
    staleness: Staleness = Staleness()
    edges: dict[str, tuple[float, ...]] = {}
    shared_edges: tuple[float, ...] = ()
    background: tuple[tuple[float | None, ...], ...] = ()
    drivers: tuple[dict[str, Any], ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    points_comparisons: tuple[Comparison, ...] = ()
    left_out: tuple[dict[str, Any], ...] = ()
    ladder: LadderSettings | None = None
    step: Step | None = None
    data_digest: str
    settings_digest: str


def present_environment() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a model's numbers hang on."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Bundle:
    """A trained question in memory. ``booster`` is the LightGBM text, empty where none is needed.

    ``environment`` says with what it was trained. A loaded bundle is ``known_as`` what it was saved as, whatever later
    versions of this program add to its data.
    """

    data: BundleData
    booster: str
    evaluation: dict[str, Any]
    environment: Mapping[str, str] = field(default_factory=present_environment)
    known_as: str = field(default="", compare=False)

    @property
    def version(self) -> str:
        """Name this model by its question, its as-of and its content."""
        return self.known_as or _version(self.data, self.plain(), booster=self.booster)

    def plain(self) -> dict[str, Any]:
        """Return the data as plain data for JSON."""
        return self.data.model_dump(mode="json", by_alias=True)

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


def save_bundle(bundle: Bundle, folder: Path, *, private_key: bytes | None = None, trust: Trust = ANY_MAKER) -> Path:
    """Write the bundle aside, signed if there is a key in PEM, and move it to ``folder``.

    A sound one that is already there, and shows what ``trust`` demands, is left as it is.
    """
    if folder.exists():
        try:
            load_bundle(folder, trust=trust)
        except BundleError:
            shutil.rmtree(folder)
        else:
            return folder
    # One that was read in an older format is written, and named, in the present one.
    plain = {**bundle.plain(), "format": FORMAT}
    version = _version(bundle.data, plain, booster=bundle.booster)
    texts = {
        BOOSTER: bundle.booster,
        EVALUATION: dump(bundle.evaluation),
        ENVIRONMENT: dump(bundle.environment),
        PROBE: dump(make_probe(plain, booster=bundle.booster)),
        CONTRACT: dump(plain.pop("contract")),
        DATA: dump(plain),
    }
    contents = {name: text.encode("utf-8") for name, text in texts.items()}
    contents[MANIFEST] = manifest_of(contents, version=version)
    if private_key is not None:
        contents[SIGNATURE] = dump(sign(contents[MANIFEST], private_key=private_key)).encode()
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, content in contents.items():
        (aside / name).write_bytes(content)
    aside.replace(folder)
    return folder


def load_bundle(folder: Path, *, version: str | None = None, trust: Trust = ANY_MAKER) -> Bundle:
    """Read a bundle after its digests and its signature hold, and after it was tried in a process of its own.

    ``version`` is the name under which the registry knows it: a bundle with other content is refused, even one whose
    digests were computed anew.
    """
    files = read_files(folder, trust=trust)
    booster = files.text(BOOSTER)
    plain = files.json(DATA)
    if files.format > 1:
        plain["contract"] = files.json(CONTRACT)
    data = _validated(_as_of_today(plain), folder=folder)
    found = _version(data, plain, booster=booster)
    for wanted in (files.version or found, version or found):
        if found != wanted:
            raise BundleError(
                f"the bundle {folder} must be {wanted}, and its content is that of {found}; the model is not loaded. "
                "Roll back to another version or train again.",
                folder=folder,
            )
    evaluation = files.json(EVALUATION)
    environment = files.json(ENVIRONMENT) if files.format > 1 else {}
    try_first(files, memory=trust.memory)
    return Bundle(data=data, booster=booster, evaluation=evaluation, environment=environment, known_as=found)


def _as_of_today(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Call by today's names what earlier versions of this program called otherwise."""
    rules = plain.get("rules")
    if not isinstance(rules, dict) or "high_from" not in rules:
        return dict(plain)
    kept = {name: part for name, part in rules.items() if name != "high_from"}
    return {**plain, "rules": kept | {"thresholds": {"mql": rules["high_from"]}}}


def _validated(plain: dict[str, Any], *, folder: Path) -> BundleData:
    try:
        data = BundleData.model_validate(plain)
        # As deep as reading allows may be deeper than writing does.
        dump(plain)
    except RecursionError as error:
        raise BundleError(
            f"{folder / DATA} is nested too deeply to be a bundle. Roll back to another version or train again.",
            folder=folder,
        ) from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults[:5])
        raise BundleError(
            f"{folder / DATA} is not a bundle of this version ({len(faults)} faults: {told}). "
            "Roll back to another version or train again.",
            folder=folder,
        ) from error
    return data


def _version(data: BundleData, plain: Mapping[str, Any], *, booster: str) -> str:
    """Name what lies on disk: ``plain`` may lack what later versions of this program have added to ``data``."""
    content = hashlib.sha256((dump(plain) + booster).encode()).hexdigest()
    return f"{data.question}-{data.trained_as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{content[:12]}"
