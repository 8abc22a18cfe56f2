"""The published model fitted again on redrawn contacts or deals, to tell how sure what drives winning is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import t

from models.boosting import FloatArray
from models.bootstrap import cluster_weights
from models.calibration import Calibrator
from models.metrics import AnyArray, IntArray
from models.refit import Refitted, Refitter


class DriverSettings(BaseModel):
    """How what drives winning is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refits: int = Field(
        default=5, ge=0, description="Refits on redrawn data behind the ranges of what drives winning; 0 gives none."
    )
    max_refit_rows: int = Field(
        default=12_000, ge=100, description="A refit draws whole contacts or deals up to about this many rows."
    )


@dataclass(frozen=True)
class Refits:
    """The published model and its refits on redrawn objects, by which effects are measured.

    ``spread`` brings what refits on fewer objects than there are scatter by to what refits on all would.
    ``pipelines`` are those of the rows that are described (deals).
    """

    fitted: Refitted
    redrawn: tuple[Refitted, ...]
    spread: float
    calibrator: Calibrator
    pipelines: AnyArray | None


def refits_of(
    refitter: Refitter | None,
    *,
    calibrator: Calibrator,
    pipelines: AnyArray | None,
    settings: DriverSettings,
    seed: int,
) -> Refits | None:
    """Fit the model again on redrawn objects; None where there is no model."""
    if refitter is None:
        return None
    codes = np.unique(refitter.objects, return_inverse=True)[1]
    share = min(1.0, settings.max_refit_rows / max(refitter.booster_rows, 1))
    redrawn = []
    for block in cluster_weights(cluster=codes, replicates=settings.refits, seed=seed):
        for drawn in block:
            kept = drawn * (_evenly(codes, share=share) if share < 1.0 else 1.0)
            redrawn.append(refitter.fit(np.repeat(np.arange(len(codes)), kept.astype(np.int64))))
    return Refits(
        fitted=refitter.fitted,
        redrawn=tuple(redrawn),
        spread=float(np.sqrt(share)),
        calibrator=calibrator,
        pipelines=pipelines,
    )


def half_width(values: FloatArray, spread: float) -> float:
    """Return half the width of the 95 % interval of one fit, from how refits scatter."""
    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) * spread) if len(values) > 1 else 0.0


def _evenly(codes: IntArray, *, share: float) -> FloatArray:
    """Keep an even choice of the objects."""
    count = int(codes.max()) + 1
    kept = np.zeros(count)
    kept[np.unique(np.linspace(0, count - 1, max(1, round(share * count))).astype(np.int64))] = 1.0
    return kept[codes]
