"""A question tested as of several past days: the product's whole procedure beside its baselines and beside rivals."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._rivals import Past, automl_scores, rival_scores
from features.episodes import build_timelines
from features.tables import CrmTables
from features.visibility import MICROSECONDS_PER_DAY, as_known_at, microseconds
from models.backtest import pooled
from models.boosting import FloatArray
from models.contact_fit import ContactFit
from models.cutoffs import plan_folds
from models.deal_fit import DealFit, won_in_support
from models.evaluation import ALIKE, MODEL, Evaluation, Question, evaluate
from models.out_of_time import SCORER_LABELS, OutOfTime
from models.procedure import Procedure, Proof, procedure_of
from models.training import TrainingSettings, protocol_of

AUTOML_TIMES_OURS = 10.0
LEAST_AUTOML_SECONDS = 20.0
AUTOML = "FLAML"
REPLICATES = 500


@dataclass(frozen=True)
class Rolled:
    """The folds alone and together, and how long our fit and FLAML's search took on average (seconds)."""

    folds: tuple[Evaluation, ...]
    pooled: Evaluation
    our_seconds: float
    automl_seconds: float


def roll(
    question: Question,
    *,
    tables: CrmTables,
    as_of: pd.Timestamp,
    settings: TrainingSettings,
    folds: int,
    automl: str | None,
) -> Rolled:
    """Test a question as of up to ``folds`` past days; ``automl`` is the Python that has FLAML, None leaves it out."""
    procedure = procedure_of(question, tables=tables, as_of=as_of, settings=settings)
    planned = plan_folds(
        first=procedure.first,
        now=as_of,
        horizon_days=procedure.horizon_days,
        folds=folds,
        settings=settings.split,
    )
    proofs, ours, theirs = [], [], []
    for cutoffs in planned:
        proof = procedure.prove(cutoffs)
        if proof is None or MODEL not in proof.rows.scores:
            continue
        past = past_of(procedure, proof)
        refitter = procedure.refitter(proof)
        assert refitter is not None
        started = time.perf_counter()
        refitter.fit(np.arange(len(refitter.features)))
        ours.append(time.perf_counter() - started)
        scores = {**proof.rows.scores, **rival_scores(past, proof.features)}
        if automl is not None:
            theirs.append(max(AUTOML_TIMES_OURS * ours[-1], LEAST_AUTOML_SECONDS))
            scores[AUTOML] = automl_scores(past, proof.features, python=automl, seconds=theirs[-1])
        proofs.append(replace(proof, rows=replace(proof.rows, scores=scores)))
        print(f"as of {cutoffs.test_at:%Y-%m-%d}: {len(past.y_obs):,} rows to learn from", file=sys.stderr)
    if not proofs:
        raise SystemExit("no fold has a model and both outcomes; bring a longer history")
    together = pooled(proofs)
    return Rolled(
        folds=tuple(_evaluate(procedure, proof.rows, proof) for proof in proofs),
        pooled=_evaluate(procedure, together, proofs[-1]),
        our_seconds=float(np.mean(ours)),
        automl_seconds=float(np.mean(theirs)) if theirs else 0.0,
    )


def past_of(procedure: Procedure, proof: Proof) -> Past:
    """Return the ripe snapshots that were there to learn from when a proof's test began."""
    fit: ContactFit | DealFit = proof.made.past
    known = as_known_at(procedure.known, as_of=fit.cutoff)
    if isinstance(fit, DealFit):
        return past_of_deals(fit, known=known)
    snapshots = fit.train.snapshots
    days = np.full(len(snapshots), procedure.horizon_days)
    return _past(fit, known=known, y_obs=fit.train.y_obs, weight=np.ones(len(snapshots)), days=days)


def past_of_deals(fit: DealFit, *, known: CrmTables) -> Past:
    """Return the ripe snapshots that a deal model was fitted on; ``known`` is what was known at its cut-off."""
    y_obs = won_in_support(
        rows=fit.train, timelines=build_timelines(known), buckets=fit.buckets, known_until=fit.cutoff
    )
    days = fit.buckets.support_days(fit.train.pipeline)
    return _past(fit, known=known, y_obs=y_obs, weight=fit.train.weight, days=days)


def _past(
    fit: ContactFit | DealFit, *, known: CrmTables, y_obs: FloatArray, weight: FloatArray, days: FloatArray
) -> Past:
    as_of = microseconds(fit.train.snapshots["as_of"])
    return Past(
        features=fit.matrix(tables=known, snapshots=fit.train.snapshots).features,
        categories=tuple(feature.name for feature in fit.contract.features if feature.is_category),
        y_obs=y_obs,
        weight=weight,
        as_of=as_of,
        ripe_at=as_of + (days * MICROSECONDS_PER_DAY).astype(np.int64),
    )


def show_rolled(rolled: Rolled, *, title: str) -> dict[str, Any]:
    """Print the pooled figures of every scorer, and each fold's log loss; return all of it as plain data."""
    whole = rolled.pooled
    alike = ALIKE[whole.question]
    print(f"\n{title}")
    print(
        f"{len(rolled.folds)} as-ofs, {whole.rows:,} rows, {whole.objects:,} {whole.question}, "
        f"{whole.positive_objects:,} won; rate {whole.base_rate:.3f}; our fit {rolled.our_seconds:.1f} s"
        + (f", FLAML {rolled.automl_seconds:.0f} s" if rolled.automl_seconds else "")
    )
    words = f"{'':30}{'log loss':>9}{'Brier':>8}{'AUC':>7}{'alike':>7}{'pred/obs':>9}{'slope':>7}{'ICI':>7}"
    print(words + "   ours less theirs, log loss (95 %)")
    for name in sorted(whole.scorers, key=lambda name: (name != MODEL, whole.scorers[name].metrics["log_loss"].value)):
        values = {metric: estimate.value for metric, estimate in whole.scorers[name].metrics.items()}
        line = (
            f"{whole.scorers[name].label:30}{values['log_loss']:9.4f}{values['brier']:8.4f}{values['auc']:7.3f}"
            f"{values[alike]:7.3f}{values['predicted_over_observed']:9.2f}{values['slope']:7.2f}{values['ici']:7.3f}"
        )
        if name != MODEL:
            gap = whole.differences[name]["log_loss"]
            line += f"   {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
        print(line)
    print_folds(rolled.folds)
    return {
        "title": title,
        "our_seconds": rolled.our_seconds,
        "automl_seconds": rolled.automl_seconds,
        "pooled": whole.to_dict(),
        "folds": [fold.to_dict() for fold in rolled.folds],
    }


def print_folds(folds: Sequence[Evaluation]) -> None:
    """Print, for each as-of, the rate and log loss, AUC and predicted / observed of the model and its best rival."""
    for fold in folds:
        losses = {name: scorer.metrics["log_loss"].value for name, scorer in fold.scorers.items() if name != MODEL}
        best = min(losses, key=lambda name: losses[name])
        told = []
        for name in (MODEL, best):
            metrics = fold.scorers[name].metrics
            told.append(
                f"{fold.scorers[name].label} {metrics['log_loss'].value:.4f} (AUC {metrics['auc'].value:.3f}, "
                f"pred/obs {metrics['predicted_over_observed'].value:.2f})"
            )
        begin = fold.protocol.test_from
        print(f"as of {begin:%Y-%m-%d}, rate {fold.base_rate:.3f}: {'; best other: '.join(told)}")


def _evaluate(procedure: Procedure, rows: OutOfTime, proof: Proof) -> Evaluation:
    return evaluate(
        question=rows.question,
        as_of=proof.cutoffs.now,
        horizon_days=procedure.horizon_days,
        protocol=protocol_of(proof.cutoffs),
        y_obs=rows.y_obs,
        scores=rows.scores,
        labels={name: SCORER_LABELS.get(name, name) for name in rows.scores},
        objects=rows.objects,
        weight=rows.weight,
        stage=rows.stage,
        has_open_deal=rows.has_open_deal,
        replicates=REPLICATES,
        seed=procedure.settings.seed,
    )
