"""How HubSpot's own properties are known in time: a fact sheet by name, read from a packaged table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final, Literal

ObjectType = Literal["contact", "company", "deal"]
Known = Literal[
    "leak_outcome",
    "leak_lifecycle",
    "leak_model",
    "personal_or_id",
    "treatment",
    "counter",
    "mutable",
    "hygiene",
    "first_touch",
]

WORDS: Final[Mapping[Known, str]] = {
    "leak_outcome": "HubSpot writes it when a deal comes about, is won or lost",
    "leak_lifecycle": "HubSpot sets it from what became of the contact, and workflows fill it in afterwards",
    "leak_model": "the score of another model, whose own inputs may hold the outcome",
    "personal_or_id": "an identifier or personal data",
    "treatment": "it tells what sellers did because they liked the contact; as of then only",
    "counter": "it keeps growing; to be rebuilt from dated activities",
    "mutable": "it is edited later; as of then only",
    "hygiene": "it tells how the record was kept; as of then only",
    "first_touch": "fixed once it is written, at its own date",
}
LEAKS: Final[frozenset[Known]] = frozenset({"leak_outcome", "leak_lifecycle", "leak_model"})
_TABLE: Final = Path(__file__).with_name("data") / "hubspot_properties.csv"


def hubspot_class(*, object_type: ObjectType, name: str) -> Known | None:
    """Return how HubSpot's property of this name is known in time; None if HubSpot has none of that name.

    >>> hubspot_class(object_type="contact", name="num_associated_deals")
    'leak_outcome'
    """
    exact, patterns = _classes()
    found = exact.get((object_type, name))
    if found is None:
        found = next(
            (known for kind, pattern, known in patterns if kind == object_type and fnmatchcase(name, pattern)), None
        )
    return found


def hubspot_reason(*, object_type: ObjectType, name: str) -> str | None:
    """Return why a property that HubSpot names so stays out unless vouched for; None if nothing speaks against it."""
    known = hubspot_class(object_type=object_type, name=name)
    if known is None or (known not in LEAKS and known != "personal_or_id"):
        return None
    kind = "not a feature" if known == "personal_or_id" else "knows the outcome"
    return f"{kind}: {WORDS[known]} (HubSpot property); never used unless vouched for"


@cache
def _classes() -> tuple[dict[tuple[str, str], Known], tuple[tuple[str, str, Known], ...]]:
    exact: dict[tuple[str, str], Known] = {}
    patterns: list[tuple[str, str, Known]] = []
    known_words = {str(word): word for word in WORDS}
    with _TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            known = known_words[row["known"]]
            if "*" in row["property"]:
                patterns.append((row["object_type"], row["property"], known))
            else:
                exact[row["object_type"], row["property"]] = known
    return exact, tuple(patterns)
