"""Score deals: win probability, close-date curve, baselines and reasons for everything open at an as-of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.episodes import OPEN, Timelines, build_timelines
from features.matrix import Matrix, build_matrix
from features.properties import history_properties, property_at
from features.tables import CrmTables
from features.visibility import as_known_at, instant
from models.boosting import FloatArray
from models.bundle import Bundle
from models.contact_scoring import RANK_ONLY, compared_with
from models.deal_fit import DealRows, best_points_of_deals, flat_curve, rows_of
from models.explanation import centred, landmark_effects, reasons_json
from models.landmark import WinCurve
from models.ranking import trends
from models.rules.reasons import write_points
from models.stage_rates import ManualStageProbabilities, StageRates
from models.staleness import Staleness, stale_deals

NO_STAGE: Final = "no stage is known at the as-of"
CURVE_LOW, CURVE_MIDDLE, CURVE_HIGH = 0.1, 0.5, 0.9


@dataclass(frozen=True)
class ScoredDeals:
    """Probability to publish, effects (n, features) before centring, and the curve that both rest on."""

    probability: FloatArray
    effects: FloatArray
    curve: WinCurve


def deal_population(*, tables: CrmTables, as_of: pd.Timestamp, staleness: Staleness | None = None) -> pd.DataFrame:
    """List every deal known before ``as_of`` that has not closed, where it stands, and in ``not_scored`` why it has no
    score.

    Not scored are deals without a known stage and, by ``staleness``, those open for much longer than any that was won.
    """
    timelines = build_timelines(as_known_at(tables, as_of=as_of))
    everyone = np.arange(len(timelines.deal_ids))
    now = np.full(len(everyone), instant(as_of))
    here = timelines.stream.last_before(objects=everyone, as_of=now)
    placed = here >= 0
    not_closed = ~placed
    not_closed[placed] = timelines.outcome[here[placed]] == OPEN
    why_not = np.full(len(everyone), NO_STAGE, dtype=object)
    why_not[placed] = None
    stages = timelines.stages.iloc[timelines.stage[here[placed]]]
    where = pd.DataFrame(None, index=everyone, columns=["in_pipeline", "in_stage"], dtype=object)
    where.loc[placed] = stages[["pipeline", "stage"]].to_numpy(dtype=object)
    if staleness is not None:
        why_not[placed] = stale_deals(
            staleness,
            timelines=timelines,
            deals=everyone[placed],
            as_of=now[placed],
            pipelines=stages["pipeline"].to_numpy(dtype=object),
        )
    chosen = everyone[not_closed]
    return pd.DataFrame(
        {
            "deal": chosen,
            "deal_id": pd.Series(timelines.deal_ids[chosen], dtype="str"),
            "as_of": pd.Series(as_of, index=range(len(chosen))).dt.as_unit("us"),
            "weight": 1.0,
            "in_pipeline": pd.Series(where["in_pipeline"].to_numpy()[chosen], dtype="str"),
            "in_stage": pd.Series(where["in_stage"].to_numpy()[chosen], dtype="str"),
            "not_scored": why_not[chosen],
        }
    )


def deal_matrix(*, bundle: Bundle, tables: CrmTables, population: pd.DataFrame, as_of: pd.Timestamp) -> Matrix:
    """Build the features of every deal whose stage is known."""
    placed = population.loc[population["not_scored"].isna()].drop(columns=["in_pipeline", "in_stage", "not_scored"])
    known = as_known_at(tables, as_of=as_of)
    return build_matrix(tables=known, snapshots=placed.reset_index(drop=True), contract=bundle.data.contract)


def score_deals(
    *,
    bundle: Bundle,
    tables: CrmTables,
    population: pd.DataFrame,
    matrix: Matrix,
    as_of: pd.Timestamp,
    previous: pd.Series | None,
) -> pd.DataFrame:
    """Return one row of the published contract for each deal of the population.

    ``previous`` holds earlier probabilities by deal id. A deal without a known stage is listed but not scored.
    """
    data = bundle.data
    known = as_known_at(tables, as_of=as_of)
    timelines = build_timelines(known)
    snapshots = matrix.snapshots
    rows = rows_of(snapshots=snapshots, timelines=timelines)
    best = None
    if data.points_known:
        best = best_points_of_deals(tables=known, snapshots=snapshots, rules=data.rules, properties=data.properties)
    points = None if best is None else best.total
    scored = deal_effects(bundle=bundle, matrix=matrix, rows=rows, points=points)
    curve = scored.curve

    days_in_stage = matrix.features["days_in_stage"].to_numpy()
    amount = _amount(known, timelines, snapshots["deal"].to_numpy(), as_of=instant(as_of))
    keys = [f"{pipeline}/{stage}" for pipeline, stage in zip(rows.pipeline, rows.stage, strict=True)]
    stall_after = np.array([data.stall_days.get(key, np.inf) for key in keys])
    frame = snapshots[["deal_id", "as_of"]].assign(
        model_version=bundle.version,
        pipeline=rows.pipeline,
        stage=rows.stage,
        days_in_stage=days_in_stage,
        stage_probability_manual=ManualStageProbabilities.from_dict(data.stage_manual).predict(
            pipeline=rows.pipeline, stage=rows.stage
        ),
        stage_rate_observed=StageRates.from_dict(data.stage_rates).predict(pipeline=rows.pipeline, stage=rows.stage),
        amount=amount,
        stalled=days_in_stage > stall_after,
        points=np.nan if points is None else points,
        points_likelihood=np.nan if points is None or data.points_map is None else data.points_map.predict(points),
        points_reasons=None
        if best is None
        else write_points(
            best.points, rules=data.rules, comparisons=data.points_comparisons, question="deals", rows=best.row
        ),
    )
    if data.calibrated:
        low, high = data.venn_abers.interval(scored.probability)
        before = np.full(len(frame), np.nan)
        if previous is not None and len(previous):
            before = previous.reindex(frame["deal_id"]).to_numpy(dtype=np.float64)
        frame = frame.assign(
            win_probability=scored.probability,
            win_low=low,
            win_high=high,
            win_within_horizon=win_within(curve=curve, probability=scored.probability, days=data.horizon_days),
            expected_close_at=_close_at(as_of, curve.win_quantile_days(CURVE_MIDDLE)),
            expected_close_low=_close_at(as_of, curve.win_quantile_days(CURVE_LOW)),
            expected_close_high=_close_at(as_of, curve.win_quantile_days(CURVE_HIGH)),
            expected_value=amount * scored.probability,
            base_rate=data.reference.base_rate,
            previous_probability=before,
            trend=trends(scored.probability, before),
            reasons=reasons_json(
                effects=centred(effects=scored.effects, reference=data.reference),
                features=matrix.features,
                contract=data.contract.features,
                probability=scored.probability,
                compared=compared_with(bundle, data.contract.features),
            ),
            not_scored=None,
        )
    else:
        frame = frame.assign(not_scored=RANK_ONLY)
    rest = population.loc[
        population["not_scored"].notna(), ["deal_id", "as_of", "in_pipeline", "in_stage", "not_scored"]
    ]
    rest = rest.rename(columns={"in_pipeline": "pipeline", "in_stage": "stage"})
    return pd.concat([frame, rest], ignore_index=True).assign(object_type="deal")


def deal_curve(
    *, bundle: Bundle, matrix: Matrix, rows: DealRows, points: FloatArray | None
) -> tuple[FloatArray, WinCurve]:
    """Return the probability to publish and its curve: of the model, or of the fallback that its test preferred."""
    data = bundle.data
    if data.use == "model":
        curve = bundle.landmark().curve(features=matrix.features, pipelines=rows.pipeline)
        return data.calibrator.apply(curve.won[:, -1]), curve
    if data.use == "stage_rate":
        rate = StageRates.from_dict(data.stage_rates).predict(pipeline=rows.pipeline, stage=rows.stage)
    elif data.use == "rules" and data.points_map is not None and points is not None:
        rate = data.points_map.predict(points)
    else:
        rate = np.full(len(rows.outcome), data.base_rate)
    return rate, flat_curve(rate, edges=bundle.buckets().of(rows.pipeline))


def deal_effects(*, bundle: Bundle, matrix: Matrix, rows: DealRows, points: FloatArray | None) -> ScoredDeals:
    """Score open deals with the bundle's model, or with the fallback that its test preferred."""
    probability, curve = deal_curve(bundle=bundle, matrix=matrix, rows=rows, points=points)
    if bundle.data.use != "model":
        return ScoredDeals(probability=probability, effects=_flat_effects(bundle, rate=probability), curve=curve)
    _, effects = landmark_effects(
        model=bundle.landmark(),
        calibrator=bundle.data.calibrator,
        features=matrix.features,
        background=bundle.background(),
        contract=bundle.data.contract.features,
    )
    return ScoredDeals(probability=probability, effects=effects, curve=curve)


def _flat_effects(bundle: Bundle, *, rate: FloatArray) -> FloatArray:
    """Explain a rate by the one feature it rests on: the stage (or, for points, who is involved)."""
    family = "people" if bundle.data.use == "rules" else "stage"
    names = [feature.name for feature in bundle.data.contract.features]
    lead = names.index("contacts_count" if family == "people" and "contacts_count" in names else "stage")
    effects = np.zeros((len(rate), len(names)))
    effects[:, lead] = rate - bundle.data.base_rate
    return effects


def _amount(tables: CrmTables, timelines: Timelines, deals: np.ndarray, *, as_of: int) -> FloatArray:
    """Return the amount to show: as known at the as-of where it has a history, else as the table states it."""
    if "amount" not in tables["deals"].columns:
        return np.full(len(deals), np.nan)
    value = property_at(
        tables=tables,
        object_type="deal",
        name="amount",
        ids=timelines.deal_ids,
        objects=deals,
        as_of=np.full(len(deals), as_of),
        vouched="amount" not in history_properties(tables, "deal"),
    ).value
    return pd.to_numeric(pd.Series(value, dtype=object), errors="coerce").to_numpy(dtype=np.float64)


def win_within(*, curve: WinCurve, probability: FloatArray, days: FloatArray | float) -> FloatArray:
    """Return P(won within ``days``) where ``probability`` is what the curve's end was calibrated to."""
    end = curve.won[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(end > 0, curve.won_within(days) * probability / end, 0.0)


def _close_at(as_of: pd.Timestamp, days: FloatArray) -> pd.Series:
    return pd.Series(as_of + pd.to_timedelta(np.round(days * 86_400).astype(np.int64), unit="s"))
