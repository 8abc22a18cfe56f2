"""The deal question as of a cut-off: everything that is learnt from what was known then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.episodes import LOST, OPEN, WON, Timelines, build_timelines
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract, refuse
from features.labels import closing_within, won_within
from features.matrix import Matrix, build_matrix
from features.properties import LeftOut, PropertySettings
from features.snapshots import SnapshotSettings, deal_snapshots
from features.tables import CrmTables
from features.visibility import MICROSECONDS_PER_DAY, as_known_at, instant, link_times, microseconds
from models.audit import Audit, AuditSettings
from models.boosting import FloatArray
from models.comparisons import Comparison, compare_criteria, compare_features
from models.contact_fit import category_fields
from models.drift import DriftReference, drift_reference
from models.ladder import LadderSettings, Step, deal_step
from models.landmark import Buckets, LandmarkModel, LandmarkSettings, WinCurve, fit_landmark, learn_buckets
from models.naive_bayes import OdooNaiveBayes
from models.rules.points_map import PointsMap, fit_points_map
from models.rules.replay import Points, apply_rules
from models.rules.sheet import PointRules
from models.stage_rates import ManualStageProbabilities, StageRates
from models.staleness import Staleness, fit_staleness

FOREVER_DAYS: Final = 36_500.0


@dataclass(frozen=True)
class DealInputs:
    """What is fixed for all fits of a training: the settings of every part, and what the audit ``refused``."""

    snapshots: SnapshotSettings
    features: FeatureSettings
    properties: PropertySettings
    landmark: LandmarkSettings
    ladder: LadderSettings
    rules: PointRules
    stall_quantile: float
    audit: AuditSettings = field(default_factory=AuditSettings)
    refused: Mapping[str, str] = field(default_factory=dict)

    def refusing(self, audit: Audit) -> DealInputs:
        """Return the same inputs without the features that the audit refused."""
        return replace(self, refused=audit.refused)


@dataclass(frozen=True)
class DealRows:
    """Snapshots of open deals with where they stood and, as far as it is known, what became of them.

    ``outcome`` and ``days_to_outcome`` tell the first standing closing (``OPEN``, NaN if none yet).
    """

    snapshots: pd.DataFrame
    pipeline: NDArray[np.object_]
    stage: NDArray[np.object_]
    outcome: NDArray[np.int8]
    days_to_outcome: FloatArray

    @property
    def weight(self) -> FloatArray:
        """Calendar time that each row stands for."""
        return self.snapshots["weight"].to_numpy(dtype=np.float64)

    @property
    def deal_id(self) -> NDArray[np.object_]:
        """The deal of each row."""
        return self.snapshots["deal_id"].to_numpy(dtype=object)

    def keep(self, mask: NDArray[np.bool_]) -> DealRows:
        """Return the chosen rows."""
        return self.take(np.flatnonzero(mask))

    def take(self, places: NDArray[np.int64]) -> DealRows:
        """Return the rows at these places, as often as they are named."""
        return DealRows(
            snapshots=self.snapshots.iloc[places].reset_index(drop=True),
            pipeline=self.pipeline[places],
            stage=self.stage[places],
            outcome=self.outcome[places],
            days_to_outcome=self.days_to_outcome[places],
        )

    def deals_with(self, outcome: int) -> int:
        """Count the distinct deals that ended this way."""
        return int(self.snapshots.loc[self.outcome == outcome, "deal"].nunique())


@dataclass(frozen=True)
class DealFit:
    """What was learnt. ``model`` is None where the ladder allows none; ``stall_days`` maps each stage to its limit.

    ``won`` and ``lost`` count the deals that had ended so."""

    cutoff: pd.Timestamp
    contract: FeatureContract
    step: Step
    model: LandmarkModel | None
    buckets: Buckets
    base_rate: float
    stage_rates: StageRates
    manual: ManualStageProbabilities
    naive_bayes: OdooNaiveBayes | None
    points_map: PointsMap | None
    stall_days: dict[str, float]
    left_out: tuple[LeftOut, ...]
    train: DealRows
    shares: DriftReference
    comparisons: tuple[Comparison, ...]
    points_comparisons: tuple[Comparison, ...]
    staleness: Staleness
    won: int
    lost: int

    def matrix(self, *, tables: CrmTables, snapshots: pd.DataFrame) -> Matrix:
        """Build the features of these snapshots."""
        return build_matrix(tables=tables, snapshots=snapshots, contract=self.contract)

    def curve(self, *, matrix: Matrix, rows: DealRows) -> WinCurve:
        """Return the win curve; without a model, the observed stage rate spread evenly over the buckets."""
        if self.model is not None:
            return self.model.curve(features=matrix.features, pipelines=rows.pipeline)
        rate = self.stage_rates.predict(pipeline=rows.pipeline, stage=rows.stage)
        return flat_curve(rate, edges=self.buckets.of(rows.pipeline))

    def baselines(self, *, matrix: Matrix, rows: DealRows, points: FloatArray | None) -> dict[str, FloatArray]:
        """Return every baseline's probability on the same rows."""
        scores = {
            "stage_observed": self.stage_rates.predict(pipeline=rows.pipeline, stage=rows.stage),
            "stage_manual": self.manual.predict(pipeline=rows.pipeline, stage=rows.stage),
            "base_rate": np.full(len(rows.outcome), self.base_rate),
        }
        if points is not None and self.points_map is not None:
            scores["point_rules"] = self.points_map.predict(points)
        if self.naive_bayes is not None:
            scores["naive_bayes"] = self.naive_bayes.predict(
                fields=category_fields(matrix, self.contract), stage=_stage_keys(rows)
            )
        return scores


def flat_curve(rate: FloatArray, *, edges: FloatArray) -> WinCurve:
    """Spread a win rate over the buckets in proportion to their length; the rest is lost."""
    share = edges / edges[:, -1:]
    return WinCurve(won=rate[:, None] * share, lost=(1 - rate)[:, None] * share, edges=edges)


def deal_rows(
    *, tables: CrmTables, start: pd.Timestamp, end: pd.Timestamp, inputs: DealInputs
) -> tuple[DealRows, Timelines]:
    """Draw snapshots of open deals in [start, end) with all that ``tables`` know of their outcome."""
    timelines = build_timelines(tables)
    snapshots = deal_snapshots(timelines=timelines, start=start, end=end, settings=inputs.snapshots)
    return rows_of(snapshots=snapshots, timelines=timelines), timelines


def rows_of(*, snapshots: pd.DataFrame, timelines: Timelines) -> DealRows:
    """Look up where each deal stood at its as-of and how it ended."""
    deal = snapshots["deal"].to_numpy()
    here = timelines.stream.last_before(objects=deal, as_of=microseconds(snapshots["as_of"]))
    outcome, days = closing_within(
        closings=timelines.closings, objects=deal, as_of=snapshots["as_of"], days=FOREVER_DAYS
    )
    stage = timelines.stages.iloc[timelines.stage[here]]
    return DealRows(
        snapshots=snapshots,
        pipeline=stage["pipeline"].to_numpy(dtype=object),
        stage=stage["stage"].to_numpy(dtype=object),
        outcome=outcome,
        days_to_outcome=days,
    )


def support_buckets(*, tables: CrmTables, now: pd.Timestamp, first: pd.Timestamp, inputs: DealInputs) -> Buckets | None:
    """Set the future buckets, and with them the horizon that the history supports; None if no deal has closed."""
    rows, _ = deal_rows(tables=tables, start=first, end=now, inputs=inputs)
    closed = rows.keep(rows.outcome != OPEN)
    if not len(closed.outcome):
        return None
    return learn_buckets(
        pipeline=closed.pipeline,
        remaining_days=closed.days_to_outcome,
        weight=closed.weight,
        deal=closed.snapshots["deal"].to_numpy(),
        history_days=(now - first) / pd.Timedelta(days=1),
        settings=inputs.landmark,
    )


def won_in_support(*, rows: DealRows, timelines: Timelines, buckets: Buckets, known_until: pd.Timestamp) -> FloatArray:
    """Label each row by whether the deal is won within its pipeline's supported horizon; NaN if not yet ripe."""
    return won_within(
        wins=timelines.closings,
        objects=rows.snapshots["deal"].to_numpy(),
        as_of=rows.snapshots["as_of"],
        days=buckets.support_days(rows.pipeline),
        known_until=known_until,
    )


@dataclass(frozen=True)
class DealPoints:
    """The points of each deal's best-rated contact (NaN unknown), and that contact's ``row`` of the log (-1 none)."""

    total: FloatArray
    points: Points
    row: NDArray[np.int64]


def points_of_deals(
    *, tables: CrmTables, snapshots: pd.DataFrame, rules: PointRules, properties: PropertySettings
) -> FloatArray | None:
    """Return the points of each deal's best-rated contact at the as-of; None without rules or contacts."""
    best = best_points_of_deals(tables=tables, snapshots=snapshots, rules=rules, properties=properties)
    return None if best is None else best.total


def best_points_of_deals(
    *, tables: CrmTables, snapshots: pd.DataFrame, rules: PointRules, properties: PropertySettings
) -> DealPoints | None:
    """Replay the rules for the contacts of each deal and pick the best-rated one; None without rules or contacts.

    Only contacts that were known and linked by then count, and the points of a deal without one are unknown (NaN).
    """
    links = tables["deal_contacts"].assign(linked_at=link_times(tables))
    links = links.loc[links["contact_id"].isin(tables["contacts"]["contact_id"])]
    if not len(links) or not rules.criteria:
        return None
    pairs = snapshots[["deal_id", "as_of"]].assign(row=np.arange(len(snapshots))).merge(links, on="deal_id")
    pairs = pairs.loc[pairs["linked_at"] < microseconds(pairs["as_of"])].reset_index(drop=True)
    points = apply_rules(rules=rules, tables=tables, snapshots=pairs, properties=properties)
    if len(points.left_out) == len(points.criteria):
        return None
    ranked = pd.DataFrame({"row": pairs["row"], "total": points.total}).sort_values(
        ["row", "total"], ascending=[True, False], na_position="last", kind="stable"
    )
    best = ranked.drop_duplicates("row")
    total, row = np.full(len(snapshots), np.nan), np.full(len(snapshots), -1)
    total[best["row"]], row[best["row"]] = best["total"], best.index
    return DealPoints(total=total, points=points, row=row)


def fit_deals(
    *, tables: CrmTables, cutoff: pd.Timestamp, first: pd.Timestamp, buckets: Buckets, inputs: DealInputs
) -> DealFit:
    """Learn everything from what was known just before ``cutoff``, as if it were then today."""
    known = as_known_at(tables, as_of=cutoff)
    rows, timelines = deal_rows(tables=known, start=first, end=cutoff, inputs=inputs)
    contract, left_out = learn_contract(
        question="deals", tables=known, settings=inputs.features, properties=inputs.properties
    )
    contract, left_out = refuse(contract, left_out, refused=inputs.refused)
    matrix = build_matrix(tables=known, snapshots=rows.snapshots, contract=contract)
    y_obs = won_in_support(rows=rows, timelines=timelines, buckets=buckets, known_until=cutoff)
    ripe = ~np.isnan(y_obs)
    ripe_rows = rows.keep(ripe)
    base_rate = (float(np.sum(rows.weight[ripe] * y_obs[ripe])) + 0.5) / (float(np.sum(rows.weight[ripe])) + 1.0)
    won, lost = rows.deals_with(WON), rows.deals_with(LOST)
    step = deal_step(won=won, lost=lost, settings=inputs.ladder)
    model = None
    if step.is_model:
        model = fit_deal_model(
            features=matrix.features,
            rows=rows,
            contract=contract,
            cutoff=cutoff,
            buckets=buckets,
            landmark=landmark_of(step, settings=inputs.landmark),
        )
    best = best_points_of_deals(
        tables=known, snapshots=ripe_rows.snapshots, rules=inputs.rules, properties=inputs.properties
    )
    points = None if best is None else best.total
    return DealFit(
        cutoff=cutoff,
        contract=contract,
        step=step,
        model=model,
        buckets=buckets,
        base_rate=base_rate,
        stage_rates=_fit_stage_rates(ripe_rows, y_obs[ripe]),
        manual=ManualStageProbabilities.from_stages(stages=known["stages"], base_rate=base_rate),
        naive_bayes=_fit_naive_bayes(matrix, rows, contract, stages=timelines.stages),
        points_map=None
        if points is None or not len(points)
        else fit_points_map(points=points, y_obs=y_obs[ripe], weight=ripe_rows.weight),
        stall_days=_stall_days(timelines, quantile=inputs.stall_quantile),
        left_out=tuple(left_out),
        train=ripe_rows,
        won=won,
        lost=lost,
        staleness=fit_staleness(timelines=timelines, cutoff=instant(cutoff), factor=inputs.landmark.stale_factor),
        shares=drift_reference(
            features=contract.features, matrix=matrix.features, objects=rows.deal_id, weight=rows.weight
        ),
        comparisons=compare_features(
            contract.features,
            values=matrix.features.to_numpy(dtype=np.float64)[ripe],
            y_obs=y_obs[ripe],
            weight=ripe_rows.weight,
        ),
        points_comparisons=()
        if best is None
        else compare_criteria(best.points.rows(best.row[best.row >= 0]), y_obs=y_obs[ripe][best.row >= 0]),
    )


def fit_deal_model(
    *,
    features: pd.DataFrame,
    rows: DealRows,
    contract: FeatureContract,
    cutoff: pd.Timestamp,
    buckets: Buckets,
    landmark: LandmarkSettings,
) -> LandmarkModel:
    """Fit the landmark model on rows with all that was known of their outcome just before ``cutoff``."""
    as_of = microseconds(rows.snapshots["as_of"])
    return fit_landmark(
        features=features,
        categories=[feature.name for feature in contract.features if feature.is_category],
        pipelines=rows.pipeline,
        outcome=rows.outcome,
        days_to_outcome=rows.days_to_outcome,
        days_known=(cutoff - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1) - as_of / MICROSECONDS_PER_DAY,
        weight=rows.weight,
        buckets=buckets,
        settings=landmark,
    )


def landmark_of(step: Step, *, settings: LandmarkSettings) -> LandmarkSettings:
    """Return the settings with the booster that the ladder's step allows."""
    return settings if step.rung == "model" else settings.model_copy(update={"booster": settings.small_booster})


def _fit_stage_rates(rows: DealRows, y_obs: FloatArray) -> StageRates:
    if not len(y_obs):
        return StageRates(overall=0.5, pipelines={}, stages={})
    return StageRates.fit(pipeline=rows.pipeline, stage=rows.stage, y=y_obs, deal_id=rows.deal_id, weight=rows.weight)


def _fit_naive_bayes(
    matrix: Matrix, rows: DealRows, contract: FeatureContract, *, stages: pd.DataFrame
) -> OdooNaiveBayes | None:
    last = ~rows.snapshots["deal"].duplicated(keep="last").to_numpy() & (rows.outcome != OPEN)
    if not last.any():
        return None
    keys = stages["pipeline"] + "/" + stages["stage"]
    return OdooNaiveBayes.fit(
        fields=category_fields(matrix, contract).loc[last],
        won=rows.outcome[last] == WON,
        stage=_stage_keys(rows.keep(last)),
        stage_position=dict(zip(keys, stages["position"].astype(float), strict=True)),
    )


def _stage_keys(rows: DealRows) -> pd.Series:
    return pd.Series([f"{pipeline}/{stage}" for pipeline, stage in zip(rows.pipeline, rows.stage, strict=True)])


def _stall_days(timelines: Timelines, *, quantile: float, min_deals: int = 20) -> dict[str, float]:
    """Return, per open stage, the time in it that only a few deals had needed before they moved on."""
    stream = timelines.stream
    owner = np.repeat(np.arange(len(timelines.deal_ids)), np.diff(stream.starts))
    if len(owner) < 2:
        return {}
    left = np.flatnonzero((owner[1:] == owner[:-1]) & (timelines.outcome[:-1] == OPEN))
    spent = (stream.times[left + 1] - stream.times[left]) / MICROSECONDS_PER_DAY
    stage = timelines.stages.iloc[timelines.stage[left]]
    keys = (stage["pipeline"] + "/" + stage["stage"]).to_numpy()
    grouped = pd.Series(spent).groupby(keys)
    enough = grouped.size() >= min_deals
    return {str(key): float(days) for key, days in grouped.quantile(quantile)[enough].items()}
