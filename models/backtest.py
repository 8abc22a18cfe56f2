"""The rolling-origin backtest: the procedure as of several past days, on the outcomes that came after each.

Model and baselines are measured on the same rows; intervals are paired and drawn over whole contacts or deals, per fold
and over all folds together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from features.errors import LeadScoringError
from models.champion import ChampionTest
from models.cutoffs import Cutoffs
from models.evaluation import ALIKE, MODEL, Evaluation, as_plain
from models.metrics import AnyArray, FloatArray, auc, auc_within, brier_skill, log_loss
from models.out_of_time import OutOfTime
from models.procedure import Procedure, Proof
from models.refit import Refitter
from models.separation import hashes
from models.stability import Stability
from models.subgroups import Subgroup
from models.training import protocol_of

CURVE_WINNERS: Final = (10, 20, 40, 80, 160, 320, 640, 1280)
CURVE_DRAWS: Final = 3
SPLIT_FOLDS: Final = 3


class NoBacktestError(LeadScoringError):
    """The history allows no test of the question as of any past day."""


@dataclass(frozen=True)
class CurvePoint:
    """What a model learns from so many winning objects: means over ``draws`` choices of them, on the last fold's rows.

    ``auc_alike`` is the AUC among those alike in what the stages tell (no open deal; same stage).
    """

    winners: int
    objects: int
    draws: int
    log_loss: float
    auc: float
    auc_alike: float


@dataclass(frozen=True)
class SplitResult:
    """The skill that a way of splitting reports for the same model: only the split in time can be had in life."""

    split: str
    words: str
    brier_skill: float
    auc: float


@dataclass(frozen=True)
class Backtest:
    """All that a backtest of one question found; ``folds`` are the oldest first.

    ``pooled`` is over the folds that have a model (all of them where none has); ``apart`` holds the same for contacts
    with and without an open deal, two questions of different weight. What was not asked for, or cannot be had without a
    model, is empty or None.
    """

    folds: tuple[Evaluation, ...]
    pooled: Evaluation
    curve: tuple[CurvePoint, ...] = ()
    splits: tuple[SplitResult, ...] = ()
    stability: Stability | None = None
    subgroups: Mapping[str, tuple[Subgroup, ...]] | None = None
    apart: Mapping[str, Evaluation] | None = None
    champion: ChampionTest | None = None
    features_added: tuple[str, ...] = ()
    features_gone: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "question": self.pooled.question,
            "as_of": self.pooled.as_of.isoformat(),
            "horizon_days": self.pooled.horizon_days,
            "folds": [fold.to_dict() for fold in self.folds],
            "pooled": self.pooled.to_dict(),
            "learning_curve": as_plain([asdict(point) for point in self.curve]),
            "splits": as_plain([asdict(split) for split in self.splits]),
            "stability": None if self.stability is None else self.stability.to_dict(),
            "subgroups": as_plain(
                {column: [asdict(group) for group in groups] for column, groups in (self.subgroups or {}).items()}
            ),
            "apart": {name: part.to_dict() for name, part in (self.apart or {}).items()},
            "champion": None
            if self.champion is None
            else {
                **self.champion.to_dict(),
                "features_added": list(self.features_added),
                "features_gone": list(self.features_gone),
            },
        }


def evaluate_fold(procedure: Procedure, proof: Proof) -> Evaluation:
    """Measure one fold."""
    return _evaluate(procedure, proof.rows, proof.cutoffs)


def evaluate_folds(procedure: Procedure, proofs: Sequence[Proof], *, as_of: pd.Timestamp) -> Evaluation:
    """Measure all folds together, on the scorers that every pooled fold has."""
    rows = pooled(proofs)
    begin, end = proofs[0].cutoffs, proofs[-1].cutoffs
    whole = replace(
        end, now=as_of, test_at=begin.test_at, calibrate_at=begin.calibrate_at, calibrate_until=begin.calibrate_until
    )
    return _evaluate(procedure, rows, whole)


def evaluate_apart(procedure: Procedure, proofs: Sequence[Proof]) -> dict[str, Evaluation]:
    """Measure contacts with and without an open deal apart, where either holds both outcomes; deals are not split."""
    rows = pooled(proofs)
    if rows.has_open_deal is None:
        return {}
    sides = {"with_open_deal": rows.has_open_deal, "without_open_deal": ~rows.has_open_deal}
    return {
        name: _evaluate(procedure, replace(part, has_open_deal=None, segments={}), proofs[-1].cutoffs)
        for name, side in sides.items()
        if side.any() and (part := rows.keep(side)).both_outcomes
    }


def pooled(proofs: Sequence[Proof]) -> OutOfTime:
    """Put the rows of the folds behind each other: of those with a model, or of all where none has one."""
    if not proofs:
        raise NoBacktestError("a backtest needs at least one fold with both outcomes, found none; bring more history")
    chosen = [proof.rows for proof in proofs if MODEL in proof.rows.scores] or [proof.rows for proof in proofs]
    first = chosen[0]
    names = [name for name in first.scores if all(name in one.scores for one in chosen)]
    columns = [name for name in first.segments if all(name in one.segments for one in chosen)]
    return replace(
        first,
        snapshots=pd.concat([one.snapshots for one in chosen], ignore_index=True),
        y_obs=np.concatenate([one.y_obs for one in chosen]),
        weight=np.concatenate([one.weight for one in chosen]),
        objects=np.concatenate([one.objects for one in chosen]),
        scores={name: np.concatenate([one.scores[name] for one in chosen]) for name in names},
        segments={name: np.concatenate([one.segments[name] for one in chosen]) for name in columns},
        stage=_joined([one.stage for one in chosen]),
        has_open_deal=_joined([one.has_open_deal for one in chosen]),
    )


def learning_curve(*, refitter: Refitter, proof: Proof, seed: int) -> list[CurvePoint]:
    """Refit on ever more winning objects, with others in proportion, and test each on the proof's rows."""
    ripe = ~np.isnan(refitter.y_obs)
    codes = np.unique(refitter.objects, return_inverse=True)[1]
    count = int(codes.max()) + 1
    won = np.zeros(count, dtype=bool)
    won[codes[ripe & (refitter.y_obs > 0)]] = True
    winners, others = np.flatnonzero(won), np.flatnonzero(~won)
    generator = np.random.default_rng(seed)
    points = []
    for wanted in [size for size in CURVE_WINNERS if size < len(winners)] + [len(winners)]:
        share = wanted / len(winners)
        draws = CURVE_DRAWS if share < 1.0 else 1
        found = []
        for _ in range(draws):
            drawn = np.concatenate(
                [
                    generator.choice(winners, wanted, replace=False),
                    generator.choice(others, round(share * len(others)), replace=False),
                ]
            )
            rows = np.flatnonzero(np.isin(codes, drawn))
            probability = refitter.fit(rows).probability(proof.features, proof.pipelines)
            found.append(_skill(proof.rows, probability))
        means = np.mean(found, axis=0)
        points.append(
            CurvePoint(
                winners=wanted,
                objects=wanted + round(share * len(others)),
                draws=draws,
                log_loss=float(means[0]),
                auc=float(means[1]),
                auc_alike=float(means[2]),
            )
        )
    return points


def split_contrast(*, refitter: Refitter, proof: Proof, seed: int) -> list[SplitResult]:
    """Report the skill by random rows, by random objects, and by time: the same model, three honesties."""
    ripe = np.flatnonzero(~np.isnan(refitter.y_obs))
    generator = np.random.default_rng(seed)
    by_row = generator.integers(0, SPLIT_FOLDS, len(ripe))
    by_object = (hashes(refitter.objects[ripe]) % np.uint64(SPLIT_FOLDS)).astype(np.int64)
    found = []
    for split, words, place in (
        ("random_rows", "random rows: snapshots of one object on both sides", by_row),
        ("random_objects", "random objects: their future and others' on both sides", by_object),
    ):
        probability = np.full(len(ripe), np.nan)
        for fold in range(SPLIT_FOLDS):
            inside = place == fold
            where = None if refitter.pipelines is None else refitter.pipelines[ripe[inside]]
            fitted = refitter.fit(ripe[~inside])
            probability[inside] = fitted.probability(refitter.features.iloc[ripe[inside]], where)
        y_obs, weight = refitter.y_obs[ripe], refitter.weight[ripe]
        found.append(
            SplitResult(
                split=split,
                words=words,
                brier_skill=brier_skill(y_obs=y_obs, y_pred=probability, weight=weight),
                auc=auc(y_obs=y_obs, y_pred=probability, weight=weight),
            )
        )
    rows = proof.rows
    return [
        *found,
        SplitResult(
            split="time",
            words="time: only what came later, as in life",
            brier_skill=brier_skill(y_obs=rows.y_obs, y_pred=proof.raw, weight=rows.weight),
            auc=auc(y_obs=rows.y_obs, y_pred=proof.raw, weight=rows.weight),
        ),
    ]


def _skill(rows: OutOfTime, probability: FloatArray) -> tuple[float, float, float]:
    given: dict[str, Any] = {"y_obs": rows.y_obs, "y_pred": probability, "weight": rows.weight}
    if ALIKE[rows.question] == "auc_within_stage":
        alike = auc_within(**given, strata=rows.stage) if rows.stage is not None else float("nan")
    else:
        cold = np.ones(len(probability), dtype=bool) if rows.has_open_deal is None else ~rows.has_open_deal
        alike = auc(y_obs=rows.y_obs[cold], y_pred=probability[cold], weight=rows.weight[cold])
    return log_loss(**given), auc(**given), alike


def _evaluate(procedure: Procedure, rows: OutOfTime, cutoffs: Cutoffs) -> Evaluation:
    settings = procedure.settings
    return rows.evaluate(
        as_of=cutoffs.now,
        horizon_days=procedure.horizon_days,
        protocol=protocol_of(cutoffs),
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
    )


def _joined(columns: Sequence[AnyArray | None]) -> AnyArray | None:
    given = [column for column in columns if column is not None]
    return np.concatenate(given) if len(given) == len(columns) else None
