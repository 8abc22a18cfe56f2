"""What the report says of the data's quality: columns used against the evidence, proxies, and drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serving import report_numbers
from serving import report_words as words

Row = Mapping[str, Any]

MOST_DRIFTED: Final = 6
MOST_PROXIES: Final = 4


@dataclass(frozen=True)
class Quality:
    """Sentences that warn, and the features whose distribution moved most; ``compared`` is False without a past."""

    warnings: tuple[str, ...]
    drifted: tuple[Row, ...]
    more: int
    compared: bool


def quality(*, evaluation: Row, drift: Row | None) -> Quality:
    """Pick from the audit and the drift what a reader must know."""
    audit: Row = evaluation.get("audit") or {}
    found = drift or {}
    moved = [each for each in found.get("features", ()) if each["level"] != "none"]
    return Quality(
        warnings=(*_warnings(audit.get("columns", ())), *_proxies(audit.get("proxies", ()))),
        drifted=tuple(moved[:MOST_DRIFTED]),
        more=max(0, int(found.get("some", 0)) + int(found.get("large", 0)) - MOST_DRIFTED),
        compared=bool(found.get("features")),
    )


def _warnings(columns: Sequence[Row]) -> list[str]:
    return [
        words.TEXTS["vouched_wrongly"].format(
            column=report_numbers.inert(each["property"], longest=80), evidence="; ".join(each["evidence"])
        )
        for each in columns
        if each["use"] == "warned"
    ]


def _proxies(proxies: Sequence[Row]) -> list[str]:
    best: dict[tuple[str, str], Row] = {}
    for each in proxies:
        best.setdefault((each["feature"], each["attribute"]), each)
    told = [
        words.TEXTS["proxy"].format(
            feature=report_numbers.inert(each["feature"], longest=80),
            attribute=each["attribute"],
            column=report_numbers.inert(each["column"], longest=80),
            value=report_numbers.inert(each["value"], longest=80),
            auc=report_numbers.number(each["auc"], 2),
        )
        for each in best.values()
    ]
    more = len(told) - MOST_PROXIES
    return [*told[:MOST_PROXIES], *([words.TEXTS["more_proxies"].format(more=more)] if more > 0 else [])]
