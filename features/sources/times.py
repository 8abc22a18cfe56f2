"""ISO 8601 text to instants in UTC, and which values were no such instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

INSTANT: Final = pa.timestamp("us", tz="UTC")

_CLOCK: Final = r"([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d(\.\d{1,9})?)?)?"
_ZONE: Final = r"(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"
_ZONED: Final = rf"^\d{{4}}-\d\d-\d\d[T ]{_CLOCK}{_ZONE}$"
_NAIVE: Final = rf"^\d{{4}}-\d\d-\d\d([T ]{_CLOCK})?$"


@dataclass(frozen=True)
class ParsedTimes:
    """Instants, null where the text was ``naive`` (a time without a zone) or ``bad`` (no time at all)."""

    instants: pa.ChunkedArray
    naive: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]


def parse_times(text: pa.ChunkedArray) -> ParsedTimes:
    """Read ISO 8601 text with a zone; digits finer than a microsecond are cut off."""
    try:
        instants = pc.cast(text, INSTANT)
    except pa.ArrowInvalid:
        return _parse_each(text)
    nowhere = np.zeros(len(text), dtype=np.bool_)
    return ParsedTimes(instants=instants, naive=nowhere, bad=nowhere)


def _parse_each(text: pa.ChunkedArray) -> ParsedTimes:
    trimmed = pc.utf8_upper(pc.utf8_trim_whitespace(text))
    real_day = _names_a_real_day(trimmed)
    zoned = pc.and_(pc.match_substring_regex(trimmed, _ZONED), real_day)
    naive = pc.and_(pc.match_substring_regex(trimmed, _NAIVE), real_day)
    missing = pc.is_null(trimmed)
    bad = pc.invert(pc.or_(pc.or_(pc.fill_null(zoned, False), pc.fill_null(naive, False)), missing))
    readable = pc.if_else(zoned, trimmed, pa.scalar(None, trimmed.type))
    cut = pc.replace_substring_regex(readable, r"(\.\d{6})\d+", r"\1")
    return ParsedTimes(instants=pc.cast(cut, INSTANT), naive=to_mask(naive), bad=to_mask(bad))


def to_mask(flags: Any) -> npt.NDArray[np.bool_]:
    """Return Arrow booleans as a writable numpy mask; null counts as false."""
    return (
        np.array(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
        if len(flags)
        else (np.zeros(0, dtype=np.bool_))
    )


def _names_a_real_day(text: pa.ChunkedArray) -> Any:
    days = pc.utf8_slice_codeunits(text, 0, 10)
    real = [day for day in pc.unique(days).to_pylist() if day is not None and _is_day(day)]
    return pc.is_in(days, value_set=pa.array(real, type=days.type))


def _is_day(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True
