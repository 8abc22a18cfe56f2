"""CRM tables from a folder of CSV and Parquet files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import pandas as pd

from features.contracts import empty_frame
from features.errors import LeadScoringError
from features.findings import Finding, merged
from features.parts import Part
from features.sources.casting import typed_table
from features.sources.reading import read_batches, read_file
from features.tables import TABLE_NAMES, CrmTables

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
_PARTED: Final = "activities"
_BATCH_ROWS: Final = 500_000


class MissingFolderError(LeadScoringError):
    """The folder of CRM tables is not there, or is no folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"the CRM tables must lie in a folder; found {'a file' if path.exists() else 'nothing'} at '{path}'; "
            "set source.path in the configuration, or --data, to the folder that holds contacts.csv or deals.csv"
        )


@dataclass(frozen=True)
class FolderSource:
    """A folder with one file per table: ``<table>.csv``, ``<table>.csv.gz`` or ``<table>.parquet``.

    The activities may also lie in a folder of such files, ``activities/``: what is new comes as a further file.
    """

    path: Path

    def read(self) -> tuple[CrmTables, list[Finding]]:
        """Return all tables and what was found wrong; raise ``MissingFolderError`` if there is no folder."""
        tables, findings = self.read_without_activities()
        batches = [batch for part in self.activity_parts() for batch in part.read()]
        findings += merged([finding for _, found in batches for finding in found])
        return tables.with_activities(_one_frame([frame for frame, _ in batches])), findings

    def read_without_activities(self) -> tuple[CrmTables, list[Finding]]:
        """Return all tables but the activities; raise ``MissingFolderError`` if there is no folder."""
        if not self.path.is_dir():
            raise MissingFolderError(self.path)
        files = {name: self._files_of(name) for name in TABLE_NAMES}
        findings = _missing_tables({name for name, paths in files.items() if paths}, self._data_files())
        findings += self._unknown_files({path.name for paths in files.values() for path in paths})
        frames: dict[str, pd.DataFrame] = {}
        for name, paths in files.items():
            if name == _PARTED:
                frames[name] = empty_frame(name)
                findings += _several_places(paths)
            else:
                frames[name], found = _read_table(name, paths)
                findings += found
        return CrmTables(frames=frames, absent=tuple(name for name in TABLE_NAMES if not files[name])), findings

    def activity_parts(self) -> list[Part]:
        """Return the file of the activities, or the files in the folder of that name, each as a part."""
        places = self._files_of(_PARTED)
        if len(places) != 1:
            return []
        files = _files_in(places[0]) if places[0].is_dir() else places
        return [_part(path) for path in files]

    def _files_of(self, table: str) -> list[Path]:
        found = [path for suffix in SUFFIXES if (path := self.path / f"{table}{suffix}").exists()]
        folder = self.path / table
        return [*found, folder] if table == _PARTED and folder.is_dir() else found

    def _data_files(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir() if path.name.endswith(SUFFIXES))

    def _unknown_files(self, known: set[str]) -> list[Finding]:
        findings = []
        for name in self._data_files():
            if name not in known:
                stem = name.split(".")[0]
                near = get_close_matches(stem.lower(), TABLE_NAMES, n=1)
                hint = f"; rename it if it is meant to be {near[0]}" if near else ""
                message = f"{name}: no table has this name, so it is not read{hint}"
                findings.append(Finding("info", "unknown-file", stem, message))
        return findings


def _part(path: Path) -> Part:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Part(name=path.name, digest=digest, read=lambda: _typed_batches(path))


def _typed_batches(path: Path) -> Iterator[tuple[pd.DataFrame, tuple[Finding, ...]]]:
    for raw in read_batches(path=path, table=_PARTED, rows=_BATCH_ROWS):
        if raw.columns is None:
            yield empty_frame(_PARTED), raw.findings
        else:
            typed = typed_table(table=_PARTED, raw=raw.columns, origin=path.name, row_numbers=raw.row_numbers)
            yield typed.frame, (*raw.findings, *typed.findings)


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))


def _one_frame(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    together = pd.concat(filled, ignore_index=True) if filled else empty_frame(_PARTED)
    # As everywhere, of several versions of an activity the last one counts.
    return together.drop_duplicates("activity_id", keep="last", ignore_index=True)


def _several_places(paths: list[Path]) -> list[Finding]:
    if len(paths) < 2:
        return []
    names = " and ".join(path.name for path in paths)
    message = f"{_PARTED}: expected one file or one folder of files, found {names}; keep one and move the other away"
    return [Finding("error", "two-files", _PARTED, message, count=len(paths))]


def _read_table(table: str, paths: list[Path]) -> tuple[pd.DataFrame, list[Finding]]:
    if not paths:
        return empty_frame(table), []
    if len(paths) > 1:
        names = " and ".join(path.name for path in paths)
        message = f"{table}: expected one file, found {names}; keep the newest and move the other away"
        return empty_frame(table), [Finding("error", "two-files", table, message, count=len(paths))]
    raw = read_file(path=paths[0], table=table)
    if raw.columns is None:
        return empty_frame(table), list(raw.findings)
    typed = typed_table(table=table, raw=raw.columns, origin=paths[0].name, row_numbers=raw.row_numbers)
    return typed.frame, [*raw.findings, *typed.findings]


def _missing_tables(delivered: set[str], data_files: list[str]) -> list[Finding]:
    found = f"found {', '.join(data_files[:8]) or 'no data file'}"
    if not delivered & {"contacts", "deals"}:
        message = f"the folder must hold contacts or deals (.csv, .csv.gz or .parquet); {found}; export at least one"
        return [Finding("error", "missing-table", "contacts", message)]
    if "deals" not in delivered:
        return []
    return [
        Finding("error", "missing-table", table, f"{table} must be there because deals is; {found}; export it too")
        for table in ("deal_stage_history", "stages")
        if table not in delivered
    ]
