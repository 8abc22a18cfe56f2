"""Training: fit as of several cut-offs, calibrate and test in time order, judge, and pack what will be published."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from features.catalogue import Question
from features.errors import LeadScoringError
from features.feature_contract import FeatureSettings
from features.properties import PropertySettings
from features.snapshots import SnapshotSettings
from features.tables import CrmTables
from features.visibility import effective_time
from models.audit import Audit, AuditSettings
from models.bundle import Bundle
from models.calibration import CalibrationSettings
from models.contact_fit import ContactSettings
from models.cutoffs import Cutoffs, SplitSettings
from models.drift import DriftReference, FeatureDrift, drift_summary
from models.driver_refits import DriverSettings
from models.evaluation import Evaluation, Protocol, Verdict
from models.gate import GateSettings
from models.ladder import LadderSettings
from models.landmark import LandmarkSettings
from models.rules.sheet import PointRules
from models.subgroups import SegmentSettings


class TrainingSettings(BaseModel):
    """Everything that decides what a training learns from the same tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon_days: float = Field(default=90.0, gt=0, description="Contacts: won within this many days.")
    bootstrap_replicates: int = Field(default=200, ge=20, description="Draws behind each interval.")
    seed: int = Field(default=7, description="Seeds the bootstrap and the null bands.")
    stall_quantile: float = Field(
        default=0.95, gt=0.5, lt=1, description="A deal is stalled once this share of deals had left its stage."
    )
    snapshots: SnapshotSettings = SnapshotSettings()
    features: FeatureSettings = FeatureSettings()
    properties: PropertySettings = PropertySettings()
    split: SplitSettings = SplitSettings()
    ladder: LadderSettings = LadderSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    gate: GateSettings = GateSettings()
    contacts: ContactSettings = ContactSettings()
    deals: LandmarkSettings = LandmarkSettings()
    audit: AuditSettings = AuditSettings()
    drivers: DriverSettings = DriverSettings()
    segments: SegmentSettings = SegmentSettings()
    rules: PointRules = PointRules()

    def digest(self) -> str:
        """SHA-256 over all settings."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()


class NothingToLearnError(LeadScoringError):
    """The tables hold nothing that the question could be learnt from."""

    def __init__(self, *, question: Question, found: str, need: str) -> None:
        self.question = question
        self.found = found
        self.need = need
        super().__init__(f"{question} cannot be scored: {found}. {need}")


@dataclass(frozen=True)
class Trained:
    """What a training made. ``evaluation`` is None where the history allowed no test."""

    bundle: Bundle
    evaluation: Evaluation | None
    verdict: Verdict


def first_fact(tables: CrmTables, *, question: Question) -> pd.Timestamp:
    """Return when the history of this question begins: its first object."""
    times = effective_time(question, tables[question])
    return pd.Timestamp(int(times.min()), unit="us", tz="UTC")


def in_id_order(tables: CrmTables) -> CrmTables:
    """Return the tables with contacts and deals sorted by id: a fit must not hang on how they were delivered."""
    frames = dict(tables.frames)
    for table, key in (("contacts", "contact_id"), ("deals", "deal_id")):
        frames[table] = frames[table].sort_values(key, kind="stable", ignore_index=True)
    return replace(tables, frames=frames)


def protocol_of(cutoffs: Cutoffs) -> Protocol:
    """State the windows of the test."""
    return Protocol(
        train_from=cutoffs.first,
        train_to=cutoffs.test_at,
        calibrate_from=cutoffs.calibrate_at,
        calibrate_to=cutoffs.calibrate_until,
        test_from=cutoffs.test_at,
        test_to=None if cutoffs.test_at is None else cutoffs.ripe_until,
        purge_days=cutoffs.horizon_days,
        note=cutoffs.note(),
    )


def evaluation_document(
    *, question: Question, evaluation: Evaluation | None, cutoffs: Cutoffs, verdict: Verdict
) -> dict[str, Any]:
    """Return the evaluation as plain data, with the verdict; without a test, only what can be said."""
    if evaluation is not None:
        return replace(evaluation, verdict=verdict).to_dict()
    windows = asdict(protocol_of(cutoffs))
    return {
        "question": question,
        "as_of": cutoffs.now.isoformat(),
        "horizon_days": cutoffs.horizon_days,
        "protocol": {
            name: value.isoformat() if isinstance(value, pd.Timestamp) else value for name, value in windows.items()
        },
        "rows": 0,
        "objects": 0,
        "positives": 0,
        "positive_objects": 0,
        "base_rate": None,
        "scorers": {},
        "differences": {},
        "segments": [],
        "verdict": asdict(verdict) | {"reasons": list(verdict.reasons)},
    }


def with_quality(
    bundle: Bundle,
    *,
    audit: Audit,
    evidence: Mapping[str, Any],
    reference: DriftReference,
    test: Sequence[FeatureDrift] | None,
    scored: Sequence[FeatureDrift],
) -> Bundle:
    """Add to a bundle's evaluation the leak audit, what else the gate saw, and the drift.

    The drift is that of the test rows, and of those scored at its as-of; ``reference`` is the training past that later
    rows will be compared with.
    """
    told = {
        "reference": reference.model_dump(mode="json"),
        "test": None if test is None else drift_summary(test),
        "scored": drift_summary(scored),
    }
    return replace(bundle, evaluation={**bundle.evaluation, "audit": audit.to_dict(), "drift": told, **evidence})


def sample_rows(count: int, *, most: int) -> np.ndarray:
    """Return evenly spread row numbers, at most ``most`` of them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64)) if count else np.zeros(0, np.int64)
