"""What the report says of the data's quality: columns used against the evidence, proxies, and drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serving.report_language import Language
from serving.report_numbers import inert

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


def quality(lang: Language, *, evaluation: Row, drift: Row | None) -> Quality:
    """Pick from the audit and the drift what a reader must know."""
    audit: Row = evaluation.get("audit") or {}
    found = drift or {}
    moved = [each for each in found.get("features", ()) if each["level"] != "none"]
    return Quality(
        warnings=(*_warnings(lang, audit.get("columns", ())), *_proxies(lang, audit.get("proxies", ()))),
        drifted=tuple(moved[:MOST_DRIFTED]),
        more=max(0, int(found.get("some", 0)) + int(found.get("large", 0)) - MOST_DRIFTED),
        compared=bool(found.get("features")),
    )


def _warnings(lang: Language, columns: Sequence[Row]) -> list[str]:
    return [
        lang.say("vouched_wrongly", column=inert(each["property"], longest=80), evidence="; ".join(each["evidence"]))
        for each in columns
        if each["use"] == "warned"
    ]


def _proxies(lang: Language, proxies: Sequence[Row]) -> list[str]:
    best: dict[tuple[str, str], Row] = {}
    for each in proxies:
        best.setdefault((each["feature"], each["attribute"]), each)
    told = [
        lang.say(
            "proxy",
            feature=inert(each["feature"], longest=80),
            attribute=each["attribute"],
            column=inert(each["column"], longest=80),
            value=inert(each["value"], longest=80),
            auc=lang.numbers.number(each["auc"], 2),
        )
        for each in best.values()
    ]
    more = len(told) - MOST_PROXIES
    return [*told[:MOST_PROXIES], *([lang.say("more_proxies", more=more)] if more > 0 else [])]
