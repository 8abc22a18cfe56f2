"""The catalogue of features: what each is, where it comes from, since when it is known, and how to say it.

Matrix, explanations, report and docs all read this list; nobody lists features elsewhere. An entry whose name has a
placeholder stands for one feature per kind of activity, direction, outcome, window or property.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

from pydantic import BaseModel, ConfigDict

from features.entries import CATALOGUE, FAMILY_WORDS, Entry, Question, Spans, Unit

__all__ = [
    "CATALOGUE",
    "FAMILY_WORDS",
    "Choices",
    "Entry",
    "Feature",
    "Question",
    "Unit",
    "entry_of",
    "expand",
    "names_of_kind",
    "names_without_kind",
]

DIRECTION_WORDS: Final = {"inbound": "their activities", "outbound": "our activities"}
DIRECTION_FAMILIES: Final = {"inbound": "their_activity", "outbound": "our_activity"}


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
    missing: str = ""

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
            return self.missing or ("never" if self.name.startswith("days_since") else "unknown")
        if self.is_category:
            return self.levels[int(value)]
        if self.unit in ("count", "money"):
            return f"{value:,.0f}"
        if self.unit == "share":
            return f"{value:.0%}"
        if self.unit == "days":
            return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"
        return f"{value:,.2f}"


@dataclass(frozen=True)
class Choices:
    """What the data decide for one question: which kinds, windows and properties there are, and what is on offer.

    ``properties`` and ``company_properties`` map each usable property to its levels (none for a number); ``levels``
    does so for the categories that the catalogue names itself. ``available`` are the needs that the tables meet.
    """

    question: Question
    kinds: tuple[str, ...]
    kind_families: Mapping[str, str]
    outcomes: tuple[tuple[str, str], ...]
    days: Mapping[Spans, tuple[float, ...]]
    properties: Mapping[str, tuple[str, ...]]
    company_properties: Mapping[str, tuple[str, ...]]
    levels: Mapping[str, tuple[str, ...]]
    available: frozenset[str]


@dataclass(frozen=True)
class _Blanks:
    """What fills the placeholders of one entry."""

    plain: Mapping[str, str]
    spoken: Mapping[str, str]
    by_direction: str = "activity"
    levels: tuple[str, ...] = ()


def expand(choices: Choices) -> Iterator[Feature]:
    """Yield the concrete features of one question, in catalogue order."""
    for entry in CATALOGUE:
        if choices.question in entry.questions and choices.available.issuperset(entry.needs):
            for blanks, days in product(_blanks_of(entry, choices), _days_of(entry, choices)):
                yield _concrete(entry, blanks, days=days, question=choices.question)


def names_without_kind(choices: Choices) -> set[str]:
    """Return the names of all features that are not about a kind of activity, whatever the tables offer."""
    return {
        _name(entry, blanks, days)
        for entry in CATALOGUE
        if "{kind}" not in entry.name
        for blanks in _blanks_of(entry, choices)
        for days in _days_of(entry, choices)
    }


def names_of_kind(kind: str, choices: Choices) -> set[str]:
    """Return the names of all features about one kind of activity, or about a kind with its outcome."""
    return {
        _name(entry, _Blanks({"kind": kind}, {}), days)
        for entry in CATALOGUE
        if "{kind}" in entry.name and "{outcome}" not in entry.name
        for days in _days_of(entry, choices)
    }


def entry_of(name: str) -> Entry:
    """Return the line of the catalogue that a concrete feature comes from.

    A kind whose name holds an underscore cannot be told from a kind with an outcome; both are known alike.

    >>> entry_of("days_since_any").name, entry_of("days_since_call").name, entry_of("warmth_7d").name
    ('days_since_any', 'days_since_{kind}', 'warmth_{days}d')
    """
    return max((entry for entry in CATALOGUE if _pattern(entry.name).fullmatch(name)), key=_literal_length)


def _days_of(entry: Entry, choices: Choices) -> tuple[float | None, ...]:
    return choices.days[entry.spans] if "{days}" in entry.name else (None,)


def _blanks_of(entry: Entry, choices: Choices) -> Iterator[_Blanks]:
    if "{outcome}" in entry.name:
        for kind, outcome in choices.outcomes:
            plain = {"kind": kind, "outcome": outcome}
            yield _Blanks(plain, _spoken(plain), choices.kind_families.get(kind, "activity"))
    elif "{kind}" in entry.name:
        for kind in choices.kinds:
            yield _Blanks({"kind": kind}, _spoken({"kind": kind}), choices.kind_families.get(kind, "activity"))
    elif "{direction}" in entry.name:
        for direction, words in DIRECTION_WORDS.items():
            yield _Blanks({"direction": direction}, {"direction": words}, DIRECTION_FAMILIES[direction])
    elif "{property}" in entry.name:
        own = entry.name.startswith("property")
        for name, levels in (choices.properties if own else choices.company_properties).items():
            yield _Blanks({"property": name}, _spoken({"property": name}), levels=levels)
    else:
        yield _Blanks({}, {}, levels=choices.levels.get(entry.name, ()))


def _concrete(entry: Entry, blanks: _Blanks, *, days: float | None, question: Question) -> Feature:
    words = entry.words.format(**blanks.spoken, days="" if days is None else f"{days:g}")
    family = entry.family_of(question)
    return Feature(
        name=_name(entry, blanks, days),
        family=blanks.by_direction if family == "by_direction" else family,
        unit="number" if "{property}" in entry.name and not blanks.levels else entry.unit,
        words=re.sub(r"\blast 1 days\b", "last day", words),
        levels=blanks.levels,
        missing=entry.missing,
    )


def _name(entry: Entry, blanks: _Blanks, days: float | None) -> str:
    return entry.name.format(**blanks.plain, days="" if days is None else f"{days:g}")


def _spoken(plain: Mapping[str, str]) -> dict[str, str]:
    return {key: value.replace("_", " ") for key, value in plain.items()}


def _literal_length(entry: Entry) -> int:
    # A direction is one of two words, so it counts as one of them.
    return len(re.sub(r"\{\w+\}", "", entry.name.replace("{direction}", "inbound")))


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    literal = [re.escape(part) for part in parts[::2]]
    free = {"days": "[0-9.e+]+", "direction": "inbound|outbound"}
    blanks = [f"(?:{free.get(part, '.+')})" for part in parts[1::2]]
    return re.compile("".join(text for pair in zip(literal, [*blanks, ""], strict=True) for text in pair))
