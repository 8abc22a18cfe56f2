"""Manual point rules: criteria on properties and behaviour, replayed at any as-of, and mapped to a probability."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.behaviour import behaviour_before, contact_activities
from features.properties import LeftOut, PropertySettings, property_at, usable_properties
from features.snapshots import idle_days
from features.tables import CrmTables
from features.visibility import Int64Array, codes, microseconds
from models.boosting import FloatArray
from models.calibration import sigmoid

GRADE_LETTERS: Final = ("A", "B", "C")
_PROPERTY_TESTS: Final = ("is", "in", "contains", "between", "known")
_ALL_TIME_DAYS: Final = 36_500.0


class Criterion(BaseModel):
    """One line of a rule sheet: what must hold, and how many points it gives (or takes).

    Exactly one subject: ``property`` with one test, or ``activity`` (at least ``at_least`` times, within
    ``within_days`` if given), or ``inactive_days`` (nothing happened for that long, its creation included).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str
    points: float
    property: str | None = None
    is_: str | float | bool | None = Field(default=None, alias="is")
    in_: tuple[str | float | bool, ...] | None = Field(default=None, alias="in")
    contains: str | None = None
    between: tuple[float, float] | None = None
    known: bool | None = None
    activity: str | None = None
    at_least: int = Field(default=1, ge=1)
    within_days: float | None = Field(default=None, gt=0)
    inactive_days: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_subject(self) -> Criterion:
        subjects = [self.property, self.activity, self.inactive_days]
        if sum(subject is not None for subject in subjects) != 1:
            raise ValueError(f"criterion {self.name!r} must name exactly one of property, activity, inactive_days")
        tests = [self.is_, self.in_, self.contains, self.between, self.known]
        if sum(test is not None for test in tests) != (self.property is not None):
            raise ValueError(
                f"criterion {self.name!r} must have exactly one of {', '.join(_PROPERTY_TESTS)} beside property, "
                "and none without it"
            )
        if self.activity is None and (self.at_least != 1 or self.within_days is not None):
            raise ValueError(f"criterion {self.name!r} may have at_least and within_days beside activity only")
        if self.between is not None and self.between[0] > self.between[1]:
            raise ValueError(f"criterion {self.name!r} must name the smaller number of between first: {self.between}")
        return self


class RuleGroup(BaseModel):
    """Criteria whose points are added and held between 0 - ``cap`` and ``cap``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cap: float = Field(default=100.0, gt=0)
    criteria: tuple[Criterion, ...]


class PointRules(BaseModel):
    """A company's rule sheet for contacts: who they are (fit) and what they do (engagement)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit: RuleGroup = RuleGroup(criteria=())
    engagement: RuleGroup = RuleGroup(criteria=())
    high_from: float | None = Field(default=None, description="Points from which a contact counts as high (MQL).")

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """Return all criteria of both groups."""
        return (*self.fit.criteria, *self.engagement.criteria)

    def without(self, properties: Collection[str]) -> PointRules:
        """Leave out the criteria on these properties."""
        kept = {
            name: sheet.model_copy(
                update={"criteria": tuple(one for one in sheet.criteria if one.property not in properties)}
            )
            for name, sheet in self.groups()
        }
        return self.model_copy(update=kept)

    def groups(self) -> tuple[tuple[str, RuleGroup], ...]:
        """Return the two groups with their names."""
        return (("fit", self.fit), ("engagement", self.engagement))


@dataclass(frozen=True)
class Points:
    """Points of each snapshot: in total, per group (after its cap) and per criterion (scaled so they add up)."""

    total: FloatArray
    fit: FloatArray
    engagement: FloatArray
    by_criterion: FloatArray
    names: tuple[str, ...]
    groups: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    def grades(self, rules: PointRules) -> NDArray[np.object_]:
        """Return A1 to C3: the letter from the fit points, the digit from engagement, by thirds of the caps."""
        letter = np.array(GRADE_LETTERS, dtype=object)[_third(self.fit, cap=rules.fit.cap)]
        digit = _third(self.engagement, cap=rules.engagement.cap) + 1
        return np.asarray(letter + digit.astype(str).astype(object))


def apply_rules(
    *, rules: PointRules, tables: CrmTables, snapshots: pd.DataFrame, properties: PropertySettings
) -> Points:
    """Replay the rules at each contact snapshot (``contact_id``, ``as_of``), from what was known then.

    A criterion on a property that cannot be seen in the past, or on a kind of activity that never occurs, gives no
    points and is named in ``left_out``. A missing value never meets a criterion.
    """
    contacts = tables["contacts"]
    ids = pd.Index(contacts["contact_id"])
    objects = codes(snapshots["contact_id"], index=ids)
    as_of = microseconds(snapshots["as_of"])
    usable, _ = usable_properties(tables=tables, object_type="contact", settings=properties)
    vouched = properties.safe("contact")
    left_out: list[LeftOut] = []
    columns, names, groups, capped = [], [], [], {}
    for group, sheet in rules.groups():
        raw = []
        for criterion in sheet.criteria:
            met, reason = _met(
                criterion, tables=tables, ids=ids, objects=objects, as_of=as_of, usable=usable, vouched=vouched
            )
            if reason:
                left_out.append(LeftOut("point_rules", criterion.name, reason))
            raw.append(met * criterion.points)
            names.append(criterion.name)
            groups.append(group)
        total = np.sum(raw, axis=0) if raw else np.zeros(len(snapshots))
        capped[group] = np.clip(total, -sheet.cap, sheet.cap)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(total == 0, 0.0, capped[group] / total)
        columns += [np.where(total == 0, part, part * scale) for part in raw]
    by_criterion = np.column_stack(columns) if columns else np.zeros((len(snapshots), 0))
    return Points(
        total=capped["fit"] + capped["engagement"],
        fit=capped["fit"],
        engagement=capped["engagement"],
        by_criterion=by_criterion,
        names=tuple(names),
        groups=tuple(groups),
        left_out=tuple(left_out),
    )


class PointsMap(BaseModel):
    """Points -> probability: sigmoid(intercept + slope * points / 10), with a slope that is never negative."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: float
    slope: float = Field(ge=0)

    def predict(self, points: FloatArray) -> FloatArray:
        """Return the probability that the past gives these points."""
        return sigmoid(self.intercept + self.slope * points / 10.0)


def fit_points_map(*, points: FloatArray, y_obs: FloatArray, weight: FloatArray) -> PointsMap:
    """Fit the logistic map; points that point the wrong way get slope 0 and with it the base rate."""
    base = float(np.clip(np.average(y_obs, weights=weight), 1e-6, 1 - 1e-6))
    flat = PointsMap(intercept=float(np.log(base / (1 - base))), slope=0.0)
    if np.ptp(points) == 0:
        return flat
    design = np.column_stack([np.ones_like(points), points / 10.0])
    beta = np.array([flat.intercept, 0.0])
    for _ in range(100):
        fitted = sigmoid(design @ beta)
        gradient = design.T @ (weight * (y_obs - fitted)) - np.array([0.0, 1e-3 * beta[1]])
        curvature = (design * (weight * fitted * (1 - fitted))[:, None]).T @ design + np.diag([1e-9, 1e-3])
        step = np.clip(np.linalg.solve(curvature, gradient), -1.0, 1.0)
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return PointsMap(intercept=float(beta[0]), slope=float(beta[1])) if beta[1] > 0 else flat


def _met(
    criterion: Criterion,
    *,
    tables: CrmTables,
    ids: pd.Index,
    objects: Int64Array,
    as_of: Int64Array,
    usable: list[str],
    vouched: tuple[str, ...],
) -> tuple[FloatArray, str | None]:
    nothing = np.zeros(len(objects))
    if criterion.property is not None:
        if criterion.property not in usable:
            return nothing, (
                f"property {criterion.property!r} has no history and is not vouched for, so the past cannot be replayed"
            )
        values = property_at(
            tables=tables,
            object_type="contact",
            name=criterion.property,
            ids=ids,
            objects=objects,
            as_of=as_of,
            vouched=criterion.property in vouched,
        ).value
        return _property_met(criterion, pd.Series(values, dtype=object)), None
    activities = tables["activities"]
    if criterion.inactive_days is not None:
        if not len(activities):
            return nothing, "no activity in the tables"
        idle = idle_days(contacts=tables["contacts"], activities=activities, objects=objects, as_of=as_of)
        return (idle > criterion.inactive_days).astype(np.float64), None
    activities = activities.loc[activities["type"] == criterion.activity]
    if not len(activities):
        return nothing, f"no activity of kind {criterion.activity!r} in the tables"
    counted = behaviour_before(
        activities=contact_activities(activities=activities, contact_ids=ids, kinds=(str(criterion.activity),)),
        objects=objects,
        as_of=as_of,
        windows_days=(criterion.within_days or _ALL_TIME_DAYS,),
        half_lives_days=(),
    ).counts[:, 0, 0]
    return (counted >= criterion.at_least).astype(np.float64), None


def _property_met(criterion: Criterion, values: pd.Series) -> FloatArray:
    filled = values.notna()
    if criterion.known is not None:
        return np.asarray(filled == criterion.known, dtype=np.float64)
    if criterion.contains is not None:
        met = _words(values).str.contains(criterion.contains, case=False, regex=False)
    elif criterion.between is not None:
        low, high = criterion.between
        met = pd.to_numeric(values, errors="coerce").between(low, high)
    else:
        met = _same(values, criterion.in_ if criterion.in_ is not None else (criterion.is_,))
    return np.asarray(met & filled, dtype=np.float64)


def _same(values: pd.Series, wanted: tuple[Any, ...]) -> pd.Series:
    """Compare as numbers where the wanted value is one, as words otherwise."""
    numbers = pd.to_numeric(values, errors="coerce")
    words = _words(values)
    met = pd.Series(False, index=values.index)
    for value in wanted:
        if isinstance(value, bool):
            met |= words.str.lower() == str(value).lower()
        elif isinstance(value, (int, float)):
            met |= numbers == float(value)
        else:
            met |= words == str(value)
    return met


def _words(values: pd.Series) -> pd.Series:
    """Return values as a person writes them: a whole number without its ``.0``."""
    return values.map(
        lambda value: f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
    ).astype("str")


def _third(points: FloatArray, *, cap: float) -> NDArray[np.int64]:
    return np.select([points >= cap * 2 / 3, points >= cap / 3], [0, 1], 2).astype(np.int64)
