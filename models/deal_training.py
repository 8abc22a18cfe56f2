"""Train the deal question: fits as of the cut-offs, calibration, test, verdict, and the bundle to publish."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.episodes import build_timelines
from features.matrix import Matrix
from features.tables import CrmTables
from features.visibility import as_known_at
from models.audit import Audit
from models.audit_questions import audit_deals
from models.boosting import FloatArray
from models.bundle import Bundle, BundleData
from models.calibration import CalibrationChoice, Calibrator
from models.champion import Champion, against_champion_of_deals
from models.cutoffs import Cutoffs, plan_cutoffs
from models.deal_fit import (
    DealFit,
    DealInputs,
    DealRows,
    fit_deals,
    points_of_deals,
    rows_of,
    support_buckets,
    won_in_support,
)
from models.deal_proof import DealProof, calibrator_of_deals, prove_deals
from models.deal_scoring import deal_effects, deal_population
from models.drift import FeatureDrift, drift
from models.driver_refits import refits_of
from models.drivers import drivers
from models.evaluation import Evaluation, Verdict
from models.explanation import Reference, centred, reference_of
from models.gate import SCORER_OF, calibration_failures
from models.intervals import VennAbers, fit_venn_abers
from models.landmark import Buckets
from models.needs import needs_of_deals
from models.promotion import Evidence, judge
from models.refit import deal_refitter
from models.shift import Shift, population_shift
from models.stability import Stability, stability
from models.subgroups import with_segments
from models.training import (
    NothingToLearnError,
    Trained,
    TrainingSettings,
    evaluation_document,
    first_fact,
    in_id_order,
    protocol_of,
    sample_rows,
    with_quality,
)

REFERENCE_ROWS: Final = 400
BACKGROUND_ROWS: Final = 24
SHIFT_ROWS: Final = 4000


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
class DealStart:
    """What a training begins with: what was known, since when, how far it reaches, and what the audit found in it."""

    known: CrmTables
    first: pd.Timestamp
    buckets: Buckets
    inputs: DealInputs
    audit: Audit


def audit_of_deals(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> Audit:
    """Audit what a training as of ``as_of`` would learn from."""
    return start_deals(tables=tables, as_of=as_of, settings=settings).audit


def start_deals(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> DealStart:
    """Gather what a training begins with; raises ``NothingToLearnError`` without any deals to learn from."""
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
    return DealStart(known=known, first=first, buckets=buckets, inputs=inputs, audit=audit)


def train_deals(
    *, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings, champion: Champion | None = None
) -> Trained:
    """Train on what was known just before ``as_of``.

    The horizon of ``win_probability`` is the one that the history supports: the end of the last future bucket. The
    procedure that makes the published scores is run once as of ``test_at`` and judged on later outcomes, then run
    again as of today. A ``champion`` is the version that is live, which it may or may not replace. Raises
    ``NothingToLearnError`` if no deal has closed.
    """
    start = start_deals(tables=tables, as_of=as_of, settings=settings)
    known, first, buckets, inputs = start.known, start.first, start.buckets, start.inputs.refusing(start.audit)
    horizon = buckets.longest_days
    cutoffs = plan_cutoffs(first=first, now=as_of, horizon_days=horizon, settings=settings.split)
    today = fit_deals(tables=known, cutoff=as_of, first=first, buckets=buckets, inputs=inputs)

    proof = prove_deals(
        tables=known, cutoffs=cutoffs, first=first, buckets=buckets, inputs=inputs, calibration=settings.calibration
    )
    evaluation, chosen, venn_abers = None, CalibrationChoice(Calibrator()), VennAbers()
    drifted: list[FeatureDrift] = []
    by: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    population, y_obs = today.train, None
    if proof is not None:
        population, y_obs = proof.labelled, proof.rows.y_obs
        drifted = drift(
            reference=proof.past.shares,
            matrix=proof.matrix.features,
            objects=proof.labelled.deal_id,
            weight=proof.labelled.weight,
        )
        chosen = calibrator_of_deals(
            raw=proof.raw, rows=proof.labelled, y_obs=y_obs, buckets=buckets, calibration=settings.calibration
        )
        rows, by, absent = with_segments(proof.rows, tables=known, columns=settings.segments.deals)
        evaluation = rows.evaluate(
            as_of=as_of,
            horizon_days=horizon,
            protocol=protocol_of(cutoffs),
            replicates=settings.bootstrap_replicates,
            seed=settings.seed,
        )
        venn_abers = fit_venn_abers(
            probability=chosen.calibrator.apply(proof.raw),
            y_obs=y_obs,
            weight=proof.rows.weight,
            objects=proof.rows.objects,
        )
    scored_matrix = _open_now(today, known, as_of=as_of)
    evidence = Evidence(
        evaluation=evaluation,
        step=today.step,
        note=cutoffs.note(),
        suspects={name: why for name, why in start.audit.warned.items() if name in today.contract.names},
        shift=_shift(today, known, proof, scored_matrix, drifted),
        stability=_stability(today, known, first, scored_matrix, inputs=inputs, settings=settings),
        champion=None
        if champion is None
        else against_champion_of_deals(
            champion=champion, proof=proof, tables=known, cutoffs=cutoffs, settings=settings
        ),
    )
    points_tested = evaluation is not None and today.points_map is not None
    verdict = judge(
        evidence,
        settings=settings.gate,
        publishable=("rules", "base_rate", "stage_rate") if points_tested else ("base_rate", "stage_rate"),
    )
    bundle = _pack(
        today,
        population=population,
        y_obs=y_obs,
        verdict=verdict,
        evaluation=evaluation,
        calibrator=chosen.calibrator,
        venn_abers=venn_abers,
        tables=known,
        cutoffs=cutoffs,
        inputs=inputs,
        settings=settings,
    )
    bundle = with_quality(
        bundle,
        audit=start.audit,
        evidence=evidence.to_dict()
        | {
            "calibration": chosen.to_dict() if proof is not None else None,
            "by": {"columns": list(by), "absent": list(absent)},
            "needs": needs_of_deals(
                won=today.won,
                lost=today.lost,
                cutoffs=cutoffs,
                evaluation=evaluation,
                use=verdict.use,
                ladder=settings.ladder,
                gate=settings.gate,
            ).to_dict(),
        },
        reference=today.shares,
        test=drifted if proof is not None else None,
        scored=drift(
            reference=today.shares,
            matrix=scored_matrix.features,
            objects=scored_matrix.snapshots["deal_id"].to_numpy(),
        ),
    )
    return Trained(bundle=bundle, evaluation=evaluation, verdict=verdict)


def _open_now(today: DealFit, known: CrmTables, *, as_of: pd.Timestamp) -> Matrix:
    everyone = deal_population(tables=known, as_of=as_of, staleness=today.staleness)
    columns = ["deal", "deal_id", "as_of", "weight"]
    placed = everyone.loc[everyone["not_scored"].isna(), columns].reset_index(drop=True)
    return today.matrix(tables=known, snapshots=placed)


def _shift(
    today: DealFit, known: CrmTables, proof: DealProof | None, scored: Matrix, drifted: list[FeatureDrift]
) -> Shift | None:
    if today.model is None or proof is None:
        return None
    places = sample_rows(len(proof.labelled.outcome), most=SHIFT_ROWS)
    tested = proof.labelled.take(places)
    return population_shift(
        booster=today.model.booster,
        features=today.contract.features,
        during_test=drifted,
        tested=today.matrix(tables=known, snapshots=tested.snapshots).features,
        tested_objects=tested.deal_id,
        tested_weight=tested.weight,
        scored=scored.features,
        scored_objects=scored.snapshots["deal_id"].to_numpy(),
    )


def _stability(
    today: DealFit,
    known: CrmTables,
    first: pd.Timestamp,
    sample: Matrix,
    *,
    inputs: DealInputs,
    settings: TrainingSettings,
) -> Stability | None:
    refitter = None
    if settings.gate.stability_refits:
        refitter = deal_refitter(tables=known, first=first, fit=today, inputs=inputs)
    if refitter is None or not len(sample.features):
        return None
    return stability(
        refitter=refitter,
        sample=sample.features,
        pipelines=rows_of(snapshots=sample.snapshots, timelines=build_timelines(known)).pipeline,
        refits=settings.gate.stability_refits,
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
        staleness=today.staleness,
        edges=today.buckets.edges,
        shared_edges=today.buckets.shared,
        background=tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in background)
        if use == "model"
        else (),
        comparisons=today.comparisons,
        points_comparisons=today.points_comparisons,
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
        objects=rows.deal_id,
        refits=refits_of(
            deal_refitter(tables=tables, first=cutoffs.first, fit=today, inputs=inputs) if use == "model" else None,
            calibrator=data.calibrator,
            pipelines=rows.pipeline,
            settings=settings.drivers,
            seed=settings.seed,
        ),
    )
    return Bundle(
        data=data.model_copy(update={"reference": reference, "drivers": tuple(told)}),
        booster=booster,
        evaluation=document | {"drivers": {"rows": len(rows.outcome), "objects": len(np.unique(rows.deal_id))}},
    )


def _labels_of(rows: DealRows, tables: CrmTables, fit: DealFit) -> FloatArray:
    return won_in_support(rows=rows, timelines=build_timelines(tables), buckets=fit.buckets, known_until=fit.cutoff)
