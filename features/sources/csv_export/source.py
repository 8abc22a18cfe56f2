"""The files of an export as a source: their columns as the mapping names them, their times as instants."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.contracts import CONTRACTS, empty_frame, quoted, validate
from features.findings import Finding
from features.sources.casting import typed_table
from features.sources.csv_export.local_times import read_local_times
from features.sources.csv_export.mapping import KEYS, STAGE, Exported, ExportMapping, FileMapping, StageMapping
from features.sources.hubspot.columns import Columns
from features.sources.reading import RawTable, read_file
from features.tables import TABLE_NAMES, CrmTables

CREATED: Final = "created_at"
_HELP: Final = (
    "when you export, choose all properties on records, or add {wanted} to the view; or connect HubSpot itself "
    "(docs/hubspot.md), which has the whole history"
)

Texts = list[str | None]


@dataclass(frozen=True)
class CsvExportSource:
    """Files in a folder, and what their columns mean."""

    mapping: ExportMapping
    folder: Path

    def read(self) -> tuple[CrmTables, list[Finding]]:
        """Return all tables that the files give, and what was found wrong with them."""
        return _Reading(self.mapping, self.folder).run()


@dataclass
class _Reading:
    mapping: ExportMapping
    folder: Path
    findings: list[Finding] = field(default_factory=list)
    frames: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    owners: dict[str, str] = field(default_factory=dict)
    has_links: bool = False

    def run(self) -> tuple[CrmTables, list[Finding]]:
        raw = {name: read_file(path=self.folder / name, table=one.table) for name, one in self.mapping.files.items()}
        history = Columns(["deal_id", "stage", "entered_at"])
        for name, one in self.mapping.files.items():
            self.findings += raw[name].findings
            if raw[name].columns is not None and self._is_complete(name, one, raw[name]):
                self._read(name, one, raw[name], history)
        if "deals" in self.frames:
            self._add("deal_stage_history", history.table())
            self._add("stages", self._stages())
        if self.has_links:
            self._add("deal_contacts", self._links())
        if self.owners:
            owners = Columns(["owner_id", "name"])
            for number, name in sorted(self.owners.items()):
                owners.add(number, name)
            self._add("owners", owners.table())
        return self._tables(), self.findings

    def _tables(self) -> CrmTables:
        frames: dict[str, pd.DataFrame] = {}
        for table in TABLE_NAMES:
            parts = self.frames.get(table, [])
            frames[table] = pd.concat(parts, ignore_index=True) if parts else empty_frame(table)
            if len(parts) > 1:
                self.findings += validate(table, frames[table])
        return CrmTables(frames=frames, absent=tuple(name for name in TABLE_NAMES if name not in self.frames))

    def _is_complete(self, name: str, one: FileMapping, raw: RawTable) -> bool:
        """Say whether a file has all that is needed, and find what it lacks."""
        assert raw.columns is not None
        before = len(self.findings)
        there = set(raw.columns.column_names)
        if CREATED not in one.columns:
            words = f"{name}: the mapping names no column with the creation date, and nothing can be learnt without it"
            self._error("no-creation-date", one.table, words, _HELP.format(wanted="Create Date"))
        if one.table == "deals":
            self._check_stages(name, one)
        used = [*one.columns.values(), *one.links.values(), *one.properties.values()]
        used += [stage.entered for stage in self.mapping.stages if one.table == "deals" and stage.entered]
        absent = [label for label in dict.fromkeys(used) if label not in there]
        if absent:
            words = f"{name} has no column {', '.join(map(repr, absent[:5]))}; found {', '.join(sorted(there)[:12])}"
            self._error("missing-column", one.table, words, "correct the mapping, or export the file with it")
        return len(self.findings) == before

    def _check_stages(self, name: str, one: FileMapping) -> None:
        if STAGE not in one.columns:
            words = f"{name}: the mapping names no column with the stage of a deal"
            self._error("missing-column", "deals", words, _HELP.format(wanted="Deal Stage"))
        undated = [stage.stage for stage in self.mapping.stages if not stage.entered]
        if undated or not self.mapping.stages:
            which = f"the stages {', '.join(map(repr, undated[:5]))}" if undated else "any stage"
            words = (
                f"{name}: nothing tells when deals entered {which}. A file shows each deal as it is today; without "
                "these dates a model would learn from what was written after the outcome, so none is trained"
            )
            self._error(
                "no-stage-dates", "deal_stage_history", words, _HELP.format(wanted="Date entered ... of each stage")
            )
        pipelines = {stage.pipeline for stage in self.mapping.stages}
        if "pipeline" not in one.columns and len(pipelines) > 1:
            words = f"{name}: stages of {len(pipelines)} pipelines are mapped, but no column names a deal's pipeline"
            self._error("missing-column", "deals", words, _HELP.format(wanted="Pipeline"))

    def _read(self, name: str, one: FileMapping, raw: RawTable, history: Columns) -> None:
        assert raw.columns is not None
        before = len(self.findings)
        labels = {**one.columns, **{key: label for key, label in one.properties.items() if key not in one.columns}}
        given: dict[str, Texts] = {key: _texts(raw, label) for key, label in labels.items()}
        entered: dict[str, Texts] = {}
        if one.table == "deals":
            entered = {stage.entered: self._times(name, "deals", stage.entered, raw) for stage in self.mapping.stages}
        for column in CONTRACTS[one.table].columns:
            if column.kind == "time" and column.name in given:
                given[column.name] = self._times(name, one.table, labels[column.name], raw)
        if len(self.findings) > before:
            # What a clock could not read would be told a second time as missing.
            return
        if "owner_id" in given:
            given["owner_id"] = [self._owner(text) for text in given["owner_id"]]
        if "company_id" in given:
            given["company_id"] = [next(iter(_ids(text)), None) for text in given["company_id"]]
        kept = [True] * raw.columns.num_rows
        if one.table == "deals":
            kept = self._deals(name, given, entered, history)
        self._link(one, given[KEYS[one.table]], {to: _texts(raw, label) for to, label in one.links.items()}, kept)
        given.pop(STAGE, None)
        table = pa.table({key: pa.array(texts, pa.large_string()) for key, texts in given.items()}).filter(
            pa.array(kept)
        )
        self._add(one.table, table, origin=name, row_numbers=raw.row_numbers[kept])

    def _times(self, name: str, table: str, label: str, raw: RawTable) -> Texts:
        texts = _texts(raw, label)
        read = read_local_times(texts, zone=ZoneInfo(self.mapping.time_zone), time_format=self.mapping.time_format)
        if read.bad:
            shown = [f"row {raw.row_numbers[place]}: {quoted(label, texts[place])}" for place in read.bad[:3]]
            wanted = self.mapping.time_format or "2026-01-31 14:05"
            words = (
                f"{name}, column {label!r}: no time in {len(read.bad)} row(s) ({'; '.join(shown)}); expected {wanted}"
            )
            remedy = "set time_format in the mapping, such as '%d.%m.%Y %H:%M' for 31.01.2026 14:05"
            self._error("bad-time", table, words, remedy, count=len(read.bad), examples=shown)
        return read.instants

    def _deals(self, name: str, given: dict[str, Texts], entered: dict[str, Texts], history: Columns) -> list[bool]:
        """Add the stages that deals entered; say which deals can be kept."""
        stages = self.mapping.stages
        if "pipeline" not in given:
            given["pipeline"] = [stages[0].pipeline] * len(given["deal_id"])
        by_pipeline: dict[str, list[StageMapping]] = {}
        for stage in stages:
            by_pipeline.setdefault(stage.pipeline, []).append(stage)
        kept, elsewhere, undated = [], 0, 0
        for place, (deal, pipeline, label) in enumerate(
            zip(given["deal_id"], given["pipeline"], given[STAGE], strict=True)
        ):
            own = by_pipeline.get(pipeline or "", [])
            dates = [(one, moment) for one in own if (moment := entered[one.entered][place]) is not None]
            present = next((one for one in own if label in (one.stage, f"{one.stage} ({one.pipeline})")), None)
            is_kept = present is not None and any(one is present for one, _ in dates)
            elsewhere += present is None
            undated += present is not None and not is_kept
            kept.append(is_kept)
            if is_kept:
                for one, moment in dates:
                    history.add(deal, one.stage, moment)
        if elsewhere:
            words = f"{name}: {elsewhere} deal(s) in pipelines or stages that the mapping does not name are left out"
            self.findings.append(Finding("warning", "deal-elsewhere", "deals", words, count=elsewhere))
        if undated:
            words = (
                f"{name}: {undated} deal(s) have no date of the stage they are in, so it is not known when they came "
                "to it; they are left out"
            )
            self.findings.append(Finding("warning", "undated-stage", "deals", words, count=undated))
        return kept

    def _link(self, one: FileMapping, keys: Texts, links: dict[str, Texts], kept: Sequence[bool]) -> None:
        wanted = {"contacts": "deals", "deals": "contacts"}.get(one.table)
        if wanted not in links:
            return
        self.has_links = True
        for key, text, is_kept in zip(keys, links[wanted], kept, strict=True):
            for other in _ids(text):
                if key is not None and is_kept:
                    self.pairs.add((key, other) if one.table == "deals" else (other, key))

    def _links(self) -> pa.Table:
        """Return the links between deals and contacts that were both kept."""
        columns = Columns(["deal_id", "contact_id"])
        deals, contacts = self._ids_of("deals"), self._ids_of("contacts")
        for deal, contact in sorted(self.pairs):
            if (deals is None or deal in deals) and (contacts is None or contact in contacts):
                columns.add(deal, contact)
        return columns.table()

    def _ids_of(self, table: Exported) -> set[str] | None:
        parts = self.frames.get(table)
        return None if parts is None else {one for part in parts for one in part[KEYS[table]]}

    def _owner(self, name: str | None) -> str | None:
        """Return an id for an owner; a name, which an export has in its place, is personal."""
        if name is None or name.isdigit():
            return name
        number = f"owner-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        self.owners[number] = name
        return number

    def _stages(self) -> pa.Table:
        columns = Columns(["pipeline", "stage", "label", "position", "outcome", "probability"])
        places: dict[str, int] = {}
        for stage in self.mapping.stages:
            place = places[stage.pipeline] = places.get(stage.pipeline, 0) + 1
            probability = None if stage.probability is None else str(stage.probability)
            columns.add(stage.pipeline, stage.stage, stage.stage, str(place), stage.outcome, probability)
        return columns.table()

    def _add(
        self,
        table: str,
        raw: pa.Table,
        *,
        origin: str | None = None,
        row_numbers: npt.NDArray[np.int64] | None = None,
    ) -> None:
        typed = typed_table(table=table, raw=raw, origin=origin or f"export, {table}", row_numbers=row_numbers)
        self.frames.setdefault(table, []).append(typed.frame)
        self.findings += typed.findings

    def _error(
        self, code: str, table: str, words: str, remedy: str, *, count: int = 1, examples: Sequence[str] = ()
    ) -> None:
        self.findings.append(Finding("error", code, table, f"{words}; {remedy}", count=count, examples=tuple(examples)))


def _texts(raw: RawTable, label: str) -> Texts:
    assert raw.columns is not None
    texts: Texts = raw.columns.column(label).to_pylist()
    return texts


def _ids(text: str | None) -> Iterator[str]:
    return (one.strip() for one in (text or "").split(";") if one.strip())
