"""Which properties a score becomes in HubSpot, and when a score has changed enough to be written again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from features.sources.hubspot.instants import instant, iso
from serving.contract import contract_of, read_reasons
from serving.shown import each_way

PropertyType = Literal["number", "string", "enumeration", "datetime"]
_FIELD_TYPES: Final[Mapping[PropertyType, str]] = {
    "number": "number",
    "string": "text",
    "enumeration": "select",
    "datetime": "date",
}
_LONGEST_TEXT: Final = 1_000
# A change of these alone is no news: they accompany a score.
_ACCOMPANYING: Final = frozenset({"reasons", "scored_at", "model_version"})


class WriteBackSettings(BaseModel):
    """What is written back, and from which change on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str = Field(
        default="leadline",
        pattern=r"^[a-z][a-z0-9_]{0,30}$",
        description="Begins the name of each property and names their group.",
    )
    probability_step: float = Field(
        default=0.01, ge=0, le=1, description="A probability that moved by less is not written again."
    )
    points_step: float = Field(default=1.0, ge=0, description="Nor points that moved by less.")
    close_step_days: float = Field(default=7.0, ge=0, description="Nor an expected close that moved by less.")
    reasons: int = Field(default=3, ge=1, le=6, description="How many reasons the text holds.")
    clear_nulls: bool = Field(default=False, description="Whether a score that is gone is cleared in HubSpot.")
    limit: int = Field(default=100_000, ge=1, description="One run writes to no more contacts or deals than this.")

    @field_validator("prefix")
    @classmethod
    def _our_own(cls, prefix: str) -> str:
        if f"{prefix}_".startswith("hs_"):
            raise ValueError("must not begin with hs_, which is HubSpot's own")
        return prefix


@dataclass(frozen=True)
class WrittenField:
    """One property: from which column of the contract it comes, and how it is compared."""

    suffix: str
    column: str
    type: PropertyType
    label: str
    options: tuple[str, ...] = ()

    def name(self, settings: WriteBackSettings) -> str:
        """Return the property's name in HubSpot."""
        return f"{settings.prefix}_{self.suffix}"

    @property
    def field_type(self) -> str:
        """Return how HubSpot shows it."""
        return _FIELD_TYPES[self.type]


_SHARED: Final = (
    WrittenField("reasons", "reasons", "string", "Score: reasons"),
    WrittenField("scored_at", "scored_at", "datetime", "Score: computed at"),
    WrittenField("model_version", "model_version", "string", "Score: model version"),
)
FIELDS: Final[Mapping[str, tuple[WrittenField, ...]]] = {
    "contacts": (
        WrittenField("likelihood", "close_likelihood", "number", "Score: likelihood to close"),
        WrittenField("tier", "tier", "enumeration", "Score: tier", ("very_high", "high", "medium", "low")),
        WrittenField("points", "points", "number", "Score: points"),
        WrittenField("grade", "points_grade", "string", "Score: grade of the points"),
        *_SHARED,
    ),
    "deals": (
        WrittenField("win_probability", "win_probability", "number", "Score: probability of winning"),
        WrittenField("expected_close", "expected_close_at", "datetime", "Score: expected close"),
        WrittenField("stalled", "stalled", "enumeration", "Score: stalled", ("yes", "no")),
        *_SHARED,
    ),
}


def texts_of(rows: pd.DataFrame, *, question: str, settings: WriteBackSettings) -> dict[str, dict[str, str]]:
    """Return, for each object id, the properties and their values as HubSpot wants them.

    What is null is left out, or empty, which clears it, if the settings say so.
    """
    id_column, fields = contract_of(question).id_column, FIELDS[question]
    columns = [rows[field.column].astype(object).tolist() for field in fields]
    found: dict[str, dict[str, str]] = {}
    for number, *values in zip(rows[id_column].tolist(), *columns, strict=True):
        texts = {
            field.name(settings): _text(field, value, settings) for field, value in zip(fields, values, strict=True)
        }
        found[str(number)] = {
            name: text or "" for name, text in texts.items() if text is not None or settings.clear_nulls
        }
    return found


def changed_enough(
    before: Mapping[str, str | None], after: Mapping[str, str], *, question: str, settings: WriteBackSettings
) -> bool:
    """Say whether values differ by a step or more from those that were written before."""
    for field in FIELDS[question]:
        name = field.name(settings)
        if field.suffix in _ACCOMPANYING or name not in after:
            continue
        old, new = before.get(name) or "", after[name]
        if old != new and (not old or not new or _distance(field, old, new) >= _step(field, settings)):
            return True
    return False


def _step(field: WrittenField, settings: WriteBackSettings) -> float:
    if field.type == "datetime":
        return settings.close_step_days
    if field.type == "number":
        return settings.points_step if field.suffix == "points" else settings.probability_step
    return 0.0


def _distance(field: WrittenField, old: str, new: str) -> float:
    if field.type == "number":
        # Rounded, since a step of 0.01 must be met by 0.3 and 0.31.
        return round(abs(float(new) - float(old)), 9)
    if field.type == "datetime":
        return abs((instant(new) - instant(old)).total_seconds()) / 86_400
    return 1.0


def _text(field: WrittenField, value: Any, settings: WriteBackSettings) -> str | None:
    if value is None or pd.isna(value):
        return None
    if field.suffix == "reasons":
        return reasons_text(str(value), most=settings.reasons) or None
    if field.suffix == "stalled":
        return "yes" if value else "no"
    if field.type == "datetime":
        return iso(pd.Timestamp(value).to_pydatetime())
    if field.type == "number":
        return f"{float(value):.4f}".rstrip("0").rstrip(".")
    return str(value)


def reasons_text(reasons: str, *, most: int) -> str:
    """Say the largest reasons in one line, with their effects in percentage points.

    >>> reasons_text('[{"words": "Saw the prices", "effect": 0.031}, {"words": "New", "effect": -0.002}]', most=2)
    'Saw the prices (+3.1); New (-0.2)'
    """
    parts = [f"{one['words']} ({one['effect'] * 100:+.1f})" for one in each_way(read_reasons(reasons))[:most]]
    return "; ".join(parts)[:_LONGEST_TEXT]
