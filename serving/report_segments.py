"""The report's tables by source, country, industry or what else was named: today's list beside the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serving.report_language import Language
from serving.report_numbers import finite, inert

Row = Mapping[str, Any]

MOST_VALUES: Final = 14
_KNOWN: Final = {"missing": "missing_value", "other": "other_value"}


@dataclass(frozen=True)
class SegmentLine:
    """One value of a column: how many today and their average, and in the test what came and what had been said."""

    value: str
    today: int | None
    mean: float | None
    tested: int
    observed: float | None
    low: float | None
    high: float | None
    said: float | None
    chance: float | None
    judgement: str
    is_off: bool


@dataclass(frozen=True)
class SegmentTable:
    """All values of one column, the most frequent first, and what they come to."""

    column: str
    lines: tuple[SegmentLine, ...]
    said: str


def segment_tables(
    lang: Language, evaluation: Row, *, scorer: str, today: Mapping[str, Sequence[Row]]
) -> tuple[SegmentTable, ...]:
    """Return a table for each configured column that the test was broken down by."""
    tables = []
    for column in (evaluation.get("by") or {}).get("columns", ()):
        counts = {str(each["value"]): each for each in today.get(column, ())}
        parts = [each for each in evaluation.get("segments", ()) if each["segment"] == column]
        lines = [_line(lang, each, scorer=scorer, today=counts.get(str(each["value"]))) for each in parts]
        if lines:
            ordered = sorted(lines, key=lambda line: -line.tested)[:MOST_VALUES]
            tables.append(
                SegmentTable(column=inert(column, longest=60), lines=tuple(ordered), said=_said(lang, column, ordered))
            )
    return tuple(tables)


def absent_sentence(lang: Language, evaluation: Row) -> str:
    """Name the configured columns that the data do not have."""
    absent = [lang.quoted(inert(name, longest=60)) for name in (evaluation.get("by") or {}).get("absent", ())]
    return lang.say("groups_absent", list=", ".join(absent)) if absent else ""


def _line(lang: Language, each: Row, *, scorer: str, today: Row | None) -> SegmentLine:
    said, chance = each["predicted"].get(scorer), each["chance"].get(scorer)
    observed = each["observed"]
    gap = said - observed if finite(said) and finite(observed) else None
    off = gap is not None and finite(chance) and abs(gap) > chance
    key = "fits_group" if not off else "too_high" if gap is not None and gap > 0 else "too_low"
    value = str(each["value"])
    return SegmentLine(
        value=lang.texts[_KNOWN[value]] if value in _KNOWN else inert(lang.phrase(value), longest=60),
        today=None if today is None else int(today["rows"]),
        mean=None if today is None else today["mean"],
        tested=int(each["objects"]),
        observed=observed,
        low=each["low"],
        high=each["high"],
        said=said,
        chance=chance,
        judgement=lang.texts[key] if finite(said) and finite(chance) else lang.say("unknown"),
        is_off=bool(off),
    )


def _said(lang: Language, column: str, lines: Sequence[SegmentLine]) -> str:
    off = [f"{lang.quoted(line.value)} ({line.judgement})" for line in lines if line.is_off]
    name = inert(column, longest=60)
    return lang.say("groups_off", column=name, list=", ".join(off)) if off else lang.say("groups_hold", column=name)
