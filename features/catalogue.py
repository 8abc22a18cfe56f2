"""The catalogue of features: what each is, where it comes from, since when it is known, and how to say it.

Matrix, explanations, report and docs all read this list; nobody lists features elsewhere. An entry whose name has a
placeholder stands for one feature per kind of activity, window or property, which come from the data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

Question = Literal["contacts", "deals"]
Unit = Literal["count", "days", "money", "ratio", "share", "number", "category"]

FAMILY_WORDS: Final[dict[str, str]] = {
    "profile": "who they are",
    "their_activity": "what they did",
    "our_activity": "what we did",
    "activity": "what happened",
    "recency": "how recently something happened",
    "open_deal": "the open deal",
    "past": "what came before",
    "stage": "where the deal stands",
    "pace": "how long it has taken",
    "value": "the amount",
    "close_date": "the expected close date",
    "people": "who is involved",
}
"""The business families that reasons are grouped into, in a salesperson's words."""


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    ``name`` and ``words`` may hold ``{kind}``, ``{days}`` or ``{property}``. ``known`` says which time gates it.
    ``family`` is ``by_direction`` where it depends on who usually does that kind of activity.
    """

    name: str
    family: str
    unit: Unit
    source: str
    known: str
    words: str
    questions: tuple[Question, ...]


_BOTH: Final[tuple[Question, ...]] = ("contacts", "deals")
_CONTACTS: Final[tuple[Question, ...]] = ("contacts",)
_DEALS: Final[tuple[Question, ...]] = ("deals",)
_ACTIVITY: Final = "later of occurred_at and known_at"
_STAGE: Final = "later of entered_at and known_at"
_HISTORY: Final = "known_at of the property's history, or creation if vouched for"

CATALOGUE: Final[tuple[Entry, ...]] = (
    Entry("{kind}_{days}d", "by_direction", "count", "activities", _ACTIVITY, "{kind} in the last {days} days", _BOTH),
    Entry("{kind}_total", "by_direction", "count", "activities", _ACTIVITY, "{kind} so far", _BOTH),
    Entry("days_since_{kind}", "recency", "days", "activities", _ACTIVITY, "days since the last {kind}", _BOTH),
    Entry("days_since_any", "recency", "days", "activities", _ACTIVITY, "days since anything happened", _BOTH),
    Entry(
        "warmth_{days}d",
        "recency",
        "number",
        "activities",
        _ACTIVITY,
        "activity so far, fading by half every {days} days",
        _BOTH,
    ),
    Entry(
        "active_days_{days}d",
        "recency",
        "count",
        "activities",
        _ACTIVITY,
        "days with activity in the last {days} days",
        _BOTH,
    ),
    Entry("last_kind", "recency", "category", "activities", _ACTIVITY, "what happened last", _BOTH),
    Entry("tenure_days", "past", "days", "contacts", "created_at", "days since the contact was created", _BOTH),
    Entry(
        "property_{property}",
        "profile",
        "category",
        "property_history or vouched column",
        _HISTORY,
        "{property}",
        _BOTH,
    ),
    Entry("open_deals", "open_deal", "count", "deals, deal_contacts", _STAGE, "open deals", _CONTACTS),
    Entry(
        "open_deal_position",
        "open_deal",
        "share",
        "deal_stage_history",
        _STAGE,
        "how far the open deal has come (0 first stage, 1 last)",
        _CONTACTS,
    ),
    Entry(
        "open_deal_days_in_stage",
        "open_deal",
        "days",
        "deal_stage_history",
        _STAGE,
        "days the open deal has been in its stage",
        _CONTACTS,
    ),
    Entry(
        "open_deal_age_days",
        "open_deal",
        "days",
        "deal_stage_history",
        _STAGE,
        "days since the open deal began",
        _CONTACTS,
    ),
    Entry("lost_deals", "past", "count", "deal_stage_history", _STAGE, "deals lost before", _BOTH),
    Entry("won_deals", "past", "count", "deal_stage_history", _STAGE, "deals won before", _DEALS),
    Entry("days_since_lost", "past", "days", "deal_stage_history", _STAGE, "days since a deal was lost", _BOTH),
    Entry("pipeline", "stage", "category", "deal_stage_history, stages", _STAGE, "pipeline", _DEALS),
    Entry("stage", "stage", "category", "deal_stage_history", _STAGE, "stage", _DEALS),
    Entry(
        "stage_position",
        "stage",
        "share",
        "deal_stage_history, stages",
        _STAGE,
        "how far the deal has come (0 first stage, 1 last)",
        _DEALS,
    ),
    Entry(
        "furthest_position",
        "stage",
        "share",
        "deal_stage_history, stages",
        _STAGE,
        "how far the deal had ever come (0 first stage, 1 last)",
        _DEALS,
    ),
    Entry("stages_passed", "stage", "count", "deal_stage_history", _STAGE, "stage changes so far", _DEALS),
    Entry("times_moved_back", "stage", "count", "deal_stage_history", _STAGE, "times it moved back a stage", _DEALS),
    Entry("times_reopened", "stage", "count", "deal_stage_history", _STAGE, "times it was re-opened", _DEALS),
    Entry("days_in_stage", "pace", "days", "deal_stage_history", _STAGE, "days in this stage", _DEALS),
    Entry("age_days", "pace", "days", "deal_stage_history", _STAGE, "days since the deal began", _DEALS),
    Entry("days_per_stage", "pace", "days", "deal_stage_history", _STAGE, "days taken per stage so far", _DEALS),
    Entry(
        "activity_in_stage", "pace", "count", "activities", _ACTIVITY, "activities since it entered this stage", _DEALS
    ),
    Entry("amount", "value", "money", "property_history or vouched column", _HISTORY, "amount", _DEALS),
    Entry("amount_changes", "value", "count", "property_history", _HISTORY, "changes of the amount", _DEALS),
    Entry(
        "amount_ratio",
        "value",
        "ratio",
        "property_history",
        _HISTORY,
        "amount compared with the first one named",
        _DEALS,
    ),
    Entry(
        "days_to_expected_close",
        "close_date",
        "days",
        "property_history or vouched column",
        _HISTORY,
        "days until the expected close date",
        _DEALS,
    ),
    Entry(
        "close_date_changes",
        "close_date",
        "count",
        "property_history",
        _HISTORY,
        "times the expected close date was moved",
        _DEALS,
    ),
    Entry(
        "close_date_slip_days",
        "close_date",
        "days",
        "property_history",
        _HISTORY,
        "days the expected close date has slipped",
        _DEALS,
    ),
    Entry(
        "contacts_count",
        "people",
        "count",
        "deal_contacts",
        "created_at of the deal and of the contact",
        "contacts on the deal",
        _DEALS,
    ),
    Entry(
        "owner_win_rate",
        "people",
        "share",
        "deal_stage_history, deals.owner_id",
        _STAGE,
        "share of the owner's closed deals that were won",
        _DEALS,
    ),
    Entry(
        "owner_closed",
        "people",
        "count",
        "deal_stage_history, deals.owner_id",
        _STAGE,
        "deals the owner has closed before",
        _DEALS,
    ),
    Entry(
        "last_actor_win_rate",
        "people",
        "share",
        "activities.owner_id, deal_stage_history",
        _ACTIVITY,
        "share won among closed deals of the colleague who acted last",
        _DEALS,
    ),
)


class Feature(BaseModel):
    """One concrete feature of a matrix: a column, with all that is needed to read it back to a person.

    ``levels`` are the known values of a category in code order; the last one stands for every rarer value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    family: str
    unit: Unit
    words: str
    levels: tuple[str, ...] = ()

    @property
    def is_category(self) -> bool:
        """Say whether the column holds codes of ``levels`` rather than amounts."""
        return self.unit == "category"

    def describe(self, value: float) -> str:
        """Say a value of this feature in words.

        >>> Feature(name="call_7d", family="our_activity", unit="count", words="call in the last 7 days").describe(3.0)
        'call in the last 7 days: 3'
        """
        return f"{self.words}: {self.format(value)}"

    def format(self, value: float) -> str:
        """Write a value the way a person reads it; a missing one as what is missing."""
        if value != value:
            return self._missing()
        if self.is_category:
            return self.levels[int(value)]
        if self.unit in ("count", "money"):
            return f"{value:,.0f}"
        if self.unit == "share":
            return f"{value:.0%}"
        if self.unit == "days":
            return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"
        return f"{value:,.2f}"

    def _missing(self) -> str:
        if self.name.startswith("days_since"):
            return "never"
        return "no open deal" if self.family == "open_deal" else "unknown"


def expand(
    *,
    question: Question,
    kinds: tuple[str, ...],
    kind_families: dict[str, str],
    windows_days: tuple[float, ...],
    half_lives_days: tuple[float, ...],
    properties: dict[str, tuple[str, ...]],
    levels: dict[str, tuple[str, ...]],
    absent: frozenset[str] = frozenset(),
) -> Iterator[Feature]:
    """Yield the concrete features of one question, in catalogue order.

    ``properties`` maps each usable property to its levels (empty for a number); ``levels`` does so for the
    categories that the catalogue names itself (``stage``, ``pipeline``, ``last_kind``). ``absent`` names the
    entries to leave out.
    """
    for entry in CATALOGUE:
        if question not in entry.questions or entry.name in absent:
            continue
        if "{property}" in entry.name:
            for name, known in properties.items():
                unit: Unit = "category" if known else "number"
                yield _concrete(entry, unit=unit, levels=known, column=name)
            continue
        spans = half_lives_days if entry.name.startswith("warmth") else windows_days
        many_kinds = kinds if "{kind}" in entry.name else (None,)
        many_days = spans if "{days}" in entry.name else (None,)
        for kind, days in product(many_kinds, many_days):
            family = kind_families.get(kind or "", "activity") if entry.family == "by_direction" else entry.family
            yield _concrete(
                entry,
                family=family,
                levels=levels.get(entry.name, ()),
                kind=kind,
                days=None if days is None else f"{days:g}",
            )


def _concrete(
    entry: Entry,
    *,
    family: str | None = None,
    unit: Unit | None = None,
    levels: tuple[str, ...] = (),
    kind: str | None = None,
    days: str | None = None,
    column: str | None = None,
) -> Feature:
    plain = {"kind": kind, "days": days, "property": column}
    spoken = {key: (value or "").replace("_", " ") for key, value in plain.items()}
    words = entry.words.format(**spoken)
    return Feature(
        name=entry.name.format(**plain),
        family=family or entry.family,
        unit=unit or entry.unit,
        words="last day".join(words.split("last 1 days")),
        levels=levels,
    )


def entry_of(name: str) -> Entry:
    """Return the line of the catalogue that a concrete feature comes from.

    >>> entry_of("days_since_any").name, entry_of("days_since_call").name, entry_of("warmth_7d").name
    ('days_since_any', 'days_since_{kind}', 'warmth_{days}d')
    """
    found = [entry for entry in CATALOGUE if _pattern(entry.name).fullmatch(name)]
    return max(found, key=lambda entry: len(re.sub(r"\{\w+\}", "", entry.name)))


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    literal = [re.escape(part) for part in parts[::2]]
    free = ["[0-9.e+]+" if part == "days" else ".+" for part in parts[1::2]]
    return re.compile("".join(text for pair in zip(literal, [*free, ""], strict=True) for text in pair))
