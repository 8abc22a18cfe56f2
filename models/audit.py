"""The leak audit's verdict: which columns know more than anybody could have known, and what says so.

Two kinds of evidence. *Too good*: the low end of a property's AUC interval, among rows alike in what the stages tell
(contacts with, or without, an open deal; deals in the same stage), lies at ``suspicious_from`` or above, and the AUC
itself ``suspicious_jump`` above the best honest column's. Honest are the features that rest on dated facts, and every
property in use below the jump. *Out of time*: filled only once the outcome is there, or a record of the past that lies
after the as-of. A suspicious property is refused, unless the configuration vouches for it: then it is a warning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from features.catalogue import Question
from models.separation import Separation

Use = Literal["used", "left out", "refused", "warned"]

FILLED_BEFORE_AT_MOST: Final = 0.1
"""Of the objects with an outcome whose property is filled now, fewer had it filled before: filled afterwards."""
FILLED_WITH_OUTCOME_FROM: Final = 0.5
FILLED_WITHOUT_AT_MOST: Final = 0.02
"""Filled for half of the objects with an outcome and hardly any other: the outcome fills it."""
LATER_FROM: Final = 0.05
"""The share of snapshots from which a record of the past may not lie after the as-of."""
_ALIKE: Final[dict[Question, str]] = {
    "contacts": "contacts that are alike in having an open deal or none",
    "deals": "deals in the same stage",
}


class AuditSettings(BaseModel):
    """When a column is too good to be true, and when a feature stands for a protected attribute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_rows: int = Field(default=20_000, ge=1000, description="Snapshots that the audit looks at, about.")
    suspicious_from: float = Field(
        default=0.85, gt=0.5, lt=1, description="A property whose AUC surely reaches this may know the outcome ..."
    )
    suspicious_jump: float = Field(
        default=0.1, ge=0, lt=0.5, description="... and does if it also lies this far above the best honest column."
    )
    min_objects: int = Field(default=20, ge=5, description="With fewer winners nothing is refused for its skill.")
    proxy_from: float = Field(
        default=0.7, gt=0.5, lt=1, description="A feature with this AUC for a protected attribute is named."
    )


@dataclass(frozen=True)
class Filled:
    """How often a property is filled: now, for objects with and without an outcome, and before the outcome.

    ``before`` is None where the property has no history, the others where there are no such objects.
    """

    with_outcome: float | None
    without_outcome: float | None
    before: float | None
    objects: int
    others: int


@dataclass(frozen=True)
class AuditedColumn:
    """One feature, or one property that no feature rests on.

    ``rests_on`` is the property behind it; None for a feature on dated facts.
    ``known`` says since when its value is known, ``filled`` the share of snapshots that have one, ``differs`` the
    share whose value is another one today (None where only today's is known). ``auc_alike`` compares only rows alike
    in what the stages tell. ``later`` is the share of snapshots whose value is a time after the as-of, if the values
    are times of the past. ``reason`` says why it was left out, ``evidence`` what makes it suspicious.
    """

    name: str
    rests_on: str | None
    known: str
    use: Use
    vouched: bool
    filled: float | None
    auc: Separation
    auc_alike: Separation
    differs: float | None = None
    filled_by_outcome: Filled | None = None
    later: float | None = None
    reason: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def is_suspicious(self) -> bool:
        """Say whether any evidence was found against it."""
        return bool(self.evidence)


@dataclass(frozen=True)
class Proxy:
    """A feature from which a protected attribute can be told."""

    attribute: str
    column: str
    value: str
    feature: str
    auc: float


@dataclass(frozen=True)
class Audit:
    """What the audit of one question found, on snapshots from the training past."""

    question: Question
    as_of: str
    rows: int
    objects: int
    positive_objects: int
    reference: str | None
    columns: tuple[AuditedColumn, ...]
    proxies: tuple[Proxy, ...]

    @property
    def refused(self) -> dict[str, str]:
        """Return the columns that no model may use, with the evidence."""
        return {column.name: said(column.evidence) for column in self.columns if column.use == "refused"}

    @property
    def refused_properties(self) -> dict[str, str]:
        """Return the properties behind the refused columns, with the evidence."""
        return {
            column.rests_on: said(column.evidence)
            for column in self.columns
            if column.use == "refused" and column.rests_on is not None
        }

    @property
    def warned(self) -> dict[str, str]:
        """Return the columns that are used only because the configuration vouches for them, with the evidence."""
        return {column.name: said(column.evidence) for column in self.columns if column.use == "warned"}

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain data for JSON; undefined numbers are None."""
        return {
            "question": self.question,
            "as_of": self.as_of,
            "rows": self.rows,
            "objects": self.objects,
            "positive_objects": self.positive_objects,
            "reference": self.reference,
            "columns": [_column_dict(column) for column in self.columns],
            "proxies": [vars(proxy) for proxy in self.proxies],
        }


def said(evidence: Sequence[str]) -> str:
    """Say the evidence in one sentence."""
    return "too good to be true: " + "; ".join(evidence)


def judge_columns(
    columns: Sequence[AuditedColumn], *, question: Question, positive_objects: int, settings: AuditSettings
) -> tuple[list[AuditedColumn], str | None]:
    """Return the columns with the evidence against them and what follows, and the best honest column.

    Features on dated facts are never refused: the gate keeps them in time, and there is nobody to vouch for them.
    """
    told = {
        column.name: [] if column.rests_on is None else _time_words(column, question=question, settings=settings)
        for column in columns
    }
    reference = max((column for column in columns if column.rests_on is None), key=_skill, default=None)
    for column in sorted((one for one in columns if one.rests_on is not None), key=_skill):
        honest = 0.5 if reference is None else _skill(reference)
        if (
            positive_objects >= settings.min_objects
            and column.auc_alike.low >= settings.suspicious_from
            and _skill(column) >= honest + settings.suspicious_jump
        ):
            told[column.name].insert(0, _skill_words(column, reference, question=question))
        # What only today's table says is no witness of what an honest column can do.
        elif column.use == "used" and not told[column.name] and _skill(column) > honest:
            reference = column
    judged = [
        replace(column, evidence=tuple(told[column.name]), use=_use(column, suspicious=bool(told[column.name])))
        for column in columns
    ]
    return judged, None if reference is None else reference.name


def _use(column: AuditedColumn, *, suspicious: bool) -> Use:
    if not suspicious:
        return column.use
    if column.use == "used":
        return "warned" if column.vouched else "refused"
    # Without a history nothing but vouching could ever bring it in, so there is nothing to refuse.
    return "refused" if column.known.startswith("history") else "left out"


def _skill(column: AuditedColumn) -> float:
    return 0.5 if math.isnan(column.auc_alike.value) else column.auc_alike.value


def _skill_words(column: AuditedColumn, reference: AuditedColumn | None, *, question: Question) -> str:
    measured = column.auc_alike
    told = f"AUC {measured.value:.2f} ({measured.low:.2f} to {measured.high:.2f}) among {_ALIKE[question]}"
    return (
        told
        if reference is None
        else f"{told}, where the best honest column {reference.name} has {_skill(reference):.2f}"
    )


def _time_words(column: AuditedColumn, *, question: Question, settings: AuditSettings) -> list[str]:
    told = []
    ended, open_ = ("won contacts", "the others") if question == "contacts" else ("closed deals", "open ones")
    filled = column.filled_by_outcome
    if filled is not None and filled.with_outcome is not None and filled.objects >= settings.min_objects:
        now = filled.with_outcome
        if filled.before is not None and now > FILLED_BEFORE_AT_MOST and filled.before <= FILLED_BEFORE_AT_MOST * now:
            told.append(f"filled for {now:.0%} of {ended}, but before the outcome for {filled.before:.1%} only")
        elif (
            filled.without_outcome is not None
            and filled.others >= settings.min_objects
            and now >= FILLED_WITH_OUTCOME_FROM
            and filled.without_outcome <= FILLED_WITHOUT_AT_MOST
        ):
            told.append(f"filled for {now:.0%} of {ended} and {filled.without_outcome:.1%} of {open_}")
    if column.later is not None and column.later >= LATER_FROM:
        told.append(f"records of the past that lie after the as-of in {column.later:.0%} of the snapshots")
    return told


def _column_dict(column: AuditedColumn) -> dict[str, Any]:
    filled = column.filled_by_outcome
    return {
        "name": column.name,
        "property": column.rests_on,
        "known": column.known,
        "use": column.use,
        "vouched": column.vouched,
        "filled": column.filled,
        "auc": _separation_dict(column.auc),
        "auc_alike": _separation_dict(column.auc_alike),
        "differs_today": column.differs,
        "filled_with_outcome": None if filled is None else filled.with_outcome,
        "filled_without_outcome": None if filled is None else filled.without_outcome,
        "filled_before_outcome": None if filled is None else filled.before,
        "later_than_as_of": column.later,
        "reason": column.reason,
        "evidence": list(column.evidence),
    }


def _separation_dict(measured: Separation) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 6) for name, value in vars(measured).items()}
