"""Which stages an export shows, what they seem to mean, and which column tells when a deal entered each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from features.sources.csv_export.labels import property_of
from features.sources.csv_export.mapping import STAGE

# 'Date entered "Closed Won (Sales Pipeline)"', in whatever language and quotation marks; but not the other dates and
# spans that HubSpot names in the same way.
_QUOTED: Final = re.compile(r'["“”„«‟»](?P<stage>[^"“”„«‟»]+)["“”„«‟»]')
_OTHERS: Final = re.compile(
    r"exit|time in|cumulative|latest time|salid|salió|tiempo|acumulad|verlass|austritt|zeit in|verbracht|kumul",
    re.IGNORECASE,
)
_WITHIN: Final = re.compile(r"(?P<stage>.+) \((?P<pipeline>[^()]+)\)")
_TRUE: Final = ("true", "yes", "ja", "sí", "si", "1", "wahr", "verdadero")
DEFAULT_PIPELINE: Final = "Sales Pipeline"


@dataclass(frozen=True)
class DraftedStage:
    """A stage; ``outcome`` is empty where the export does not show it, and ``entered`` where no column does."""

    pipeline: str
    stage: str
    outcome: str
    entered: str
    evidence: str


def stage_label(label: str) -> str | None:
    """Return what a column of entry dates says of its stage; None if the column is another.

    >>> stage_label('Date entered "Demo (Sales)"'), stage_label('Date exited "Demo (Sales)"'), stage_label("Demo")
    ('Demo (Sales)', None, None)
    """
    quoted = _QUOTED.search(label)
    return None if quoted is None or _OTHERS.search(label) else quoted["stage"].strip()


def is_other_date(label: str) -> bool:
    """Say whether a column tells when deals left a stage, or how long they were in it.

    >>> is_other_date('Date exited "Demo (Sales)"'), is_other_date('Interest in "Pro"')
    (True, False)
    """
    return _QUOTED.search(label) is not None and _OTHERS.search(label) is not None


def drafted_stages(table: pa.Table, columns: Mapping[str, str]) -> list[DraftedStage]:
    """Draft the stages of the deals in a table: those that deals are in, and those that columns name."""
    rows = table.num_rows
    present = _texts(table, columns.get(STAGE), rows)
    pipelines = _texts(table, columns.get("pipeline"), rows)
    known = sorted({one for one in pipelines if one})
    entered: dict[tuple[str, str], str] = {}
    for label in table.column_names:
        words = stage_label(label)
        if words is not None:
            within = _WITHIN.fullmatch(words)
            stage, pipeline = (within["stage"], within["pipeline"]) if within else (words, "")
            if known and pipeline and pipeline not in known:
                # The brackets belong to the stage's name, or to the lifecycle of contacts.
                stage, pipeline = words, ""
            entered[pipeline or (known[0] if known else DEFAULT_PIPELINE), stage] = label
    default = known[0] if known else next((pipeline for pipeline, _ in entered), DEFAULT_PIPELINE)
    seen: dict[tuple[str, str], list[int]] = {key: [] for key in entered}
    for place, (pipeline, label) in enumerate(zip(pipelines, present, strict=True)):
        if label:
            name = pipeline or default
            seen.setdefault((name, label.removesuffix(f" ({name})")), []).append(place)
    outcomes, order = _Outcomes(table, rows), _order(table, entered)
    stages = []
    for (pipeline, stage), places in seen.items():
        outcome, evidence = outcomes.of(places)
        label = entered.get((pipeline, stage), "")
        stages.append(DraftedStage(pipeline, stage, outcome, label, evidence))
    ends = ("open", "", "won", "lost")
    return sorted(stages, key=lambda one: (one.pipeline, ends.index(one.outcome), order.get(one.entered, 0.0)))


def _order(table: pa.Table, entered: Mapping[tuple[str, str], str]) -> dict[str, float]:
    """Return the mean place that each column of entry dates has among those of the same deal."""
    columns = {label: _texts(table, label, table.num_rows) for label in entered.values()}
    places: dict[str, list[float]] = {label: [] for label in columns}
    for row in range(table.num_rows):
        dated = sorted((text, label) for label, texts in columns.items() if (text := texts[row]))
        for place, (_, label) in enumerate(dated):
            places[label].append(place / len(dated))
    return {label: sum(found) / len(found) for label, found in places.items() if found}


class _Outcomes:
    """What the export says of deals that are closed: never the stage's name, but what HubSpot made of it."""

    def __init__(self, table: pa.Table, rows: int) -> None:
        found = {property_of(label, "deals"): label for label in table.column_names}
        self._won = _texts(table, found.get("hs_is_closed_won"), rows)
        self._lost = _texts(table, found.get("hs_is_closed_lost"), rows)
        self._closed = _texts(table, found.get("hs_is_closed"), rows)
        self._has_won, self._has_lost = "hs_is_closed_won" in found, "hs_is_closed_lost" in found
        self._has_closed = "hs_is_closed" in found
        self._labels = found

    def of(self, places: list[int]) -> tuple[str, str]:
        """Return the outcome of a stage with deals in these places, and what shows it."""
        if not places:
            return "", "no deal is in it"
        if self._has_won and all(_is_true(self._won[place]) for place in places):
            return "won", f"{self._labels['hs_is_closed_won']} is true of all deals in it ({len(places)})"
        if self._has_lost and all(_is_true(self._lost[place]) for place in places):
            return "lost", f"{self._labels['hs_is_closed_lost']} is true of all deals in it ({len(places)})"
        if self._has_closed:
            closed = [_is_true(self._closed[place]) for place in places]
            if not any(closed):
                return "open", f"{self._labels['hs_is_closed']} is true of no deal in it ({len(places)})"
            if all(closed) and self._has_won and not any(_is_true(self._won[place]) for place in places):
                return "lost", f"all deals in it ({len(places)}) are closed, and none is won"
        elif self._has_won and self._has_lost:
            return "open", f"no deal in it ({len(places)}) is won or lost"
        return "", "no column of the export shows it"


def _is_true(text: str | None) -> bool:
    return (text or "").strip().casefold() in _TRUE


def _texts(table: pa.Table, label: str | None, rows: int) -> list[str | None]:
    if label is None or label not in table.column_names:
        return [None] * rows
    texts: list[str | None] = table.column(label).to_pylist()
    return texts
