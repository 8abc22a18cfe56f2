"""Draft a mapping from the headers and values of exported files; what cannot be known is left to the user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from features.hubspot_properties import LEAKS, hubspot_class
from features.protected import protected_reason
from features.sources.csv_export.labels import OBJECT_TYPES, name_of, property_of
from features.sources.csv_export.mapping import KEYS, STAGE, Exported
from features.sources.csv_export.stages import DraftedStage, drafted_stages, is_other_date, stage_label

TABLES: Final[tuple[Exported, ...]] = ("contacts", "deals", "companies")
_CONTRACT: Final[Mapping[Exported, Mapping[str, str]]] = {
    "contacts": {
        "email": "email",
        "hubspot_owner_id": "owner_id",
        "hs_analytics_source": "source",
        "hs_merged_object_ids": "merged_ids",
    },
    "companies": {},
    "deals": {
        "dealname": "name",
        "pipeline": "pipeline",
        "dealstage": STAGE,
        "amount": "amount",
        "deal_currency_code": "currency",
        "closedate": "expected_close_at",
        "hubspot_owner_id": "owner_id",
    },
}
# Unlike all others, these labels are English whatever the language of the export.
_LINK: Final = re.compile(r"Associated (Contact|Company|Deal) IDs(?: \(Primary\))?")
_LINKED: Final[Mapping[str, Exported]] = {"Contact": "contacts", "Company": "companies", "Deal": "deals"}
_AFTERWARDS: Final = "written after the outcome"
_HINTS: Final[Mapping[Exported, re.Pattern[str]]] = {
    "contacts": re.compile("contact|kontakt", re.IGNORECASE),
    "companies": re.compile("compan|empresa|unternehmen|firm", re.IGNORECASE),
    "deals": re.compile("deal|negocio", re.IGNORECASE),
}


@dataclass
class DraftedFile:
    """What a file seems to be; ``left_out`` are labels with the reason why they are not used."""

    name: str
    table: Exported
    columns: dict[str, str] = field(default_factory=dict)
    links: dict[Exported, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """A drafted mapping, and what only the user can say."""

    files: tuple[DraftedFile, ...]
    stages: tuple[DraftedStage, ...]
    questions: tuple[str, ...]


def draft_mapping(files: Mapping[str, pa.Table]) -> Draft:
    """Draft a mapping of files, given by name with their columns as text."""
    drafted = tuple(_drafted(name, columns.column_names) for name, columns in files.items())
    stages = tuple(
        stage for one in drafted if one.table == "deals" for stage in drafted_stages(files[one.name], one.columns)
    )
    return Draft(files=drafted, stages=stages, questions=tuple(_questions(drafted, stages)))


def _drafted(name: str, labels: Sequence[str]) -> DraftedFile:
    one = DraftedFile(name, _table_of(name, labels))
    known = {"hs_object_id": KEYS[one.table], "createdate": "created_at", **_CONTRACT[one.table]}
    for label in labels:
        link, internal = _LINK.fullmatch(label), property_of(label, one.table)
        if link is not None:
            _add_link(one, _LINKED[link[1]], label)
        elif is_other_date(label):
            one.left_out[label] = "not needed"
        elif stage_label(label) is not None:
            # Those of deals are told with the stages; others are those of a contact's life cycle.
            if one.table != "deals":
                one.left_out[label] = _AFTERWARDS
        elif internal in known and known[internal] not in one.columns:
            one.columns[known[internal]] = label
        elif (reason := _reason(one.table, internal, label)) is not None:
            one.left_out[label] = reason
        else:
            one.properties[_free(internal or name_of(label), one)] = label
    return one


def _add_link(one: DraftedFile, to: Exported, label: str) -> None:
    if to == "companies" and one.table != "companies":
        # An object may have several companies, and one that is the first.
        if "company_id" not in one.columns or label.endswith("(Primary)"):
            one.columns["company_id"] = label
    elif {to, one.table} == {"contacts", "deals"}:
        one.links[to] = label
    else:
        one.left_out[label] = "not needed"


def _reason(table: Exported, internal: str | None, label: str) -> str | None:
    known = None if internal is None else hubspot_class(object_type=OBJECT_TYPES[table], name=internal)
    if known in LEAKS:
        return _AFTERWARDS
    if known == "personal_or_id" or protected_reason(internal or label) or protected_reason(label):
        return "personal or protected"
    return None


def _free(name: str, one: DraftedFile) -> str:
    taken = {*one.columns, *one.properties}
    numbered = (name if number == 1 else f"{name}_{number}" for number in range(1, len(taken) + 2))
    return next(free for free in numbered if free not in taken)


def _table_of(name: str, labels: Sequence[str]) -> Exported:
    """Return the table whose labels a file has most of; its name decides between equals."""
    return max(
        TABLES,
        key=lambda table: (
            sum(property_of(label, table) is not None for label in labels),
            _HINTS[table].search(Path(name).stem) is not None,
        ),
    )


def _questions(files: Sequence[DraftedFile], stages: Sequence[DraftedStage]) -> Iterator[str]:
    yield "time_zone: which zone are the times of the files in?"
    for one in files:
        wanted = [(KEYS[one.table], "the ids (Record ID)"), ("created_at", "the creation date (Create Date)")]
        if one.table == "deals":
            wanted.append((STAGE, "the stage (Deal Stage)"))
        for column, words in wanted:
            if column not in one.columns:
                yield f"{one.name}: no column was recognised as {words}; name it, or export the file with it"
    unclear = [stage.stage for stage in stages if not stage.outcome]
    if unclear:
        yield f"stages: which of these mean open, won or lost? {', '.join(unclear)}"
    undated = [stage.stage for stage in stages if not stage.entered]
    if undated:
        yield f"stages: no column tells when deals entered {', '.join(undated)}; export 'Date entered ...' of each"
    if not any(one.table == "contacts" for one in files):
        yield "no file of contacts was given: contacts are not scored"
    if not any(one.table == "deals" for one in files):
        yield "no file of deals was given: nothing tells which contacts were won"
