"""Score contacts: probability, interval, points, agreement and reasons for everyone known at an as-of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalogue import Feature
from features.matrix import Matrix, build_matrix
from features.snapshots import idle_days, is_customer
from features.tables import CrmTables
from features.visibility import as_known_at, instant
from models.boosting import FloatArray
from models.bundle import Bundle
from models.comparisons import criterion_words, feature_words
from models.contact_fit import wins_of
from models.explanation import additive_effects, booster_parts, centred, reasons_json
from models.ranking import agreement, tiers, trends
from models.reasons import Compared
from models.rules.points_map import PointsMap
from models.rules.reasons import write_points
from models.rules.replay import Points, apply_rules
from models.silence import LEAD

CUSTOMER: Final = "already a customer"
_FAMILY_OF_SUBJECT: Final = {
    "property": "profile",
    "company_property": "people",
    "activity": "activity",
    "inactive_days": "recency",
    "deal": "open_deal",
}
RULE: Final = "rule_"
"""How features are called that stand for the lines of a rule sheet."""
RANK_ONLY: Final = "rank only: the probabilities failed their calibration test"


@dataclass(frozen=True)
class Described:
    """The features that reasons speak of, and their values: the model's, or the criteria of the rules."""

    features: tuple[Feature, ...]
    values: pd.DataFrame


def contact_population(*, bundle: Bundle, tables: CrmTables, as_of: pd.Timestamp) -> pd.DataFrame:
    """List every contact known before ``as_of``: contact_id, as_of, and in ``not_scored`` why one is not in play."""
    return everyone_at(known=as_known_at(tables, as_of=as_of), as_of=as_of, max_idle_days=bundle.data.max_idle_days)


def everyone_at(*, known: CrmTables, as_of: pd.Timestamp, max_idle_days: float | None) -> pd.DataFrame:
    """List the contacts of tables that hold nothing after ``as_of``, with the reason where one is not in play.

    Of tables that have the activities of some contacts alone, these are listed.
    """
    wins, ids = wins_of(known)
    everyone = np.arange(len(ids))
    now = np.full(len(ids), instant(as_of))
    customer = is_customer(wins=wins, contacts=everyone, as_of=now)
    why_not = np.full(len(ids), None, dtype=object)
    why_not[customer] = CUSTOMER
    if max_idle_days is not None:
        idle = idle_days(contacts=known["contacts"], activities=known["activities"], objects=everyone, as_of=now)
        why_not[~customer & (idle > max_idle_days)] = f"nothing happened for {max_idle_days:g} days"
    frame = pd.DataFrame({"contact_id": ids, "as_of": as_of.as_unit("us"), "not_scored": why_not})
    frame = frame.astype({"contact_id": "str"})
    if known.complete_for is None:
        return frame
    return frame.loc[frame["contact_id"].isin(known.complete_for)].reset_index(drop=True)


def contact_matrix(*, bundle: Bundle, tables: CrmTables, population: pd.DataFrame, as_of: pd.Timestamp) -> Matrix:
    """Build the features of everyone in play."""
    in_play = population.loc[population["not_scored"].isna(), ["contact_id", "as_of"]]
    known = as_known_at(tables, as_of=as_of)
    return build_matrix(tables=known, snapshots=in_play.reset_index(drop=True), contract=bundle.data.contract)


def contact_points(*, bundle: Bundle, tables: CrmTables, snapshots: pd.DataFrame, as_of: pd.Timestamp) -> Points:
    """Replay the rules of the bundle at the as-of of these snapshots."""
    known = as_known_at(tables, as_of=as_of)
    return apply_rules(rules=bundle.data.rules, tables=known, snapshots=snapshots, properties=bundle.data.properties)


def score_contacts(
    *, bundle: Bundle, points: Points, population: pd.DataFrame, matrix: Matrix, previous: pd.Series | None
) -> pd.DataFrame:
    """Return one row of the published contract for each contact of the population.

    ``points`` and ``matrix`` are those of everyone in play; ``previous`` holds earlier likelihoods by contact id. Those
    not in play are listed but not scored.
    """
    data = bundle.data
    snapshots = matrix.snapshots
    probability, uncentred, described = contact_effects(bundle=bundle, matrix=matrix, points=points)
    # One rate for all ranks nobody, so the points do; without points nobody is ranked.
    order = points.total if data.use == "base_rate" else probability
    scored = snapshots.assign(model_version=bundle.version)
    if data.use != "base_rate" or data.points_known:
        scored = scored.assign(tier=tiers(order, ids=snapshots["contact_id"]))
    if data.points_known:
        scored = scored.assign(
            points=points.total,
            points_fit=points.fit,
            points_engagement=points.engagement,
            points_grade=points.grades(data.rules),
            points_likelihood=np.nan if data.points_map is None else data.points_map.predict(points.total),
            points_reasons=write_points(
                points, rules=data.rules, comparisons=data.points_comparisons, question="contacts"
            ),
            agreement=agreement(
                order, points=points.total, high_from=data.rules.thresholds.mql, ids=snapshots["contact_id"]
            ),
        )
    if data.calibrated:
        low, high = data.venn_abers.interval(probability)
        before = _lookup(previous, snapshots["contact_id"])
        effects = centred(effects=uncentred, reference=data.reference)
        _tell_silence(bundle, effects.by_feature, features=matrix.features, effect=probability - effects.base_rate)
        scored = scored.assign(
            close_likelihood=probability,
            likelihood_low=low,
            likelihood_high=high,
            base_rate=data.reference.base_rate,
            previous_likelihood=before,
            trend=trends(probability, before),
            reasons=reasons_json(
                effects=effects,
                features=described.values,
                contract=described.features,
                probability=probability,
                compared=compared_with(bundle, described.features),
            ),
            not_scored=None,
        )
    else:
        scored = scored.assign(not_scored=RANK_ONLY)
    rest = population.loc[population["not_scored"].notna()]
    return pd.concat([scored, rest], ignore_index=True).assign(object_type="contact")


def contact_probability(*, bundle: Bundle, matrix: Matrix, points: Points) -> FloatArray:
    """Return the probability to publish: of the model, or of the fallback that its test preferred."""
    data = bundle.data
    if data.use == "model":
        return data.calibrator.apply(raw_of_contacts(bundle, matrix.features))
    if data.use == "rules" and data.points_map is not None:
        return data.points_map.predict(points.total)
    return np.full(len(matrix.features), data.base_rate)


def raw_of_contacts(bundle: Bundle, features: pd.DataFrame) -> FloatArray:
    """Return the model's probability before calibration; of the silent, their rate."""
    if not len(features):
        return np.zeros(0)
    raw = np.asarray(bundle.load_booster().predict(features.to_numpy(dtype=np.float64)))
    silence = bundle.data.silence
    return raw if silence is None else silence.apply(raw, features=features)


def contact_effects(*, bundle: Bundle, matrix: Matrix, points: Points) -> tuple[FloatArray, FloatArray, Described]:
    """Return the probability to publish, its effects before centring, and what those effects belong to."""
    data = bundle.data
    features = tuple(data.contract.features)
    probability = contact_probability(bundle=bundle, matrix=matrix, points=points)
    if data.use == "model":
        parts, start = booster_parts(
            booster=bundle.load_booster(), features=matrix.features, calibrator=data.calibrator
        )
        base, effects = additive_effects(parts=parts, start=start)
        _tell_silence(bundle, effects, features=matrix.features, effect=probability - base)
        return probability, effects, Described(features, matrix.features)
    if data.use == "rules" and data.points_map is not None:
        centre = np.array(data.points_center)
        slope = data.points_map.slope / 10.0
        parts = rule_parts(points=points, points_map=data.points_map)
        parts[:, :-1] -= centre * slope
        start = float(data.points_map.intercept + slope * centre.sum())
        _, effects = additive_effects(parts=parts, start=start)
        return probability, effects, criteria_of(points)
    return probability, np.zeros((len(probability), len(features))), Described(features, matrix.features)


def _tell_silence(bundle: Bundle, effects: FloatArray, *, features: pd.DataFrame, effect: FloatArray) -> None:
    silence = bundle.data.silence
    if silence is not None and bundle.data.use == "model":
        silence.alone(effects, where=silence.among(features), effect=effect, names=bundle.data.contract.names)


def compared_with(bundle: Bundle, features: Sequence[Feature]) -> Compared | None:
    """Return what a value of each feature is compared with: of the model's, or of the lines of the rules."""
    data = bundle.data
    if data.use == "rules" and data.question == "contacts":
        if not data.points_comparisons:
            return None
        told = [criterion_words(one, question=data.question) for one in data.points_comparisons]
        return lambda column, _: told[column] if column < len(told) else ""
    if not data.comparisons:
        return None
    silence = data.silence

    def words(column: int, value: float) -> str:
        if silence is not None and features[column].name == LEAD and value != value:
            return silence.words
        return feature_words(features[column], data.comparisons[column], value, question=data.question)

    return words


def rule_parts(*, points: Points, points_map: PointsMap) -> FloatArray:
    """Return the log-odds that each line of the log adds to the map's intercept (n, lines + 1).

    Where no criterion can be judged the log is empty, and what that meant in the past is the last part.
    """
    unknown = np.where(np.isnan(points.total), points_map.log_odds(points.total) - points_map.intercept, 0.0)
    return np.column_stack([points.log * (points_map.slope / 10.0), unknown])


def criteria_of(points: Points) -> Described:
    """Describe the lines of a log as features, with the points of each as its value."""
    features = [
        Feature(
            name=f"{RULE}{place}",
            family=_FAMILY_OF_SUBJECT.get(line.subject or "", "activity"),
            unit="number",
            words=f"points for {line.name!r}" if line.subject else f"points over the {line.name}",
        )
        for place, line in enumerate(points.lines)
    ]
    features.append(Feature(name=f"{RULE}none", family="profile", unit="number", words="criteria that could be judged"))
    values = pd.DataFrame(
        np.column_stack([points.log, points.judged.sum(axis=1)]), columns=[feature.name for feature in features]
    )
    return Described(tuple(features), values)


def _lookup(previous: pd.Series | None, ids: pd.Series) -> NDArray[np.float64]:
    if previous is None or not len(previous):
        return np.full(len(ids), np.nan)
    return previous.reindex(ids).to_numpy(dtype=np.float64)
