"""Test the deal question out of time: fit as of the past, calibrate as of then, score what came later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.episodes import build_timelines
from features.matrix import Matrix
from features.tables import CrmTables
from features.visibility import MICROSECONDS_PER_DAY, as_known_at, microseconds
from models.boosting import FloatArray
from models.calibration import CalibrationChoice, CalibrationSettings, Calibrator, choose_calibrator
from models.contact_proof import profile_segments
from models.cutoffs import Cutoffs
from models.deal_fit import DealFit, DealInputs, DealRows, deal_rows, fit_deals, points_of_deals, won_in_support
from models.landmark import Buckets, WinCurve
from models.out_of_time import OutOfTime
from models.staleness import stale_deals


@dataclass(frozen=True)
class DealProof:
    """A fit before the test window, the window's ripe snapshots, their features and curve, and ``raw`` at its end.

    ``calibrator`` is the one that would have been chosen when the window began.
    """

    past: DealFit
    labelled: DealRows
    matrix: Matrix
    curve: WinCurve
    raw: FloatArray
    calibrator: Calibrator
    rows: OutOfTime


def prove_deals(
    *,
    tables: CrmTables,
    cutoffs: Cutoffs,
    first: pd.Timestamp,
    buckets: Buckets,
    inputs: DealInputs,
    calibration: CalibrationSettings,
) -> DealProof | None:
    """Run the procedure as of ``test_at`` and score the window after it; None where the history allows no test.

    ``tables`` hold nothing that became known after ``cutoffs.now``.
    """
    if cutoffs.test_at is None:
        return None
    labelled, y_obs = label_deals(
        tables=tables,
        start=cutoffs.test_at,
        end=cutoffs.ripe_until,
        known_until=cutoffs.now,
        buckets=buckets,
        inputs=inputs,
    )
    if not 0 < y_obs.sum() < len(y_obs):
        return None
    past = fit_deals(tables=tables, cutoff=cutoffs.test_at, first=first, buckets=buckets, inputs=inputs)
    fresh = _not_stale(past, labelled, tables=tables)
    labelled, y_obs = labelled.keep(fresh), y_obs[fresh]
    if not 0 < y_obs.sum() < len(y_obs):
        return None
    matrix = past.matrix(tables=tables, snapshots=labelled.snapshots)
    curve = past.curve(matrix=matrix, rows=labelled)
    raw = curve.won[:, -1]
    points = points_of_deals(
        tables=tables, snapshots=labelled.snapshots, rules=inputs.rules, properties=inputs.properties
    )
    scores = past.baselines(matrix=matrix, rows=labelled, points=points)
    calibrator = Calibrator()
    if past.model is not None:
        calibrator = _earlier_calibrator(
            tables=tables, cutoffs=cutoffs, first=first, buckets=buckets, inputs=inputs, calibration=calibration
        )
        scores = {"model": calibrator.apply(raw)} | scores
    stage = np.array([f"{p}/{s}" for p, s in zip(labelled.pipeline, labelled.stage, strict=True)], dtype=object)
    rows = OutOfTime(
        question="deals",
        snapshots=labelled.snapshots,
        y_obs=y_obs,
        weight=labelled.weight,
        objects=labelled.snapshots["deal"].to_numpy(),
        scores=scores,
        segments={"pipeline": labelled.pipeline, "stage": stage} | profile_segments(matrix, past.contract),
        stage=stage,
    )
    return DealProof(
        past=past, labelled=labelled, matrix=matrix, curve=curve, raw=raw, calibrator=calibrator, rows=rows
    )


def _not_stale(past: DealFit, rows: DealRows, *, tables: CrmTables) -> NDArray[np.bool_]:
    """Keep those that would be scored: a stale deal is told apart, so it is no part of the test."""
    stale = stale_deals(
        past.staleness,
        timelines=build_timelines(tables),
        deals=rows.snapshots["deal"].to_numpy(),
        as_of=microseconds(rows.snapshots["as_of"]),
        pipelines=rows.pipeline,
    )
    return np.array([why is None for why in stale], dtype=bool)


def label_deals(
    *,
    tables: CrmTables,
    start: pd.Timestamp,
    end: pd.Timestamp,
    known_until: pd.Timestamp,
    buckets: Buckets,
    inputs: DealInputs,
) -> tuple[DealRows, FloatArray]:
    """Draw snapshots of open deals in [start, end) and label those that are ripe at ``known_until``."""
    rows, timelines = deal_rows(tables=tables, start=start, end=end, inputs=inputs)
    y_obs = won_in_support(rows=rows, timelines=timelines, buckets=buckets, known_until=known_until)
    ripe: NDArray[np.bool_] = ~np.isnan(y_obs)
    return rows.keep(ripe), y_obs[ripe]


def calibrator_of_deals(
    *, raw: FloatArray, rows: DealRows, y_obs: FloatArray, buckets: Buckets, calibration: CalibrationSettings
) -> CalibrationChoice:
    """Choose the calibrator that these scores and their outcomes speak for."""
    as_of = microseconds(rows.snapshots["as_of"])
    return choose_calibrator(
        probability=raw,
        y_obs=y_obs,
        weight=rows.weight,
        objects=rows.snapshots["deal"].to_numpy(),
        as_of=as_of,
        ripe_at=as_of + np.round(buckets.support_days(rows.pipeline) * MICROSECONDS_PER_DAY).astype(np.int64),
        settings=calibration,
    )


def _earlier_calibrator(
    *,
    tables: CrmTables,
    cutoffs: Cutoffs,
    first: pd.Timestamp,
    buckets: Buckets,
    inputs: DealInputs,
    calibration: CalibrationSettings,
) -> Calibrator:
    """Choose the calibrator that would have been chosen at ``test_at``, from a fit before it."""
    if cutoffs.calibrate_at is None or cutoffs.calibrate_until is None or cutoffs.test_at is None:
        return Calibrator()
    before = fit_deals(tables=tables, cutoff=cutoffs.calibrate_at, first=first, buckets=buckets, inputs=inputs)
    if before.model is None:
        return Calibrator()
    then = as_known_at(tables, as_of=cutoffs.test_at)
    rows, y_obs = label_deals(
        tables=then,
        start=cutoffs.calibrate_at,
        end=cutoffs.calibrate_until,
        known_until=cutoffs.test_at,
        buckets=buckets,
        inputs=inputs,
    )
    raw = before.curve(matrix=before.matrix(tables=then, snapshots=rows.snapshots), rows=rows).won[:, -1]
    return calibrator_of_deals(raw=raw, rows=rows, y_obs=y_obs, buckets=buckets, calibration=calibration).calibrator
