"""Test the contact question out of time: fit as of the past, calibrate as of then, score what came later."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.feature_contract import FeatureContract
from features.matrix import Matrix
from features.tables import CrmTables
from features.visibility import MICROSECONDS_PER_DAY, as_known_at, microseconds
from models.boosting import FloatArray
from models.calibration import CalibrationChoice, CalibrationSettings, Calibrator, choose_calibrator
from models.contact_fit import ContactFit, ContactInputs, LabelledContacts, fit_contacts, label_contacts, points_of
from models.cutoffs import Cutoffs
from models.metrics import AnyArray
from models.out_of_time import OutOfTime
from models.silence import SilenceTest, against_rate


@dataclass(frozen=True)
class ContactProof:
    """A fit before the test window, the window's ripe snapshots, their features, and ``raw``, before calibration.

    ``silence`` says whether the model knew more of silent contacts than their rate, where there were any.
    """

    past: ContactFit
    labelled: LabelledContacts
    matrix: Matrix
    raw: FloatArray
    rows: OutOfTime
    silence: SilenceTest | None


def prove_contacts(
    *,
    tables: CrmTables,
    cutoffs: Cutoffs,
    first: pd.Timestamp,
    inputs: ContactInputs,
    calibration: CalibrationSettings,
) -> ContactProof | None:
    """Run the procedure as of ``test_at`` and score the window after it; None where the history allows no test.

    ``tables`` hold nothing that became known after ``cutoffs.now``.
    """
    if cutoffs.test_at is None:
        return None
    labelled = label_contacts(
        tables=tables, start=cutoffs.test_at, end=cutoffs.ripe_until, known_until=cutoffs.now, inputs=inputs
    ).ripe()
    if not 0 < labelled.y_obs.sum() < len(labelled.y_obs):
        return None
    past = fit_contacts(tables=tables, cutoff=cutoffs.test_at, first=first, inputs=inputs)
    matrix = past.matrix(tables=tables, snapshots=labelled.snapshots)
    silence = _silence_test(past, matrix, labelled)
    if silence is not None and silence.model_knows_more:
        past = replace(past, silence=None)
    raw = past.raw(matrix.features)
    scores = past.baselines(matrix=matrix, points=points_of(tables=tables, snapshots=labelled.snapshots, inputs=inputs))
    if past.booster is not None:
        earlier = _earlier_calibrator(
            tables=tables, cutoffs=cutoffs, first=first, inputs=inputs, calibration=calibration
        )
        scores = {"model": earlier.apply(raw)} | scores
    open_deals = matrix.features.get("open_deals", pd.Series(0.0, index=matrix.features.index)).to_numpy()
    rows = OutOfTime(
        question="contacts",
        snapshots=labelled.snapshots,
        y_obs=labelled.y_obs,
        weight=np.ones(len(labelled.y_obs)),
        objects=labelled.snapshots["contact"].to_numpy(),
        scores=scores,
        segments={
            "has_open_deal": np.where(open_deals > 0, "yes", "no"),
            **_behaviour_segment(matrix),
            **profile_segments(matrix, past.contract),
        },
        has_open_deal=open_deals > 0,
    )
    return ContactProof(past=past, labelled=labelled, matrix=matrix, raw=raw, rows=rows, silence=silence)


def calibrator_of_contacts(
    *, raw: FloatArray, rows: LabelledContacts, inputs: ContactInputs, calibration: CalibrationSettings
) -> CalibrationChoice:
    """Choose the calibrator that these scores and their outcomes speak for."""
    as_of = microseconds(rows.snapshots["as_of"])
    return choose_calibrator(
        probability=raw,
        y_obs=rows.y_obs,
        weight=np.ones(len(raw)),
        objects=rows.snapshots["contact"].to_numpy(),
        as_of=as_of,
        ripe_at=as_of + round(inputs.horizon_days * MICROSECONDS_PER_DAY),
        settings=calibration,
    )


def profile_segments(matrix: Matrix, contract: FeatureContract) -> dict[str, AnyArray]:
    """Return the words of each category of who the contact or deal is."""
    found: dict[str, AnyArray] = {}
    for feature in contract.features:
        if feature.is_category and feature.family == "profile":
            code = matrix.features[feature.name].to_numpy()
            found[feature.words] = np.array([feature.format(value) for value in code], dtype=object)
    return found


def _silence_test(past: ContactFit, matrix: Matrix, labelled: LabelledContacts) -> SilenceTest | None:
    if past.booster is None or past.silence is None:
        return None
    silent = past.silence.among(matrix.features)
    if not silent.any():
        return None
    features = matrix.features.loc[silent]
    return against_rate(
        model=replace(past, silence=None).raw(features),
        rate=past.raw(features),
        y_obs=labelled.y_obs[silent],
        objects=labelled.snapshots.loc[silent, "contact"].to_numpy(),
    )


def _behaviour_segment(matrix: Matrix) -> dict[str, AnyArray]:
    """Tell contacts of whom no activity is known from the rest, where activities are known at all."""
    if "days_since_any" not in matrix.features:
        return {}
    return {"behaviour": np.where(matrix.features["days_since_any"].isna(), "none yet", "some")}


def _earlier_calibrator(
    *,
    tables: CrmTables,
    cutoffs: Cutoffs,
    first: pd.Timestamp,
    inputs: ContactInputs,
    calibration: CalibrationSettings,
) -> Calibrator:
    """Choose the calibrator that would have been chosen at ``test_at``, from a fit before it."""
    if cutoffs.calibrate_at is None or cutoffs.calibrate_until is None or cutoffs.test_at is None:
        return Calibrator()
    before = fit_contacts(tables=tables, cutoff=cutoffs.calibrate_at, first=first, inputs=inputs)
    if before.booster is None:
        return Calibrator()
    then = as_known_at(tables, as_of=cutoffs.test_at)
    rows = label_contacts(
        tables=then, start=cutoffs.calibrate_at, end=cutoffs.calibrate_until, known_until=cutoffs.test_at, inputs=inputs
    ).ripe()
    raw = before.raw(before.matrix(tables=then, snapshots=rows.snapshots).features)
    return calibrator_of_contacts(raw=raw, rows=rows, inputs=inputs, calibration=calibration).calibrator
