"""Train the deal question: fits as of the cut-offs, calibration, test, verdict, and the bundle to publish."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.episodes import build_timelines
from features.matrix import Matrix
from features.tables import CrmTables
from features.visibility import as_known_at, microseconds
from models.audit import Audit
from models.audit_questions import audit_deals
from models.boosting import FloatArray
from models.bundle import Bundle, BundleData
from models.calibration import Calibrator, choose_calibrator
from models.cutoffs import Cutoffs, plan_cutoffs
from models.deal_fit import (
    DealFit,
    DealInputs,
    DealRows,
    deal_rows,
    fit_deals,
    points_of_deals,
    support_buckets,
    won_in_support,
)
from models.deal_scoring import deal_effects, deal_matrix, deal_population
from models.drift import FeatureDrift, drift
from models.drivers import drivers
from models.evaluation import Evaluation, Verdict, evaluate
from models.explanation import Reference, centred, reference_of
from models.intervals import VennAbers, fit_venn_abers
from models.landmark import Buckets
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

REFERENCE_ROWS: Final = 400
BACKGROUND_ROWS: Final = 24


def deal_inputs(settings: TrainingSettings) -> DealInputs:
    """Pick the settings that the deal question needs."""
    return DealInputs(
        snapshots=settings.snapshots,
        features=settings.features,
        properties=settings.properties,
        landmark=settings.deals,
        ladder=settings.ladder,
        rules=settings.rules,
        stall_quantile=settings.stall_quantile,
        audit=settings.audit,
    )


@dataclass(frozen=True)
class _Start:
    """What a training begins with: what was known, since when, how far it reaches, and what the audit found in it."""

    known: CrmTables
    first: pd.Timestamp
    buckets: Buckets
    inputs: DealInputs
    audit: Audit


def audit_of_deals(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> Audit:
    """Audit what a training as of ``as_of`` would learn from."""
    return _start(tables=tables, as_of=as_of, settings=settings).audit


def _start(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> _Start:
    known = in_id_order(as_known_at(tables, as_of=as_of))
    inputs = deal_inputs(settings)
    first = first_fact(known, question="deals") if len(known["deals"]) else as_of
    buckets = support_buckets(tables=known, now=as_of, first=first, inputs=inputs) if len(known["deals"]) else None
    if buckets is None:
        raise NothingToLearnError(
            question="deals",
            found=f"no deal that was open for a while had closed before {as_of.isoformat()}",
            need="Bring a longer history or choose a later as-of.",
        )
    audit = audit_deals(
        known=known,
        as_of=as_of,
        first=first,
        buckets=buckets,
        inputs=inputs,
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
    )
    return _Start(known=known, first=first, buckets=buckets, inputs=inputs, audit=audit)


def train_deals(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> Trained:
    """Train on what was known just before ``as_of``.

    The horizon of ``win_probability`` is the one that the history supports: the end of the last future bucket. The
    procedure that makes the published scores is run once as of ``test_at`` and judged on later outcomes, then run
    again as of today. Raises ``NothingToLearnError`` if no deal has closed.
    """
    start = _start(tables=tables, as_of=as_of, settings=settings)
    known, first, buckets, inputs = start.known, start.first, start.buckets, start.inputs.refusing(start.audit)
    horizon = max([*(edges[-1] for edges in buckets.edges.values()), buckets.shared[-1]])
    cutoffs = plan_cutoffs(first=first, now=as_of, horizon_days=horizon, settings=settings.split)
    today = fit_deals(tables=known, cutoff=as_of, first=first, buckets=buckets, inputs=inputs)

    evaluation, calibrator, venn_abers = None, Calibrator(), VennAbers()
    population, y_obs, drifted = today.train, None, None
    if cutoffs.test_at is not None:
        past = fit_deals(tables=known, cutoff=cutoffs.test_at, first=first, buckets=buckets, inputs=inputs)
        test, outcome = _labelled(
            known, start=cutoffs.test_at, end=cutoffs.ripe_until, known_until=as_of, buckets=buckets, inputs=inputs
        )
        if 0 < outcome.sum() < len(outcome):
            matrix = past.matrix(tables=known, snapshots=test.snapshots)
            drifted = drift(reference=past.shares, matrix=matrix.features, objects=test.deal_id, weight=test.weight)
            raw = past.curve(matrix=matrix, rows=test).won[:, -1]
            calibrator = _choose(raw, test, outcome, settings)
            evaluation = _evaluate(
                past,
                test,
                y_obs=outcome,
                matrix=matrix,
                probability=_earlier_calibrator(known, cutoffs, first, buckets, inputs, settings).apply(raw),
                tables=known,
                cutoffs=cutoffs,
                inputs=inputs,
                settings=settings,
            )
            venn_abers = fit_venn_abers(
                probability=calibrator.apply(raw),
                y_obs=outcome,
                weight=test.weight,
                objects=test.snapshots["deal"].to_numpy(),
            )
            population, y_obs = test, outcome
    verdict = judge(evaluation=evaluation, step=today.step, note=cutoffs.note(), settings=settings.gate)
    if verdict.use == "rules" and (evaluation is None or today.points_map is None):
        verdict = Verdict(use="stage_rate", reasons=verdict.reasons)
    bundle = _pack(
        today,
        population=population,
        y_obs=y_obs,
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


def _drift_of_scored(bundle: Bundle, today: DealFit, known: CrmTables, as_of: pd.Timestamp) -> list[FeatureDrift]:
    population = deal_population(tables=known, as_of=as_of)
    matrix = deal_matrix(bundle=bundle, tables=known, population=population, as_of=as_of)
    return drift(reference=today.shares, matrix=matrix.features, objects=matrix.snapshots["deal_id"].to_numpy())


def _labelled(
    tables: CrmTables,
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    known_until: pd.Timestamp,
    buckets: Buckets,
    inputs: DealInputs,
) -> tuple[DealRows, FloatArray]:
    rows, timelines = deal_rows(tables=tables, start=start, end=end, inputs=inputs)
    y_obs = won_in_support(rows=rows, timelines=timelines, buckets=buckets, known_until=known_until)
    ripe: NDArray[np.bool_] = ~np.isnan(y_obs)
    return rows.keep(ripe), y_obs[ripe]


def _choose(raw: FloatArray, rows: DealRows, y_obs: FloatArray, settings: TrainingSettings) -> Calibrator:
    return choose_calibrator(
        probability=raw,
        y_obs=y_obs,
        weight=rows.weight,
        objects=rows.snapshots["deal"].to_numpy(),
        as_of=microseconds(rows.snapshots["as_of"]),
        settings=settings.calibration,
    )


def _earlier_calibrator(
    tables: CrmTables,
    cutoffs: Cutoffs,
    first: pd.Timestamp,
    buckets: Buckets,
    inputs: DealInputs,
    settings: TrainingSettings,
) -> Calibrator:
    """Choose the calibrator that would have been chosen at ``test_at``, from a fit before it."""
    if cutoffs.calibrate_at is None or cutoffs.calibrate_until is None or cutoffs.test_at is None:
        return Calibrator()
    before = fit_deals(tables=tables, cutoff=cutoffs.calibrate_at, first=first, buckets=buckets, inputs=inputs)
    if before.model is None:
        return Calibrator()
    then = as_known_at(tables, as_of=cutoffs.test_at)
    rows, y_obs = _labelled(
        then,
        start=cutoffs.calibrate_at,
        end=cutoffs.calibrate_until,
        known_until=cutoffs.test_at,
        buckets=buckets,
        inputs=inputs,
    )
    raw = before.curve(matrix=before.matrix(tables=then, snapshots=rows.snapshots), rows=rows).won[:, -1]
    return _choose(raw, rows, y_obs, settings)


def _evaluate(
    past: DealFit,
    test: DealRows,
    *,
    y_obs: FloatArray,
    matrix: Matrix,
    probability: FloatArray,
    tables: CrmTables,
    cutoffs: Cutoffs,
    inputs: DealInputs,
    settings: TrainingSettings,
) -> Evaluation:
    points = points_of_deals(tables=tables, snapshots=test.snapshots, rules=inputs.rules, properties=inputs.properties)
    scores = past.baselines(matrix=matrix, rows=test, points=points)
    if past.model is not None:
        scores = {"model": probability} | scores
    stage = np.array([f"{p}/{s}" for p, s in zip(test.pipeline, test.stage, strict=True)], dtype=object)
    return evaluate(
        question="deals",
        as_of=cutoffs.now,
        horizon_days=cutoffs.horizon_days,
        protocol=protocol_of(cutoffs),
        y_obs=y_obs,
        scores=scores,
        labels=labels_for(scores),
        objects=test.snapshots["deal"].to_numpy(),
        weight=test.weight,
        stage=stage,
        segments={"pipeline": test.pipeline, "stage": stage},
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
    )


def _pack(
    today: DealFit,
    *,
    population: DealRows,
    y_obs: FloatArray | None,
    verdict: Verdict,
    evaluation: Evaluation | None,
    calibrator: Calibrator,
    venn_abers: VennAbers,
    tables: CrmTables,
    cutoffs: Cutoffs,
    inputs: DealInputs,
    settings: TrainingSettings,
) -> Bundle:
    use = verdict.use
    trusted = evaluation is None or not calibration_failures(evaluation, SCORER_OF[use], settings=settings.gate)
    chosen = sample_rows(len(population.outcome), most=REFERENCE_ROWS)
    mask = np.zeros(len(population.outcome), dtype=bool)
    mask[chosen] = True
    rows = population.keep(mask)
    matrix = today.matrix(tables=tables, snapshots=rows.snapshots)
    spread = sample_rows(len(rows.outcome), most=BACKGROUND_ROWS)
    background = matrix.features.to_numpy(dtype=np.float64)[spread]
    points = points_of_deals(tables=tables, snapshots=rows.snapshots, rules=inputs.rules, properties=inputs.properties)
    data = BundleData(
        question="deals",
        use=use,
        calibrated=trusted,
        trained_from=cutoffs.first.to_pydatetime(),
        trained_as_of=cutoffs.now.to_pydatetime(),
        horizon_days=settings.horizon_days,
        contract=today.contract,
        properties=inputs.properties,
        rules=inputs.rules,
        calibrator=calibrator if use == "model" else Calibrator(),
        venn_abers=venn_abers if use == "model" else VennAbers(),
        reference=Reference(base_rate=today.base_rate, mean_effects=()),
        base_rate=today.base_rate,
        points_map=today.points_map,
        points_known=today.points_map is not None,
        stage_rates=today.stage_rates.to_dict(),
        stage_manual=today.manual.to_dict(),
        stall_days=today.stall_days,
        edges=today.buckets.edges,
        shared_edges=today.buckets.shared,
        background=tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in background)
        if use == "model"
        else (),
        left_out=tuple(asdict(item) for item in today.left_out),
        ladder=inputs.ladder,
        step=today.step,
        data_digest=tables.digest(),
        settings_digest=settings.digest(),
    )
    booster = today.model.booster.model_to_string() if use == "model" and today.model is not None else ""
    document = evaluation_document(question="deals", evaluation=evaluation, cutoffs=cutoffs, verdict=verdict)
    raw = Bundle(data=data, booster=booster, evaluation=document)
    scored = deal_effects(bundle=raw, matrix=matrix, rows=rows, points=points)
    reference = reference_of(probability=scored.probability, effects=scored.effects, weight=rows.weight)
    told = drivers(
        effects=centred(effects=scored.effects, reference=reference),
        features=matrix.features,
        contract=today.contract.features,
        y_obs=_labels_of(rows, tables, today) if y_obs is None else y_obs[chosen],
        weight=rows.weight,
    )
    return Bundle(
        data=data.model_copy(update={"reference": reference, "drivers": tuple(told)}),
        booster=booster,
        evaluation=document,
    )


def _labels_of(rows: DealRows, tables: CrmTables, fit: DealFit) -> FloatArray:
    return won_in_support(rows=rows, timelines=build_timelines(tables), buckets=fit.buckets, known_until=fit.cutoff)
