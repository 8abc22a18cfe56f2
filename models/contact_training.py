"""Train the contact question: fits as of the cut-offs, calibration, test, verdict, and the bundle to publish."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.matrix import Matrix
from features.tables import CrmTables
from features.visibility import as_known_at, microseconds
from models.audit import Audit
from models.audit_questions import audit_contacts
from models.boosting import FloatArray
from models.bundle import Bundle, BundleData
from models.calibration import Calibrator, choose_calibrator
from models.contact_fit import (
    ContactFit,
    ContactInputs,
    LabelledContacts,
    fit_contacts,
    label_contacts,
    points_of,
)
from models.contact_scoring import contact_effects, contact_matrix, contact_population
from models.cutoffs import Cutoffs, plan_cutoffs
from models.drift import FeatureDrift, drift
from models.drivers import drivers
from models.evaluation import Evaluation, Verdict, evaluate
from models.explanation import Effects, Reference, reference_of
from models.intervals import VennAbers, fit_venn_abers
from models.promotion import SCORER_OF, calibration_failures, judge
from models.training import (
    NothingToLearnError,
    Trained,
    TrainingSettings,
    evaluation_document,
    first_fact,
    in_id_order,
    labels_for,
    protocol_of,
    sample_rows,
    with_quality,
)

REFERENCE_ROWS: Final = 4000
DRIFT_ROWS: Final = 20_000


def contact_inputs(settings: TrainingSettings) -> ContactInputs:
    """Pick the settings that the contact question needs."""
    return ContactInputs(
        horizon_days=settings.horizon_days,
        snapshots=settings.snapshots,
        features=settings.features,
        properties=settings.properties,
        contacts=settings.contacts,
        ladder=settings.ladder,
        rules=settings.rules,
        audit=settings.audit,
    )


@dataclass(frozen=True)
class _Start:
    """What a training begins with: what was known, since when, and what the audit found in it."""

    known: CrmTables
    first: pd.Timestamp
    inputs: ContactInputs
    audit: Audit


def audit_of_contacts(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> Audit:
    """Audit what a training as of ``as_of`` would learn from."""
    return _start(tables=tables, as_of=as_of, settings=settings).audit


def _start(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> _Start:
    known = in_id_order(as_known_at(tables, as_of=as_of))
    if not len(known["contacts"]):
        raise NothingToLearnError(
            question="contacts",
            found=f"no contact was created before {as_of.isoformat()}",
            need="Choose a later as-of.",
        )
    inputs = contact_inputs(settings)
    first = first_fact(known, question="contacts")
    audit = audit_contacts(
        known=known,
        as_of=as_of,
        first=first,
        inputs=inputs,
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
    )
    return _Start(known=known, first=first, inputs=inputs, audit=audit)


def train_contacts(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> Trained:
    """Train on what was known just before ``as_of``.

    The procedure that makes the published scores is run once as of ``test_at`` and judged on later outcomes, then
    run again as of today. Raises ``NothingToLearnError`` if there are no contacts or no wins at all.
    """
    start = _start(tables=tables, as_of=as_of, settings=settings)
    known, first, inputs = start.known, start.first, start.inputs.refusing(start.audit)
    cutoffs = plan_cutoffs(first=first, now=as_of, horizon_days=settings.horizon_days, settings=settings.split)
    today = fit_contacts(tables=known, cutoff=as_of, first=first, inputs=inputs)
    if not len(today.train.y_obs):
        raise NothingToLearnError(
            question="contacts",
            found=f"no contact was seen for a whole {settings.horizon_days:g} days before {as_of.isoformat()}",
            need="Shorten horizon_days or bring a longer history.",
        )

    test = past = drifted = None
    evaluation, calibrator, venn_abers = None, Calibrator(), VennAbers()
    if cutoffs.test_at is not None:
        past = fit_contacts(tables=known, cutoff=cutoffs.test_at, first=first, inputs=inputs)
        test = label_contacts(
            tables=known, start=cutoffs.test_at, end=cutoffs.ripe_until, known_until=as_of, inputs=inputs
        ).ripe()
    if past is not None and test is not None and 0 < test.y_obs.sum() < len(test.y_obs):
        matrix = past.matrix(tables=known, snapshots=test.snapshots)
        drifted = drift(reference=past.shares, matrix=matrix.features, objects=test.snapshots["contact_id"].to_numpy())
        raw = past.raw(matrix)
        calibrator = _choose(raw, test, settings)
        evaluation = _evaluate(
            past,
            test,
            matrix=matrix,
            raw=raw,
            tables=known,
            cutoffs=cutoffs,
            first=first,
            inputs=inputs,
            settings=settings,
        )
        venn_abers = fit_venn_abers(
            probability=calibrator.apply(raw),
            y_obs=test.y_obs,
            weight=np.ones(len(test.y_obs)),
            objects=test.snapshots["contact"].to_numpy(),
        )
    verdict = judge(evaluation=evaluation, step=today.step, note=cutoffs.note(), settings=settings.gate)
    if verdict.use == "rules" and not inputs.rules.criteria:
        verdict = Verdict(use="base_rate", reasons=verdict.reasons)
    bundle = _pack(
        today,
        population=test if test is not None and len(test.y_obs) else today.train,
        verdict=verdict,
        evaluation=evaluation,
        calibrator=calibrator,
        venn_abers=venn_abers,
        tables=known,
        cutoffs=cutoffs,
        inputs=inputs,
        settings=settings,
    )
    bundle = with_quality(
        bundle,
        audit=start.audit,
        reference=today.shares,
        test=drifted,
        scored=_drift_of_scored(bundle, today, known, as_of),
    )
    return Trained(bundle=bundle, evaluation=evaluation, verdict=verdict)


def _drift_of_scored(bundle: Bundle, today: ContactFit, known: CrmTables, as_of: pd.Timestamp) -> list[FeatureDrift]:
    population = contact_population(bundle=bundle, tables=known, as_of=as_of)
    in_play = population.loc[population["not_scored"].isna()]
    chosen = in_play.iloc[sample_rows(len(in_play), most=DRIFT_ROWS)]
    matrix = contact_matrix(bundle=bundle, tables=known, population=chosen, as_of=as_of)
    return drift(reference=today.shares, matrix=matrix.features, objects=chosen["contact_id"].to_numpy())


def _choose(raw: FloatArray, rows: LabelledContacts, settings: TrainingSettings) -> Calibrator:
    return choose_calibrator(
        probability=raw,
        y_obs=rows.y_obs,
        weight=np.ones(len(raw)),
        objects=rows.snapshots["contact"].to_numpy(),
        as_of=microseconds(rows.snapshots["as_of"]),
        settings=settings.calibration,
    )


def _evaluate(
    past: ContactFit,
    test: LabelledContacts,
    *,
    matrix: Matrix,
    raw: FloatArray,
    tables: CrmTables,
    cutoffs: Cutoffs,
    first: pd.Timestamp,
    inputs: ContactInputs,
    settings: TrainingSettings,
) -> Evaluation:
    scores = past.baselines(matrix=matrix, points=points_of(tables=tables, snapshots=test.snapshots, inputs=inputs))
    if past.booster is not None:
        scores = {"model": _earlier_calibrator(tables, cutoffs, first, inputs, settings).apply(raw)} | scores
    open_deals = matrix.features.get("open_deals", pd.Series(0.0, index=matrix.features.index)).to_numpy()
    segments = {"has_open_deal": np.where(open_deals > 0, "yes", "no")}
    for feature in past.contract.features:
        if feature.is_category and feature.family == "profile":
            code = matrix.features[feature.name].to_numpy()
            segments[feature.words] = np.array([feature.format(value) for value in code], dtype=object)
    return evaluate(
        question="contacts",
        as_of=cutoffs.now,
        horizon_days=inputs.horizon_days,
        protocol=protocol_of(cutoffs),
        y_obs=test.y_obs,
        scores=scores,
        labels=labels_for(scores),
        objects=test.snapshots["contact"].to_numpy(),
        has_open_deal=open_deals > 0,
        segments=segments,
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
    )


def _earlier_calibrator(
    tables: CrmTables, cutoffs: Cutoffs, first: pd.Timestamp, inputs: ContactInputs, settings: TrainingSettings
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
    return _choose(before.raw(before.matrix(tables=then, snapshots=rows.snapshots)), rows, settings)


def _pack(
    today: ContactFit,
    *,
    population: LabelledContacts,
    verdict: Verdict,
    evaluation: Evaluation | None,
    calibrator: Calibrator,
    venn_abers: VennAbers,
    tables: CrmTables,
    cutoffs: Cutoffs,
    inputs: ContactInputs,
    settings: TrainingSettings,
) -> Bundle:
    use = verdict.use
    trusted = evaluation is None or not calibration_failures(evaluation, SCORER_OF[use], settings=settings.gate)
    rows = sample_rows(len(population.y_obs), most=REFERENCE_ROWS)
    snapshots, y_obs = population.snapshots.iloc[rows].reset_index(drop=True), population.y_obs[rows]
    matrix = today.matrix(tables=tables, snapshots=snapshots)
    points = points_of(tables=tables, snapshots=snapshots, inputs=inputs)
    center = tuple(points.log.mean(axis=0).tolist()) if points.lines else ()
    data = BundleData(
        question="contacts",
        use=use,
        calibrated=trusted,
        trained_from=cutoffs.first.to_pydatetime(),
        trained_as_of=cutoffs.now.to_pydatetime(),
        horizon_days=inputs.horizon_days,
        contract=today.contract,
        properties=inputs.properties,
        rules=inputs.rules,
        calibrator=calibrator if use == "model" else Calibrator(),
        venn_abers=venn_abers if use == "model" else VennAbers(),
        reference=Reference(base_rate=today.base_rate, mean_effects=()),
        base_rate=today.base_rate,
        points_map=today.points_map if points.lines else None,
        points_known=bool(points.lines),
        points_center=center,
        max_idle_days=inputs.snapshots.max_idle_days,
        left_out=tuple(asdict(item) for item in today.left_out),
        ladder=inputs.ladder,
        step=today.step,
        data_digest=tables.digest(),
        settings_digest=settings.digest(),
    )
    booster = today.booster.model_to_string() if use == "model" and today.booster is not None else ""
    document = evaluation_document(question="contacts", evaluation=evaluation, cutoffs=cutoffs, verdict=verdict)
    raw = Bundle(data=data, booster=booster, evaluation=document)
    probability, uncentred, described = contact_effects(bundle=raw, matrix=matrix, points=points)
    weight = np.ones(len(rows))
    reference = reference_of(probability=probability, effects=uncentred, weight=weight)
    effects = Effects(base_rate=reference.base_rate, by_feature=uncentred - np.array(reference.mean_effects))
    told = drivers(effects=effects, features=described.values, contract=described.features, y_obs=y_obs, weight=weight)
    return Bundle(
        data=data.model_copy(update={"reference": reference, "drivers": tuple(told)}),
        booster=booster,
        evaluation=document,
    )
