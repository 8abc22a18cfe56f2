"""The rule sheet: groups of criteria with points, limits, thresholds and grades, as a marketing team writes it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Subject = Literal["property", "company_property", "activity", "inactive_days", "deal"]
Value = str | float | bool

SUBJECTS: Final[tuple[Subject, ...]] = ("property", "company_property", "activity", "inactive_days", "deal")
ANY_ACTIVITY: Final = "any"
FIT: Final = "fit"
ENGAGEMENT: Final = "engagement"
_TESTS: Final = {"is_": "is", "in_": "in", "contains": "contains", "between": "between", "known": "known"}
_OF_ACTIVITY: Final = (
    "name_contains",
    "within_days",
    "per_event",
    "cap",
    "half_life_days",
    "fade_percent_per_month",
)
_OF_DEAL: Final = ("stage", "amount")
_STRICT: Final = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Criterion(BaseModel):
    """One line of a rule sheet: what must hold, and how many points it gives (or takes).

    Exactly one subject, with the keys that belong to it.
    """

    model_config = ConfigDict(**_STRICT, json_schema_extra={"oneOf": [{"required": [subject]} for subject in SUBJECTS]})

    name: str = Field(min_length=1, description="What people read; no two lines of a sheet share it.")
    points: float = Field(description="Given where the line holds; below zero they are taken.")
    property: str | None = Field(default=None, description="A property of the contact, with one test.")
    company_property: str | None = Field(
        default=None, description="A property of the contact's company, with one test."
    )
    is_: Value | None = Field(default=None, alias="is", description="Test: equal to this.")
    in_: tuple[Value, ...] | None = Field(default=None, alias="in", min_length=1, description="Test: one of these.")
    contains: str | None = Field(default=None, min_length=1, description="Test: this text is in it, in any case.")
    between: tuple[float | None, float | None] | None = Field(
        default=None, description="Test: a number from the first to the second, both included; null leaves a side open."
    )
    known: bool | None = Field(default=None, description="Test: true if it is filled, false if it is empty.")
    activity: str | tuple[str, ...] | None = Field(
        default=None, description=f"A kind of activity, or several, or '{ANY_ACTIVITY}'."
    )
    name_contains: str | None = Field(
        default=None, min_length=1, description="Only activities whose name holds this text, in any case."
    )
    at_least: int = Field(default=1, ge=1, description="How many such activities or deals it takes.")
    within_days: float | None = Field(default=None, gt=0, description="Only activities of the last days.")
    per_event: bool = Field(default=False, description="Give the points for each activity, not once.")
    cap: float | None = Field(default=None, gt=0, description="With per_event: never more than this, up or down.")
    half_life_days: float | None = Field(
        default=None, gt=0, description="The points of an activity halve every so many days."
    )
    fade_percent_per_month: float | None = Field(
        default=None, gt=0, le=100, description="An activity loses this share of its points every 30 days."
    )
    inactive_days: float | None = Field(
        default=None, gt=0, description="Nothing happened for longer than this, the contact's creation included."
    )
    deal: Literal["open", "won", "lost"] | None = Field(
        default=None, description="A deal of the contact that is open, or was won or lost before."
    )
    stage: str | tuple[str, ...] | None = Field(
        default=None, description="The open deal stands in this stage (id or label), or in one of these."
    )
    amount: tuple[float | None, float | None] | None = Field(
        default=None, description="The open deal is worth this much, as in between."
    )

    def subject(self) -> Subject:
        """Return the key that says what this line is about."""
        return next(subject for subject in SUBJECTS if getattr(self, subject) is not None)

    def fades(self) -> bool:
        """Say whether an activity gives fewer points the longer ago it was."""
        return self.half_life_days is not None or self.fade_percent_per_month is not None

    @model_validator(mode="after")
    def _hangs_together(self) -> Criterion:
        if sum(getattr(self, subject) is not None for subject in SUBJECTS) != 1:
            raise ValueError(f"criterion {self.name!r} must name exactly one of {', '.join(SUBJECTS)}")
        tests = [word for key, word in _TESTS.items() if getattr(self, key) is not None]
        if len(tests) != (self.subject() in ("property", "company_property")):
            raise ValueError(
                f"criterion {self.name!r} must have exactly one of {', '.join(_TESTS.values())} beside property or "
                f"company_property, and none without it; it has {', '.join(tests) or 'none'}"
            )
        self._refuse_strays()
        if self.fades() and self.within_days is not None:
            raise ValueError(f"criterion {self.name!r} may have within_days or points that fade, not both")
        if self.half_life_days is not None and self.fade_percent_per_month is not None:
            raise ValueError(f"criterion {self.name!r} may have half_life_days or fade_percent_per_month, not both")
        if self.per_event and self.at_least != 1:
            raise ValueError(f"criterion {self.name!r} may have per_event or at_least, not both")
        for key in ("between", "amount"):
            _refuse_reversed(self.name, key, getattr(self, key))
        return self

    def _refuse_strays(self) -> None:
        belongs: dict[Subject, tuple[str, ...]] = {
            "activity": ("at_least", *_OF_ACTIVITY),
            "deal": ("at_least", *_OF_DEAL),
        }
        allowed = set(belongs.get(self.subject(), ()))
        for key in ("at_least", *_OF_ACTIVITY, *_OF_DEAL):
            if key not in allowed and getattr(self, key) != type(self).model_fields[key].default:
                owners = " or ".join(subject for subject, keys in belongs.items() if key in keys)
                raise ValueError(f"criterion {self.name!r} may have {key} beside {owners} only")
        if self.cap is not None and not self.per_event:
            raise ValueError(f"criterion {self.name!r} may have cap beside per_event only: once is once")
        if self.deal != "open" and (self.stage is not None or self.amount is not None):
            raise ValueError(f"criterion {self.name!r} may have stage and amount beside 'deal: open' only")


class RuleGroup(BaseModel):
    """Criteria whose points are added and held between ``floor`` and ``cap``."""

    model_config = _STRICT

    cap: float = Field(default=100.0, gt=0, description="The group never gives more.")
    floor: float | None = Field(default=None, le=0, description="Nor less than this; empty means as far below zero.")
    grade_from: tuple[float, float] | None = Field(
        default=None, description="Points from which the best and the middle grade begin; thirds of cap by default."
    )
    criteria: tuple[Criterion, ...] = Field(description="The lines of the group.")

    @property
    def lowest(self) -> float:
        """Return the fewest points that the group may come to."""
        return -self.cap if self.floor is None else self.floor

    @property
    def grades_from(self) -> tuple[float, float]:
        """Return from how many points on the best grade begins, and the middle one."""
        return self.grade_from or (self.cap * 2 / 3, self.cap / 3)

    @model_validator(mode="after")
    def _best_grade_first(self) -> RuleGroup:
        if self.grade_from is not None and self.grade_from[0] <= self.grade_from[1]:
            raise ValueError(f"grade_from must name the points of the best grade first, found {list(self.grade_from)}")
        return self


class Thresholds(BaseModel):
    """From how many points a contact is handed on."""

    model_config = _STRICT

    mql: float | None = Field(default=None, description="Marketing takes it up; it counts as high.")
    sql: float | None = Field(default=None, description="Sales takes it up.")

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if self.mql is not None and self.sql is not None and self.sql < self.mql:
            raise ValueError(f"sql must not lie below mql, found mql {self.mql:g} and sql {self.sql:g}")
        return self

    def named(self) -> dict[str, float]:
        """Return those that are set, by the name people use."""
        return {name: value for name, value in (("MQL", self.mql), ("SQL", self.sql)) if value is not None}


class PointRules(BaseModel):
    """A company's rule sheet for contacts.

    Every key that is none of the fields below is a group of that name. ``fit`` (who they are) gives the letter of the
    grade and ``engagement`` (what they do) its digit.
    """

    model_config = ConfigDict(**{**_STRICT, "extra": "allow"}, title="Leadline rule sheet")
    __pydantic_extra__: dict[str, RuleGroup] = Field(init=False)

    fit: RuleGroup = Field(default=RuleGroup(criteria=()), description="Who they are.")
    engagement: RuleGroup = Field(default=RuleGroup(criteria=()), description="What they do.")
    cap: float | None = Field(default=None, gt=0, description="The total is never more; empty means no limit.")
    floor: float | None = Field(default=None, le=0, description="The total is never less; empty means no limit.")
    thresholds: Thresholds = Field(default=Thresholds(), description="Points from which a contact is handed on.")
    learned_until: datetime | None = Field(
        default=None, description="Set in a suggested sheet: its points were learnt from outcomes until then."
    )

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """Return all criteria, group by group."""
        return tuple(criterion for _, group in self.groups() for criterion in group.criteria)

    def groups(self) -> tuple[tuple[str, RuleGroup], ...]:
        """Return the groups with their names: fit, engagement, then the sheet's own."""
        return ((FIT, self.fit), (ENGAGEMENT, self.engagement), *(self.__pydantic_extra__ or {}).items())

    def without(self, properties: Collection[str]) -> PointRules:
        """Leave out the criteria on these properties of contacts."""
        kept = {
            name: group.model_copy(
                update={"criteria": tuple(one for one in group.criteria if one.property not in properties)}
            )
            for name, group in self.groups()
        }
        return self.model_copy(update=kept)

    @model_validator(mode="after")
    def _names_are_unique(self) -> PointRules:
        twice = [name for name, count in Counter(one.name for one in self.criteria).items() if count > 1]
        if twice:
            raise ValueError(f"no two criteria may have the same name, found {', '.join(map(repr, twice))} twice")
        return self


def nearest(word: str, known: Collection[str]) -> str:
    """Return a hint at the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _refuse_reversed(name: str, key: str, ends: tuple[float | None, float | None] | None) -> None:
    if ends is None:
        return
    low, high = ends
    if low is None and high is None:
        raise ValueError(f"criterion {name!r} must name at least one number of {key}")
    if low is not None and high is not None and low > high:
        raise ValueError(f"criterion {name!r} must name the smaller number of {key} first: {list(ends)}")
