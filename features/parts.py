"""Parts of the activities: the pieces in which a source delivers what may be too much to read at once, or again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from features.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

Batches: TypeAlias = "Iterable[tuple[pd.DataFrame, Sequence[Finding]]]"


@dataclass(frozen=True)
class Part:
    """A part of the activities: its name, a digest of its content, and how to read its typed frames and findings.

    Of several versions of one activity the one in the last part, by name, counts.
    """

    name: str
    digest: str
    read: Callable[[], Batches]


@dataclass(frozen=True)
class Extension:
    """How many parts and rows were read, how many parts were known, and what was found wrong in any of them."""

    parts_read: int
    parts_known: int
    rows_read: int
    findings: tuple[Finding, ...]


def whole_part(activities: pd.DataFrame) -> Part:
    """Return all activities as one part."""
    from features.tables import frame_digest

    return Part(name="activities", digest=frame_digest("activities", activities).hex(), read=lambda: [(activities, ())])
