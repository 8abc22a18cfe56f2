"""The same objects under one model in different worlds: with what was known by one moment, looked at from another.

A score changes because facts came, because time passed, and because the model or its calibration was exchanged. Each
of these is the step from one world to the next, and a step's effects are shared out by the rules of Shapley: exactly,
and to nothing that did not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalogue import Feature
from features.episodes import build_timelines
from features.matrix import Matrix, build_matrix
from features.tables import CrmTables
from features.visibility import codes, created_times, instant
from models.boosting import FloatArray
from models.bundle import Bundle
from models.contact_scoring import RULE, Described, criteria_of, raw_of_contacts, rule_parts
from models.deal_fit import points_of_deals, rows_of
from models.explanation import WON_LESS_LOST, family_codes, share_out
from models.landmark import with_bucket
from models.property_tests import BoolArray
from models.rules.replay import apply_rules
from models.stage_rates import StageRates
from models.tree_moves import tree_moves
from models.trees import coalition_wins, shapley_from_values, tree_table

_STILL = 1e-12
"""Log-odds that moved by less have not moved."""


@dataclass(frozen=True)
class World:
    """What a bundle says of n objects: ``raw`` before calibration (points for rules), and the published probability.

    ``described`` are the features that it rests on, with their values; ``log_odds`` (n, features) what each line of
    a rule sheet adds, where rules are published.
    """

    raw: FloatArray
    probability: FloatArray
    described: Described
    log_odds: FloatArray | None = None

    def rows(self, chosen: slice | NDArray[np.bool_]) -> World:
        """Return some of the objects."""
        values = self.described.values.loc[chosen] if isinstance(chosen, np.ndarray) else self.described.values[chosen]
        return World(
            raw=self.raw[chosen],
            probability=self.probability[chosen],
            described=Described(self.described.features, values.reset_index(drop=True)),
            log_odds=None if self.log_odds is None else self.log_odds[chosen],
        )


@dataclass(frozen=True)
class Step:
    """A step from world to world under one bundle: each feature's effect (n, features), and its value on both sides."""

    features: Sequence[Feature]
    effects: FloatArray
    before: FloatArray
    after: FloatArray

    @cached_property
    def changed(self) -> BoolArray:
        """Say which values differ (n, features)."""
        same = (self.before == self.after) | (np.isnan(self.before) & np.isnan(self.after))
        return np.asarray(~same, dtype=np.bool_)

    def from_to(self, row: int, place: int) -> str:
        """Say how one feature changed."""
        feature = self.features[place]
        if feature.name.startswith(RULE):
            gained = float(self.after[row, place] - self.before[row, place])
            return f"{gained:+g} {feature.words}"
        before, after = feature.format(self.before[row, place]), feature.format(self.after[row, place])
        return f"{feature.words}: {before}" if before == after else f"{feature.words}: {before} → {after}"


def known_by(*, question: str, known: CrmTables, ids: pd.Series, as_of: pd.Timestamp) -> NDArray[np.bool_]:
    """Say which objects can be looked at from ``as_of`` in tables that hold what was ``known``."""
    if question == "contacts":
        return np.asarray(created_times(ids, table=known["contacts"], key="contact_id") < instant(as_of))
    timelines = build_timelines(known)
    objects = codes(ids, index=timelines.deal_ids)
    return np.asarray(timelines.stream.last_before(objects=objects, as_of=np.full(len(ids), instant(as_of))) >= 0)


def worlds(*, bundle: Bundle, known: CrmTables, ids: pd.Series, as_ofs: Sequence[pd.Timestamp]) -> list[World]:
    """Look at the same objects from several moments, with the same facts; their features are built in one pass.

    ``known`` holds what was known by some moment (``as_known_at``); the moments may lie after it.
    """
    id_column = f"{bundle.data.question.removesuffix('s')}_id"
    count = len(ids)
    snapshots = pd.DataFrame(
        {
            id_column: pd.Series(np.tile(ids.to_numpy(), len(as_ofs)), dtype="str"),
            "as_of": pd.concat([pd.Series(as_of, index=range(count)) for as_of in as_ofs], ignore_index=True),
        }
    )
    snapshots["as_of"] = pd.to_datetime(snapshots["as_of"], utc=True).dt.as_unit("us")
    if bundle.data.question == "deals":
        snapshots["deal"] = codes(snapshots["deal_id"], index=build_timelines(known).deal_ids)
    matrix = build_matrix(tables=known, snapshots=snapshots, contract=bundle.data.contract)
    whole = world_of(bundle=bundle, known=known, matrix=matrix)
    return [whole.rows(slice(place * count, (place + 1) * count)) for place in range(len(as_ofs))]


def world_of(*, bundle: Bundle, known: CrmTables, matrix: Matrix) -> World:
    """Return what a bundle says of the rows of a matrix that was built from ``known``."""
    data, features = bundle.data, Described(tuple(bundle.data.contract.features), matrix.features)
    log_odds = None
    if data.use == "model":
        raw = _raw_of_model(bundle, matrix)
    elif data.use == "rules" and data.points_map is not None:
        if data.question == "contacts":
            points = apply_rules(rules=data.rules, tables=known, snapshots=matrix.snapshots, properties=data.properties)
            raw, features = points.total, criteria_of(points)
            log_odds = rule_parts(points=points, points_map=data.points_map)
        else:
            found = points_of_deals(
                tables=known, snapshots=matrix.snapshots, rules=data.rules, properties=data.properties
            )
            raw = np.full(len(matrix.features), np.nan) if found is None else found
    elif data.use == "stage_rate":
        rows = rows_of(snapshots=matrix.snapshots, timelines=build_timelines(known))
        raw = StageRates.from_dict(data.stage_rates).predict(pipeline=rows.pipeline, stage=rows.stage)
    else:
        raw = np.full(len(matrix.features), data.base_rate)
    return World(raw=raw, probability=calibrated(bundle, raw), described=features, log_odds=log_odds)


def calibrated(bundle: Bundle, raw: FloatArray) -> FloatArray:
    """Bring raw values to a probability as a bundle does: of rules, the map from points is what calibrates."""
    data = bundle.data
    if data.use == "model":
        return data.calibrator.apply(raw)
    if data.use == "rules" and data.points_map is not None:
        return data.points_map.predict(raw)
    return raw


def step(*, bundle: Bundle, before: World, after: World) -> Step:
    """Share the difference of two worlds' probabilities out over the features, to which it adds up."""
    return Step(
        features=before.described.features,
        effects=_effects(bundle, before, after),
        before=_values(before.described),
        after=_values(after.described),
    )


def _effects(bundle: Bundle, before: World, after: World) -> FloatArray:
    difference = after.probability - before.probability
    if bundle.data.use == "model" and bundle.data.question == "deals":
        return _deal_move(bundle, before, after)
    if bundle.data.use == "model":
        parts = tree_moves(
            tree_table(bundle.load_booster()), before=_values(before.described), after=_values(after.described)
        )
        effects = _by_secant(parts, difference, probability=before.probability)
        silence = bundle.data.silence
        if silence is not None:
            # What the trees say of a silent contact is not what was said.
            silent = silence.among(before.described.values) | silence.among(after.described.values)
            silence.alone(effects, where=silent, effect=difference, names=bundle.data.contract.names)
        return effects
    if before.log_odds is not None and after.log_odds is not None:
        return _by_secant(after.log_odds - before.log_odds, difference, probability=before.probability)
    effects = np.zeros((len(difference), len(before.described.features)))
    effects[:, _lead_of(bundle)] = difference
    return effects


def _raw_of_model(bundle: Bundle, matrix: Matrix) -> FloatArray:
    if bundle.data.question == "contacts":
        return raw_of_contacts(bundle, matrix.features)
    pipelines = np.full(len(matrix.features), "", dtype=object)
    # The curve's end does not hang on where the buckets end, only on their numbers.
    return bundle.landmark().curve(features=matrix.features, pipelines=pipelines).won[:, -1]


def _by_secant(parts: FloatArray, difference: FloatArray, *, probability: FloatArray) -> FloatArray:
    """Bring parts of a move in log-odds to probability by the slope of the line through both ends."""
    total = parts.sum(axis=1)
    moved = np.abs(total) > _STILL
    slope = probability * (1.0 - probability)
    slope[moved] = difference[moved] / total[moved]
    return parts * slope[:, None]


def _deal_move(bundle: Bundle, before: World, after: World) -> FloatArray:
    """Share the move out over families exactly, on the published probability, and inside a family by the trees."""
    model, data = bundle.landmark(), bundle.data
    families, family = family_codes(before.described.features)
    trees = tree_table(model.booster)
    earlier, later = _values(before.described), _values(after.described)
    buckets = len(model.buckets.shared)
    totals = shapley_from_values(
        coalition_wins(
            trees=trees,
            rows=np.column_stack([later, np.zeros(len(later))]),
            background=np.column_stack([earlier, np.zeros(len(earlier))]),
            buckets=buckets,
            family=np.append(family, -1),
            families=len(families),
            slope=data.calibrator.slopes[0],
            slope_no=data.calibrator.slopes[1],
            intercept=data.calibrator.intercept,
            paired=True,
        )
    )
    shares = np.zeros_like(later)
    for bucket in range(buckets):
        at = np.array([bucket])
        shares += tree_moves(
            trees, before=with_bucket(earlier, at), after=with_bucket(later, at), weight=WON_LESS_LOST
        )[:, :-1]
    changed = (earlier != later) & ~(np.isnan(earlier) & np.isnan(later))
    return share_out(totals, shares=shares, family=family, otherwise=changed)


def _values(described: Described) -> FloatArray:
    return described.values.to_numpy(dtype=np.float64)


def _lead_of(bundle: Bundle) -> int:
    """Return the feature that stands for a fallback: the stage, or for points of deals who is involved."""
    names = bundle.data.contract.names
    wanted = ("contacts_count",) if bundle.data.use == "rules" else ("stage",)
    return next((names.index(name) for name in (*wanted, "stage") if name in names), 0)
