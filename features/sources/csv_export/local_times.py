"""Times without a zone, as an export writes them, to instants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from features.sources.hubspot.instants import iso


@dataclass(frozen=True)
class LocalTimes:
    """Instants as text, None where there was none; ``bad`` are the places of text that is no time."""

    instants: list[str | None]
    bad: list[int]


def read_local_times(texts: Sequence[str | None], *, zone: ZoneInfo, time_format: str = "") -> LocalTimes:
    """Read times of a zone's clocks; one that they show twice, or skip, is the later of the two that it may be.

    >>> read_local_times(["2026-07-01 14:05", "2026-10-25 02:30", "soon"], zone=ZoneInfo("Europe/Berlin"))
    LocalTimes(instants=['2026-07-01T12:05:00.000Z', '2026-10-25T01:30:00.000Z', None], bad=[2])
    """
    known: dict[str, str | None] = {}
    for text in texts:
        if text is not None and text not in known:
            known[text] = _instant(text.strip(), zone, time_format)
    instants = [None if text is None else known[text] for text in texts]
    bad = [place for place, text in enumerate(texts) if text is not None and known[text] is None and text.strip()]
    return LocalTimes(instants, bad)


def _instant(text: str, zone: ZoneInfo, time_format: str) -> str | None:
    if not text:
        return None
    try:
        moment = datetime.strptime(text, time_format) if time_format else datetime.fromisoformat(text)  # noqa: DTZ007
        if moment.tzinfo is None:
            moment = max(moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return iso(moment)
    except (ValueError, OverflowError):
        return None
