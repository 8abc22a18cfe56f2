"""The page of all features: the catalogue in words, what counts and what does not, and how bad input is answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from features.entries import CATALOGUE, FAMILY_WORDS, Entry, Question, Spans

_SPANS: Final[dict[Spans, str]] = {
    "windows": "one for each of `features.windows_days`",
    "longest window": "the longest of `features.windows_days`",
    "half-lives": "one for each of `features.half_lives_days`",
    "trend": "`features.trend_days`",
}
_NEEDS: Final[dict[str, str]] = {
    "activities": "any activity",
    "directions": "activities of both directions",
    "outcomes": "activities with an outcome",
    "seasons": "a history of `features.season_from_days`",
    "contacts": "contacts",
    "properties": "a property that may be used",
    "contact_company": "contacts.company_id, vouched for or with a history",
    "deal_company": "company_id of deals or contacts, vouched for or with a history",
    "deal_contacts": "deal_contacts",
    "amount": "deals.amount, vouched for or with a history",
    "expected_close_at": "deals.expected_close_at, vouched for or with a history",
    "owner_id": "deals.owner_id, vouched for or with a history",
    "actors": "deals, and activities with an owner_id",
}
_DIRECTIONS: Final = ("their_activity", "our_activity", "activity")

_HEAD: Final = """\
# Features

Generated from the catalogue (`features/entries.py`); `leadline features list` prints the same. Everything here is
known strictly before the as-of: a fact counts from the later of when it happened and when it could be known.

- `{kind}` is a kind of activity (`activities.type`). Which kinds there are comes from the data: the
  `features.max_kinds` that reach most contacts or deals, the rest together as `other`.
- `{direction}` is `inbound` (they acted) or `outbound` (we did).
- `{outcome}` is an outcome of a kind: the `features.max_outcomes` that reach most, if at least
  `features.min_level_count` contacts or deals have it and it is not the only one of its kind.
- `{property}` is a property that has a history or is vouched for. Values rarer than `features.min_level_count` in the
  training past are grouped as `(other)`, and so is a value that training never saw.
- `{days}` are the days of a window, half-life or comparison.

A feature whose needs the tables do not meet is left out. Reasons group features into families, at most nine for a
question.
"""
_TAIL: Final = """\
## What counts and what does not

- **Bursts.** Of kinds whose name holds one of `features.discount.burst_kinds` (open, click, view), an activity that
  follows another of the same kind on the same contact or deal within `features.discount.burst_seconds` is not
  counted: mail scanners open and click everything at once.
- **Bots.** Of a contact's or a deal's activities of one UTC day, `features.discount.max_per_day` are counted.
- **Answers.** An answer is the first activity of the other side after one or several of one's own; it took as long as
  the first of these had waited. Activities without a direction change nobody's turn.
- **Working hours** are Monday to Friday, 8 to 18 o'clock, on a clock `features.utc_offset_hours` ahead of UTC, without
  summer time. Days, weekdays and months are those of UTC.
- **Companies.** A contact belongs to the company of `contacts.company_id` only if that column is vouched for
  (`properties.contacts.safe: [company_id]`) or `property_history` tells it; a history goes before the column. A deal
  belongs to its own `company_id` under the same rule, else to the company of the contact on it that was created
  first. What a contact did before its company was known counts for the company from then on. A contact's own
  activities and deals, and those of the contacts on a deal and the deal itself, are not counted as the company's.
- **Seasons.** Month and weekday of the as-of are used from `features.season_from_days` of history on: a shorter one
  cannot tell a season from a trend, and a month would stand for the year.

## Tried and left out

- The share of a kind that ended with an outcome, and the days since it last did: on BPI Challenge 2012 the share alone
  made the out-of-time log loss of deals .002 worse (.5039 against .5018); counts of outcomes did not (.5014).

## Bad input

| input | answer |
|---|---|
| activities of unknown contacts or deals | belong to nobody: they change no feature (`leadline check` counts them) |
| a kind that training never saw | counts as `other` if training had an `other`, else it is ignored |
| activities far in the past | count as what they are: old, in no window; nothing overflows back to 1700 |
| activities in the future | are not known before they happen, so they change nothing until then |
| duplicated ids | break the contract: `leadline check` names them, and the first row is kept |
| millions of activities of one contact | linear time, and no more than `features.discount.max_per_day` a day count |
| a kind with 10,000 distinct names | names are never used; only the type is |
| 10,000 distinct kinds | the `features.max_kinds` that reach most are kept, the rest is `other` |
| clocks of several zones | a time without a zone is refused; one with a zone is the same instant in UTC |
| the hour that daylight saving repeats or skips | two instants, or none: only UTC is counted in |
| an activity at the very instant of the as-of | is not yet known |
| known later than it happened, or earlier | counts from the later of the two |
| a direction other than inbound and outbound | is no direction |
| several activities at one instant | are taken in the order of occurrence, then of kind, however they were delivered |
| a company column vouched for that companies lack | is an error that names the columns there are |
"""


def described(question: Question | None = None) -> list[dict[str, Any]]:
    """Return the catalogue as plain data, for one question or both."""
    return [_plain(entry) for entry in CATALOGUE if question is None or question in entry.questions]


def render() -> str:
    """Return the page as Markdown."""
    return "\n".join([_HEAD, *_tables(), _TAIL])


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "words": entry.words,
        "families": {question: _family(entry, question) for question in entry.questions},
        "unit": entry.unit,
        "source": entry.source,
        "known": entry.known,
        "needs": [_NEEDS[need] for need in entry.needs],
        "days": _SPANS[entry.spans] if "{days}" in entry.name else None,
        "where_missing": entry.missing,
    }


def _family(entry: Entry, question: Question) -> str:
    family = entry.family_of(question)
    return " / ".join(_DIRECTIONS) if family == "by_direction" else family


def _tables() -> Iterator[str]:
    families = dict.fromkeys(family for entry in CATALOGUE for family in _headings(entry))
    for family in families:
        own = [entry for entry in CATALOGUE if family in _headings(entry)]
        words = (
            f"{FAMILY_WORDS['their_activity']}, {FAMILY_WORDS['our_activity']}, or else {FAMILY_WORDS['activity']}"
            if family == "by_direction"
            else FAMILY_WORDS[family]
        )
        yield f"## {words[0].upper()}{words[1:]}\n"
        yield "| feature | says | unit | for | from | known | needs |\n|---|---|---|---|---|---|---|"
        yield "\n".join(_line(entry, family) for entry in own) + "\n"


def _headings(entry: Entry) -> dict[str, list[Question]]:
    """Return under which family an entry stands for which questions."""
    found: dict[str, list[Question]] = {}
    for question in entry.questions:
        found.setdefault(entry.family_of(question), []).append(question)
    return found


def _line(entry: Entry, family: str) -> str:
    days = f" ({_SPANS[entry.spans]})" if "{days}" in entry.name else ""
    needs = "; ".join(_NEEDS[need] for need in entry.needs)
    cells = (
        f"`{entry.name}`",
        f"{entry.words}{days}",
        entry.unit,
        ", ".join(_headings(entry)[family]),
        entry.source,
        entry.known,
        needs,
    )
    return f"| {' | '.join(cells)} |"
