"""The contact question as of a cut-off: everything that is learnt from what was known then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from features.episodes import Closings, build_timelines, contact_wins
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract, refuse
from features.labels import won_within
from features.matrix import Matrix, build_matrix
from features.properties import LeftOut, PropertySettings
from features.snapshots import SnapshotSettings, contact_snapshots
from features.tables import CrmTables
from features.visibility import as_known_at
from models.audit import Audit, AuditSettings
from models.boosting import BoosterSettings, FloatArray, fit_booster
from models.comparisons import Comparison, compare_criteria, compare_features
from models.drift import DriftReference, drift_reference
from models.ladder import LadderSettings, Step, contact_step
from models.naive_bayes import OdooNaiveBayes
from models.rules.points_map import PointsMap, fit_points_map
from models.rules.replay import Points, apply_rules
from models.rules.sheet import PointRules
from models.silence import Silence, silence_of


class ContactSettings(BaseModel):
    """The contact model, and the smaller one for little data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    booster: BoosterSettings = BoosterSettings(trees=200)
    small_booster: BoosterSettings = BoosterSettings(trees=80, leaves=4)


@dataclass(frozen=True)
class ContactInputs:
    """What is fixed for all fits of a training: the settings of every part, and what the audit ``refused``."""

    horizon_days: float
    snapshots: SnapshotSettings
    features: FeatureSettings
    properties: PropertySettings
    contacts: ContactSettings
    ladder: LadderSettings
    rules: PointRules
    audit: AuditSettings = field(default_factory=AuditSettings)
    refused: Mapping[str, str] = field(default_factory=dict)
    refused_criteria: tuple[LeftOut, ...] = ()

    def refusing(self, audit: Audit) -> ContactInputs:
        """Return the same inputs without what the audit refused, in the features and in the point rules."""
        properties = audit.refused_properties
        dropped = tuple(
            LeftOut("point_rules", one.name, properties[one.property])
            for one in self.rules.criteria
            if one.property in properties
        )
        return replace(self, refused=audit.refused, rules=self.rules.without(properties), refused_criteria=dropped)


@dataclass(frozen=True)
class LabelledContacts:
    """Snapshots with their label (NaN not ripe)."""

    snapshots: pd.DataFrame
    y_obs: FloatArray

    def ripe(self) -> LabelledContacts:
        """Keep the snapshots whose horizon is over."""
        known = ~np.isnan(self.y_obs)
        return LabelledContacts(self.snapshots.loc[known].reset_index(drop=True), self.y_obs[known])

    def winning_contacts(self) -> int:
        """Count the distinct contacts with a positive label."""
        return int(self.snapshots.loc[self.y_obs == 1.0, "contact_id"].nunique())


@dataclass(frozen=True)
class ContactFit:
    """What was learnt. ``booster`` is None where the ladder allows no model, ``naive_bayes`` where it has no fields.

    ``silence`` is what silent contacts get; None where nobody can be silent, or the model knows more.
    """

    cutoff: pd.Timestamp
    contract: FeatureContract
    step: Step
    booster: Any | None
    base_rate: float
    points_map: PointsMap
    naive_bayes: OdooNaiveBayes | None
    left_out: tuple[LeftOut, ...]
    train: LabelledContacts
    shares: DriftReference
    comparisons: tuple[Comparison, ...]
    points_comparisons: tuple[Comparison, ...]
    silence: Silence | None

    def matrix(self, *, tables: CrmTables, snapshots: pd.DataFrame) -> Matrix:
        """Build the features of these snapshots."""
        return build_matrix(tables=tables, snapshots=snapshots, contract=self.contract)

    def raw(self, features: pd.DataFrame) -> FloatArray:
        """Return the uncalibrated probability; without a model, the base rate."""
        if self.booster is None:
            return np.full(len(features), self.base_rate)
        raw = np.asarray(self.booster.predict(features.to_numpy(dtype=np.float64)))
        return raw if self.silence is None else self.silence.apply(raw, features=features)

    def baselines(self, *, matrix: Matrix, points: Points) -> dict[str, FloatArray]:
        """Return every baseline's probability on the same rows."""
        scores = {"base_rate": np.full(len(matrix.features), self.base_rate)}
        if points.lines:
            scores["point_rules"] = self.points_map.predict(points.total)
        if self.naive_bayes is not None:
            scores["naive_bayes"] = self.naive_bayes.predict(fields=category_fields(matrix, self.contract))
        return scores


def label_contacts(
    *, tables: CrmTables, start: pd.Timestamp, end: pd.Timestamp, known_until: pd.Timestamp, inputs: ContactInputs
) -> LabelledContacts:
    """Draw snapshots in [start, end) and label those that are ripe at ``known_until``."""
    wins, _ = wins_of(tables)
    snapshots = contact_snapshots(
        contacts=tables["contacts"],
        activities=tables["activities"],
        wins=wins,
        start=start,
        end=end,
        settings=inputs.snapshots,
        among=tables.complete_for,
    )
    y_obs = won_within(
        wins=wins,
        objects=snapshots["contact"].to_numpy(),
        as_of=snapshots["as_of"],
        days=inputs.horizon_days,
        known_until=known_until,
    )
    return LabelledContacts(snapshots=snapshots, y_obs=y_obs)


def wins_of(tables: CrmTables) -> tuple[Closings, pd.Index]:
    """Return the wins of all contacts, and the contacts' ids in order."""
    ids = pd.Index(tables["contacts"]["contact_id"])
    return contact_wins(tables=tables, timelines=build_timelines(tables), contact_ids=ids), ids


def points_of(*, tables: CrmTables, snapshots: pd.DataFrame, inputs: ContactInputs) -> Points:
    """Replay the point rules at these snapshots."""
    return apply_rules(rules=inputs.rules, tables=tables, snapshots=snapshots, properties=inputs.properties)


def fit_contacts(*, tables: CrmTables, cutoff: pd.Timestamp, first: pd.Timestamp, inputs: ContactInputs) -> ContactFit:
    """Learn everything from what was known just before ``cutoff``, as if it were then today."""
    known = as_known_at(tables, as_of=cutoff)
    train = label_contacts(tables=known, start=first, end=cutoff, known_until=cutoff, inputs=inputs).ripe()
    contract, left_out = learn_contract(
        question="contacts", tables=known, settings=inputs.features, properties=inputs.properties
    )
    contract, left_out = refuse(contract, left_out, refused=inputs.refused)
    matrix = build_matrix(tables=known, snapshots=train.snapshots, contract=contract)
    points = points_of(tables=known, snapshots=train.snapshots, inputs=inputs)
    weight = np.ones(len(train.y_obs))
    step = contact_step(winning_contacts=train.winning_contacts(), settings=inputs.ladder)
    booster = None
    if step.is_model:
        booster = fit_contact_booster(
            features=matrix.features, y_obs=train.y_obs, contract=contract, step=step, inputs=inputs
        )
    base_rate = (float(train.y_obs.sum()) + 0.5) / (len(train.y_obs) + 1.0)
    return ContactFit(
        cutoff=cutoff,
        contract=contract,
        step=step,
        booster=booster,
        base_rate=base_rate,
        points_map=fit_points_map(points=points.total, y_obs=train.y_obs, weight=weight)
        if len(weight)
        else PointsMap(intercept=0.0, slope=0.0),
        naive_bayes=_fit_naive_bayes(matrix, train, contract),
        left_out=(*_contacts_left_out(tables), *left_out, *points.left_out, *inputs.refused_criteria),
        train=train,
        shares=drift_reference(
            features=contract.features, matrix=matrix.features, objects=train.snapshots["contact_id"].to_numpy()
        ),
        comparisons=compare_features(
            contract.features, values=matrix.features.to_numpy(dtype=np.float64), y_obs=train.y_obs, weight=weight
        ),
        points_comparisons=compare_criteria(points, y_obs=train.y_obs),
        silence=silence_of(
            names=contract.names,
            features=matrix.features,
            y_obs=train.y_obs,
            objects=train.snapshots["contact_id"].to_numpy(),
            base_rate=base_rate,
        ),
    )


def _contacts_left_out(tables: CrmTables) -> Iterator[LeftOut]:
    if tables.complete_for is not None:
        everybody, read = len(tables["contacts"]), len(tables.complete_for)
        told = f"{everybody - read:,} of {everybody:,} were not learnt from, but are scored"
        yield LeftOut("contacts", "contact_id", f"{told}: there are more activities than snapshots.max_activities")


def fit_contact_booster(
    *, features: pd.DataFrame, y_obs: FloatArray, contract: FeatureContract, step: Step, inputs: ContactInputs
) -> Any:
    """Fit the booster that the ladder's step allows."""
    return fit_booster(
        features=features,
        label=y_obs,
        weight=None,
        categories=[feature.name for feature in contract.features if feature.is_category],
        settings=inputs.contacts.booster if step.rung == "model" else inputs.contacts.small_booster,
    )


def category_fields(matrix: Matrix, contract: FeatureContract) -> pd.DataFrame:
    """Return the category features as words, missing as None: what a frequency table counts."""
    fields = {}
    for feature in contract.features:
        if feature.is_category and feature.name != "stage":
            code = matrix.features[feature.name].to_numpy()
            words = np.array([*feature.levels, None], dtype=object)
            fields[feature.name] = words[np.where(np.isnan(code), len(feature.levels), code).astype(np.int64)]
    return pd.DataFrame(fields, index=matrix.features.index, dtype=object)


def _fit_naive_bayes(matrix: Matrix, train: LabelledContacts, contract: FeatureContract) -> OdooNaiveBayes | None:
    fields = category_fields(matrix, contract)
    if not fields.shape[1] or not len(fields):
        return None
    last = ~train.snapshots["contact_id"].duplicated(keep="last").to_numpy()
    return OdooNaiveBayes.fit(fields=fields.loc[last], won=train.y_obs[last] == 1.0)
