"""The rule sheet replayed at any as-of: points, and the log of what gave them, to the hundredth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.properties import LeftOut, PropertySettings
from features.tables import CrmTables
from features.visibility import Int64Array
from models.boosting import FloatArray
from models.property_tests import BoolArray
from models.rules.criteria import CriteriaAtSnapshots
from models.rules.sheet import ENGAGEMENT, FIT, Criterion, PointRules, RuleGroup, Subject

GRADE_LETTERS: Final = ("A", "B", "C")
TOTAL: Final = "total"
_HUNDREDTHS: Final = 100

Number = TypeVar("Number", np.int64, np.float64, np.bool_)


@dataclass(frozen=True)
class LogLine:
    """What a column of the log stands for: a criterion, or the limit of a group or of the total."""

    name: str
    group: str
    subject: Subject | None


@dataclass(frozen=True)
class Points:
    """The log of each snapshot, in hundredths of a point (snapshots x lines), and where criteria could be judged.

    Criteria come first, then the limits: what a limit held back is a line of its own, so that the lines always add
    up to the total. ``times`` and ``judged`` (snapshots x criteria) are those of ``rule_criteria.Answer``.
    """

    hundredths: Int64Array
    lines: tuple[LogLine, ...]
    times: FloatArray
    judged: BoolArray
    left_out: tuple[LeftOut, ...]

    def rows(self, chosen: Int64Array) -> Points:
        """Return the log of some rows."""
        return replace(self, hundredths=self.hundredths[chosen], times=self.times[chosen], judged=self.judged[chosen])

    @property
    def criteria(self) -> tuple[LogLine, ...]:
        """Return the lines that are criteria."""
        return tuple(line for line in self.lines if line.subject is not None)

    @property
    def log(self) -> FloatArray:
        """Return the points that each line gave (snapshots x lines)."""
        return self.hundredths / _HUNDREDTHS

    @property
    def total(self) -> FloatArray:
        """Return the points of each snapshot; NaN where not one criterion could be judged."""
        return np.where(self.judged.any(axis=1), self.hundredths.sum(axis=1) / _HUNDREDTHS, np.nan)

    def of_group(self, group: str) -> FloatArray:
        """Return the points of one group; NaN where none of its criteria could be judged."""
        inside = np.array([line.group == group for line in self.lines], dtype=bool)
        judged = self.judged[:, inside[: self.judged.shape[1]]].any(axis=1)
        return np.where(judged, self.hundredths[:, inside].sum(axis=1) / _HUNDREDTHS, np.nan)

    @property
    def fit(self) -> FloatArray:
        """Return the points for who they are."""
        return self.of_group(FIT)

    @property
    def engagement(self) -> FloatArray:
        """Return the points for what they do."""
        return self.of_group(ENGAGEMENT)

    def grades(self, rules: PointRules) -> NDArray[np.object_]:
        """Return A1 to C3: the letter from the fit points, the digit from engagement; None where one is unknown."""
        fit, engagement = self.fit, self.engagement
        letter = np.array(GRADE_LETTERS, dtype=object)[_grade(fit, group=rules.fit)]
        digit = _grade(engagement, group=rules.engagement) + 1
        grade = np.asarray(letter + digit.astype(str).astype(object))
        grade[np.isnan(fit) | np.isnan(engagement)] = None
        return grade


def apply_rules(
    *, rules: PointRules, tables: CrmTables, snapshots: pd.DataFrame, properties: PropertySettings
) -> Points:
    """Replay the rules at each contact snapshot (``contact_id``, ``as_of``), from what was known then.

    A criterion that can be judged nowhere (a property that cannot be seen in the past, a kind of activity that never
    occurs) gives no points and is named in ``left_out``. A criterion that cannot be judged at a snapshot gives
    nothing there; a snapshot, or a group, without one that can is unknown, not 0.
    """
    past = CriteriaAtSnapshots(tables=tables, snapshots=snapshots, properties=properties)
    rows = len(snapshots)
    columns: list[Int64Array] = []
    limits: list[tuple[LogLine, Int64Array]] = []
    lines, times, judged, left_out = [], [], [], []
    for group, sheet in rules.groups():
        given: list[Int64Array] = []
        for criterion in sheet.criteria:
            answer = past.answer(criterion)
            if answer.why_not is not None:
                left_out.append(LeftOut("point_rules", criterion.name, answer.why_not))
            held = np.where(answer.judged, answer.times, 0.0)
            given.append(points_given(criterion, held))
            times.append(held)
            judged.append(answer.judged)
            lines.append(LogLine(criterion.name, group, criterion.subject()))
        if given and may_bind(sheet.criteria, low=sheet.lowest, high=sheet.cap):
            limit = _held_back(given, low=sheet.lowest, high=sheet.cap)
            limits.append((LogLine(f"limit of {group}", group, None), limit))
        columns += given
    if columns and may_bind(rules.criteria, low=rules.floor, high=rules.cap):
        limit = _held_back([*columns, *(column for _, column in limits)], low=rules.floor, high=rules.cap)
        limits.append((LogLine(f"limit of the {TOTAL}", TOTAL, None), limit))
    return Points(
        hundredths=_side_by_side([*columns, *(column for _, column in limits)], rows=rows, dtype=np.int64),
        lines=(*lines, *(line for line, _ in limits)),
        times=_side_by_side(times, rows=rows, dtype=np.float64),
        judged=_side_by_side(judged, rows=rows, dtype=np.bool_),
        left_out=tuple(left_out),
    )


def one_after_the_other(parts: Sequence[Points]) -> Points:
    """Return the points of several lists of snapshots, by the same rules and of the same tables, as of one list."""
    return replace(
        parts[0],
        hundredths=np.concatenate([part.hundredths for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        judged=np.concatenate([part.judged for part in parts]),
    )


def points_given(criterion: Criterion, times: FloatArray) -> Int64Array:
    """Return the points of a criterion in hundredths, rounded, its own cap applied."""
    given = np.round(times * (criterion.points * _HUNDREDTHS)).astype(np.int64)
    if criterion.cap is None:
        return given
    cap = round(criterion.cap * _HUNDREDTHS)
    return np.clip(given, -cap, cap)


def may_bind(criteria: Sequence[Criterion], *, low: float | None, high: float | None) -> bool:
    """Say whether points of these criteria can come to more, or to less, than the limits."""
    most = [
        one.points * (np.inf if one.per_event and one.points else 1.0)
        if one.cap is None
        else float(np.copysign(one.cap, one.points))
        for one in criteria
    ]
    above = high is not None and sum(points for points in most if points > 0) > high
    return above or (low is not None and sum(points for points in most if points < 0) < low)


def _held_back(columns: list[Int64Array], *, low: float | None, high: float | None) -> Int64Array:
    raw = np.sum(columns, axis=0, dtype=np.int64)
    limited = raw if low is None else np.maximum(raw, round(low * _HUNDREDTHS))
    limited = limited if high is None else np.minimum(limited, round(high * _HUNDREDTHS))
    return np.asarray(limited - raw, dtype=np.int64)


def _side_by_side(columns: Sequence[NDArray[Number]], *, rows: int, dtype: type[Number]) -> NDArray[Number]:
    return np.column_stack(columns).astype(dtype, copy=False) if columns else np.zeros((rows, 0), dtype=dtype)


def _grade(points: FloatArray, *, group: RuleGroup) -> NDArray[np.int64]:
    best, middle = group.grades_from
    return np.select([points >= best, points >= middle], [0, 1], 2).astype(np.int64)
