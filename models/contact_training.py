"""Train the contact question: fits as of the cut-offs, calibration, test, verdict, and the bundle to publish."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Final

import numpy as np
import pandas as pd

from features.matrix import Matrix
from features.tables import CrmTables
from models.bundle import Bundle, BundleData
from models.calibration import CalibrationChoice, Calibrator
from models.champion import Champion, against_champion_of_contacts
from models.contact_fit import (
    ContactFit,
    ContactInputs,
    LabelledContacts,
    fit_contacts,
    points_of,
)
from models.contact_proof import ContactProof, calibrator_of_contacts, prove_contacts
from models.contact_scoring import contact_effects, everyone_at
from models.contact_start import start_contacts
from models.cutoffs import Cutoffs, plan_cutoffs
from models.drift import FeatureDrift, drift
from models.driver_refits import refits_of
from models.drivers import drivers
from models.evaluation import Evaluation, Verdict
from models.explanation import Effects, Reference, reference_of
from models.gate import SCORER_OF, calibration_failures
from models.intervals import VennAbers, fit_venn_abers
from models.needs import needs_of_contacts
from models.promotion import Evidence, judge
from models.refit import contact_refitter
from models.rules.evidence import rule_evidence
from models.shift import Shift, population_shift
from models.stability import Stability, stability
from models.subgroups import with_segments
from models.training import (
    NothingToLearnError,
    Trained,
    TrainingSettings,
    evaluation_document,
    protocol_of,
    sample_rows,
    with_quality,
)

REFERENCE_ROWS: Final = 4000
DRIFT_ROWS: Final = 20_000


def train_contacts(
    *, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings, champion: Champion | None = None
) -> Trained:
    """Train on what was known just before ``as_of``.

    The procedure that makes the published scores is run once as of ``test_at`` and judged on later outcomes, then
    run again as of today. A ``champion`` is the version that is live, which it may or may not replace. Raises
    ``NothingToLearnError`` if there are no contacts or no wins at all.
    """
    start = start_contacts(tables=tables, as_of=as_of, settings=settings)
    known, first, inputs = start.known, start.first, start.inputs.refusing(start.audit)
    cutoffs = plan_cutoffs(first=first, now=as_of, horizon_days=settings.horizon_days, settings=settings.split)
    today = fit_contacts(tables=known, cutoff=as_of, first=first, inputs=inputs)
    if not len(today.train.y_obs):
        raise NothingToLearnError(
            question="contacts",
            found=f"no contact was seen for a whole {settings.horizon_days:g} days before {as_of.isoformat()}",
            need="Shorten horizon_days or bring a longer history.",
        )

    proof = prove_contacts(tables=known, cutoffs=cutoffs, first=first, inputs=inputs, calibration=settings.calibration)
    evaluation, chosen, venn_abers = None, CalibrationChoice(Calibrator()), VennAbers()
    drifted: list[FeatureDrift] = []
    by: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    population = today.train
    if proof is not None:
        population = proof.labelled
        if proof.past.silence is None:
            today = replace(today, silence=None)
        drifted = drift(
            reference=proof.past.shares,
            matrix=proof.matrix.features,
            objects=proof.labelled.snapshots["contact_id"].to_numpy(),
        )
        chosen = calibrator_of_contacts(
            raw=proof.raw, rows=proof.labelled, inputs=inputs, calibration=settings.calibration
        )
        rows, by, absent = with_segments(proof.rows, tables=known, columns=settings.segments.contacts)
        evaluation = rows.evaluate(
            as_of=as_of,
            horizon_days=settings.horizon_days,
            protocol=protocol_of(cutoffs),
            replicates=settings.bootstrap_replicates,
            seed=settings.seed,
        )
        venn_abers = fit_venn_abers(
            probability=chosen.calibrator.apply(proof.raw),
            y_obs=proof.rows.y_obs,
            weight=proof.rows.weight,
            objects=proof.rows.objects,
        )
    scored = _in_play(known, as_of=as_of, inputs=inputs)
    scored_matrix = today.matrix(tables=known, snapshots=scored)
    evidence = Evidence(
        evaluation=evaluation,
        step=today.step,
        note=cutoffs.note(),
        suspects={name: why for name, why in start.audit.warned.items() if name in today.contract.names},
        shift=_shift(today, known, proof, scored_matrix, drifted),
        stability=_stability(today, known, scored_matrix, inputs=inputs, settings=settings),
        champion=None
        if champion is None
        else against_champion_of_contacts(
            champion=champion, proof=proof, tables=known, cutoffs=cutoffs, settings=settings
        ),
    )
    verdict = judge(
        evidence,
        settings=settings.gate,
        publishable=("rules", "base_rate") if inputs.rules.criteria else ("base_rate",),
    )
    bundle = _pack(
        today,
        population=population,
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
            "silence": proof.silence.to_dict() if proof is not None and proof.silence is not None else None,
            "by": {"columns": list(by), "absent": list(absent)},
            "rules": rule_evidence(
                tables=known,
                as_of=as_of,
                settings=settings,
                model_scores=None if proof is None or proof.past.booster is None else proof.raw,
            ),
            "needs": needs_of_contacts(
                winners=today.train.winning_contacts(),
                cutoffs=cutoffs,
                evaluation=evaluation,
                use=verdict.use,
                ladder=settings.ladder,
                gate=settings.gate,
            ).to_dict(),
        },
        reference=today.shares,
        test=drifted if proof is not None else None,
        scored=drift(reference=today.shares, matrix=scored_matrix.features, objects=scored["contact_id"].to_numpy()),
    )
    return Trained(bundle=bundle, evaluation=evaluation, verdict=verdict)


def _in_play(known: CrmTables, *, as_of: pd.Timestamp, inputs: ContactInputs) -> pd.DataFrame:
    everyone = everyone_at(known=known, as_of=as_of, max_idle_days=inputs.snapshots.max_idle_days)
    in_play = everyone.loc[everyone["not_scored"].isna(), ["contact_id", "as_of"]]
    return in_play.iloc[sample_rows(len(in_play), most=DRIFT_ROWS)].reset_index(drop=True)


def _shift(
    today: ContactFit, known: CrmTables, proof: ContactProof | None, scored: Matrix, drifted: list[FeatureDrift]
) -> Shift | None:
    if today.booster is None or proof is None:
        return None
    snapshots = proof.labelled.snapshots
    tested = snapshots.iloc[sample_rows(len(snapshots), most=REFERENCE_ROWS)].reset_index(drop=True)
    return population_shift(
        booster=today.booster,
        features=today.contract.features,
        during_test=drifted,
        tested=today.matrix(tables=known, snapshots=tested).features,
        tested_objects=tested["contact_id"].to_numpy(),
        scored=scored.features,
        scored_objects=scored.snapshots["contact_id"].to_numpy(),
    )


def _stability(
    today: ContactFit, known: CrmTables, sample: Matrix, *, inputs: ContactInputs, settings: TrainingSettings
) -> Stability | None:
    refitter = contact_refitter(tables=known, fit=today, inputs=inputs) if settings.gate.stability_refits else None
    if refitter is None or not len(sample.features):
        return None
    return stability(
        refitter=refitter,
        sample=sample.features,
        pipelines=None,
        refits=settings.gate.stability_refits,
        seed=settings.seed,
    )


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
        silence=today.silence if use == "model" else None,
        comparisons=today.comparisons,
        points_comparisons=today.points_comparisons,
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
    told = drivers(
        effects=effects,
        features=described.values,
        contract=described.features,
        y_obs=y_obs,
        weight=weight,
        objects=snapshots["contact_id"].to_numpy(),
        refits=refits_of(
            contact_refitter(tables=tables, fit=today, inputs=inputs) if use == "model" else None,
            calibrator=data.calibrator,
            pipelines=None,
            settings=settings.drivers,
            seed=settings.seed,
        ),
    )
    return Bundle(
        data=data.model_copy(update={"reference": reference, "drivers": tuple(told)}),
        booster=booster,
        evaluation=document | {"drivers": {"rows": len(rows), "objects": int(snapshots["contact_id"].nunique())}},
    )
