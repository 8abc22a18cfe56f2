"""The evaluation of one question: the model and every baseline on the same rows, with intervals over objects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np

from features.errors import LeadScoringError
from models.bootstrap import cluster_weights, interval
from models.calibration_error import CalibrationOrder, NullBands, ReliabilityBin, null_bands, reliability
from models.metrics import (
    ROUNDING,
    AnyArray,
    FloatArray,
    ScoreOrder,
    as_float,
    quotient,
    row_log_loss,
    row_squared_error,
    weighted_mean,
)
from models.segments import SegmentEvaluation, segment_evaluations

Question = Literal["contacts", "deals"]
Use = Literal["model", "rules", "stage_rate", "base_rate"]

MODEL: Final = "model"
"""Name of the scorer that every other scorer is a baseline for."""
CHAMPION: Final = "champion"
"""Name of the live version where it is measured beside a challenger."""

LIST_SHARES: Final = (0.1, 0.2)
GAIN_SHARES: Final = tuple(step / 20 for step in range(1, 21))
DIFFERENCES: Final = ("log_loss", "brier", "auc", "auc_within_stage", "auc_no_open_deal")
ALIKE: Final[dict[Question, str]] = {"contacts": "auc_no_open_deal", "deals": "auc_within_stage"}
"""The AUC among objects alike in what the stages tell: the skill that an open deal or a stage does not lend."""
NULL_DRAWS: Final = 200
REACHED: Final = 0.6
"""``reach_60`` is the first share of the list that holds this share of the positives."""


class EvaluationError(LeadScoringError):
    """The rows handed to an evaluation cannot be compared."""


@dataclass(frozen=True)
class Protocol:
    """When the rows were taken: half-open windows, and the gap in days left between them."""

    train_from: datetime | None
    train_to: datetime | None
    calibrate_from: datetime | None
    calibrate_to: datetime | None
    test_from: datetime | None
    test_to: datetime | None
    purge_days: float
    note: str


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GainPoint:
    """Share of all positives held by the best ``share`` of the list."""

    share: float
    captured: float


@dataclass(frozen=True)
class ScorerEvaluation:
    """All that was measured on one scorer."""

    label: str
    metrics: Mapping[str, Estimate]
    reliability: tuple[ReliabilityBin, ...]
    gains: tuple[GainPoint, ...]
    calibration_null: NullBands


@dataclass(frozen=True)
class Verdict:
    """What to use for this question, why, and the answer in plain words.

    ``promote`` is False where the version that is live stays: then ``use`` is what the challenger itself would publish.
    """

    use: Use
    reasons: tuple[str, ...]
    promote: bool = True
    answer: str = ""


@dataclass(frozen=True)
class Evaluation:
    """The model beside every baseline; ``differences`` are model minus baseline, paired over the same draws."""

    question: Question
    as_of: datetime
    horizon_days: float
    protocol: Protocol
    rows: int
    objects: int
    positives: int
    positive_objects: int
    base_rate: float
    scorers: Mapping[str, ScorerEvaluation]
    differences: Mapping[str, Mapping[str, Estimate]]
    segments: tuple[SegmentEvaluation, ...]
    verdict: Verdict | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: times in ISO 8601, undefined numbers as None, no verdict before there is one."""
        content: dict[str, Any] = as_plain(self)
        if self.verdict is None:
            del content["verdict"]
        return content


def evaluate(
    *,
    question: Question,
    as_of: datetime,
    horizon_days: float,
    protocol: Protocol,
    y_obs: AnyArray,
    scores: Mapping[str, AnyArray],
    labels: Mapping[str, str],
    objects: AnyArray,
    weight: AnyArray | None = None,
    stage: AnyArray | None = None,
    has_open_deal: AnyArray | None = None,
    segments: Mapping[str, AnyArray] | None = None,
    replicates: int = 200,
    seed: int,
) -> Evaluation:
    """Measure every scorer on the same rows.

    ``objects`` holds each row's contact or deal, the unit that the bootstrap draws. ``stage`` (unique over pipelines)
    adds ``auc_within_stage``; ``has_open_deal`` adds ``auc_no_open_deal``. The same arguments give the same result.
    Raises ``EvaluationError`` if there are no rows, or outcomes or probabilities are missing or out of range.
    """
    columns = {"objects": objects, "weight": weight, "stage": stage, "has_open_deal": has_open_deal}
    given = {name: column for name, column in {**columns, **(segments or {})}.items() if column is not None}
    _check(y_obs=y_obs, scores=scores, labels=labels, columns=given, weight=weight)
    outcome = as_float(y_obs)
    weights = np.ones(len(outcome)) if weight is None else as_float(weight)
    exact = {
        name: _ScorerRows.build(
            y_obs=outcome, y_pred=as_float(values), weight=weights, stage=stage, has_open_deal=has_open_deal
        )
        for name, values in scores.items()
    }
    values = {name: rows.metrics(weights[np.newaxis, :]) for name, rows in exact.items()}
    draws = _replicate(
        {name: rows.coarsened(weights) for name, rows in exact.items()},
        objects=objects,
        weight=weights,
        replicates=replicates,
        seed=seed,
    )
    bins = {
        name: reliability(y_obs=outcome, y_pred=rows.y_pred, weight=weights, cluster=objects)
        for name, rows in exact.items()
    }
    nulls = {
        name: null_bands(y_pred=rows.y_pred, weight=weights, cluster=objects, draws=NULL_DRAWS, seed=seed + 1)
        for name, rows in exact.items()
    }
    return Evaluation(
        question=question,
        as_of=as_of,
        horizon_days=float(horizon_days),
        protocol=protocol,
        rows=len(outcome),
        objects=len(np.unique(objects)),
        positives=int((outcome > 0.0).sum()),
        positive_objects=len(np.unique(np.asarray(objects)[outcome > 0.0])),
        base_rate=weighted_mean(outcome, weights),
        scorers={
            name: ScorerEvaluation(
                label=labels[name],
                metrics={metric: _estimate(value, draws[name][metric]) for metric, value in values[name].items()},
                reliability=bins[name],
                gains=rows.gains(weights),
                calibration_null=nulls[name],
            )
            for name, rows in exact.items()
        },
        differences={
            name: {
                metric: _estimate(
                    values[MODEL][metric] - values[name][metric], draws[MODEL][metric] - draws[name][metric]
                )
                for metric in DIFFERENCES
                if metric in values[MODEL]
            }
            for name in scores
            if MODEL in scores and name != MODEL
        },
        segments=tuple(
            part
            for segment, column in (segments or {}).items()
            for part in segment_evaluations(
                segment, column, y_obs=outcome, weight=weights, objects=objects, scores=scores
            )
        ),
    )


@dataclass(frozen=True)
class _ScorerRows:
    """One scorer's rows, sorted and priced once, ready to be weighed many times."""

    y_obs: FloatArray
    y_pred: FloatArray
    row_log_loss: FloatArray
    row_squared_error: FloatArray
    order: ScoreOrder
    special_orders: Mapping[str, ScoreOrder]
    calibration: CalibrationOrder

    @classmethod
    def build(
        cls,
        *,
        y_obs: FloatArray,
        y_pred: FloatArray,
        weight: FloatArray,
        stage: AnyArray | None,
        has_open_deal: AnyArray | None,
    ) -> _ScorerRows:
        special = {}
        if stage is not None:
            special["auc_within_stage"] = ScoreOrder.build(y_obs=y_obs, y_pred=y_pred, strata=stage)
        if has_open_deal is not None:
            cold = ~np.asarray(has_open_deal, dtype=bool)
            special["auc_no_open_deal"] = ScoreOrder.build(y_obs=y_obs, y_pred=y_pred, keep=cold)
        return cls(
            y_obs=y_obs,
            y_pred=y_pred,
            row_log_loss=row_log_loss(y_obs=y_obs, y_pred=y_pred),
            row_squared_error=row_squared_error(y_obs=y_obs, y_pred=y_pred),
            order=ScoreOrder.build(y_obs=y_obs, y_pred=y_pred),
            special_orders=special,
            calibration=CalibrationOrder.build(y_pred=y_pred, weight=weight, fine_bins=None),
        )

    def coarsened(self, weight: FloatArray) -> _ScorerRows:
        """Return the same rows with the smooth calibration curves on grouped rows, as the replicates need speed."""
        return replace(self, calibration=CalibrationOrder.build(y_pred=self.y_pred, weight=weight))

    def metrics(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Compute every metric, one value for each weighting (weightings x rows)."""
        total = weights.sum(axis=1)
        rate = quotient(weights @ self.y_obs, total)
        squared = quotient(weights @ self.row_squared_error, total)
        groups = self.order.weigh(weights)
        captured = groups.captured(np.array(LIST_SHARES))
        curve = groups.captured(np.array(GAIN_SHARES))
        calibration = self.calibration.errors(weights=weights, y_obs=self.y_obs)
        variance = rate * (1.0 - rate)
        return {
            "log_loss": quotient(weights @ self.row_log_loss, total),
            "brier": squared,
            "brier_skill": 1.0 - quotient(squared, np.where(variance > ROUNDING, variance, 0.0)),
            "auc": groups.auc(),
            "pr_auc": groups.average_precision(),
            **{name: order.weigh(weights).auc() for name, order in self.special_orders.items()},
            **{f"lift_{round(100 * share)}": captured[:, at] / share for at, share in enumerate(LIST_SHARES)},
            **{f"capture_{round(100 * share)}": captured[:, at] for at, share in enumerate(LIST_SHARES)},
            "reach_60": share_that_holds(curve, wanted=REACHED),
            "predicted_over_observed": quotient(weights @ self.y_pred, weights @ self.y_obs),
            "slope": calibration.slope,
            "ece": calibration.ece,
            "ici": calibration.ici,
        }

    def gains(self, weight: FloatArray) -> tuple[GainPoint, ...]:
        """Share of positives captured at each share of the list."""
        captured = self.order.weigh(weight[np.newaxis, :]).captured(np.array(GAIN_SHARES))[0]
        return tuple(GainPoint(share, float(held)) for share, held in zip(GAIN_SHARES, captured, strict=True))


def share_that_holds(captured: FloatArray, *, wanted: float) -> FloatArray:
    """Return how much of the list holds ``wanted`` of the positives, linear between the shares of ``GAIN_SHARES``.

    ``captured`` (n, shares) is what each share of the list holds; undefined rows give NaN.

    >>> share_that_holds(np.linspace(0.05, 1.0, 20)[np.newaxis, :] ** 0.5, wanted=0.6).round(2)
    array([0.36])
    """
    shares = np.array([0.0, *GAIN_SHARES])
    held = np.hstack([np.zeros((len(captured), 1)), captured])
    found = np.full(len(held), np.nan)
    for row, values in enumerate(held):
        if np.isfinite(values).all() and values[-1] >= wanted:
            at = int(np.argmax(values >= wanted))
            part = (wanted - values[at - 1]) / (values[at] - values[at - 1])
            found[row] = shares[at - 1] + part * (shares[at] - shares[at - 1])
    return found


def _replicate(
    scorers: Mapping[str, _ScorerRows], *, objects: AnyArray, weight: FloatArray, replicates: int, seed: int
) -> dict[str, dict[str, FloatArray]]:
    """Every metric of every scorer in every replicate; scorers share the draws, so that differences are paired."""
    blocks: dict[str, list[dict[str, FloatArray]]] = {name: [] for name in scorers}
    for weights in cluster_weights(cluster=objects, replicates=replicates, seed=seed, weight=weight):
        for name, rows in scorers.items():
            blocks[name].append(rows.metrics(weights))
    return {
        name: {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}
        for name, parts in blocks.items()
    }


def _check(
    *,
    y_obs: AnyArray,
    scores: Mapping[str, AnyArray],
    labels: Mapping[str, str],
    columns: Mapping[str, AnyArray],
    weight: AnyArray | None,
) -> None:
    outcome = as_float(y_obs)
    if not len(outcome):
        raise EvaluationError(
            "an evaluation needs at least one test row, found none; widen the test window or load a longer history"
        )
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise EvaluationError(
            f"every outcome must be 0 or 1, found {outcome[~np.isin(outcome, (0.0, 1.0))][0]}; "
            "drop the rows whose label is not ripe before evaluating"
        )
    for name, values in [*columns.items(), *scores.items()]:
        if len(values) != len(outcome):
            raise EvaluationError(
                f"{name!r} must have one value for each of the {len(outcome)} rows, found {len(values)}; "
                "hand over the same rows of the test window everywhere"
            )
    if weight is not None and not (np.isfinite(as_float(weight)).all() and as_float(weight).min() >= 0.0):
        raise EvaluationError("every row weight must be a finite number and not negative; check the snapshot weights")
    if weight is not None and not as_float(weight).any():
        raise EvaluationError("at least one row weight must be above zero, found none; check the snapshot weights")
    for name, values in scores.items():
        bad = ~((as_float(values) >= 0.0) & (as_float(values) <= 1.0))
        if bad.any():
            raise EvaluationError(
                f"scorer {name!r} must give a probability from 0 to 1 on every row, found {as_float(values)[bad][0]} "
                f"among {int(bad.sum())} bad of {len(outcome)} rows; compare scorers only on rows that all can score"
            )
        if name not in labels:
            raise EvaluationError(f"scorer {name!r} must have a label, found labels for {sorted(labels)}; add one")


def _estimate(value: FloatArray, draws: FloatArray) -> Estimate:
    ends = interval(draws)
    return Estimate(value=float(value[0]), low=ends.low, high=ends.high)


def _is_missing(value: object) -> bool:
    # NaN and NaT are the values that differ from themselves.
    return value is None or value != value or value == ""


def as_plain(value: Any) -> Any:
    """Return data for JSON: dataclasses as objects, times in ISO 8601, undefined numbers as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, datetime) else value
