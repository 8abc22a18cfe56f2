"""CRM tables from a folder of CSV and Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import pandas as pd

from features.contracts import empty_frame
from features.errors import LeadScoringError
from features.findings import Finding
from features.sources.casting import typed_table
from features.sources.reading import read_file
from features.tables import TABLE_NAMES, CrmTables

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")


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
    """A folder with one file per table: ``<table>.csv``, ``<table>.csv.gz`` or ``<table>.parquet``."""

    path: Path

    def read(self) -> tuple[CrmTables, list[Finding]]:
        """Return all tables and what was found wrong; raise ``MissingFolderError`` if there is no folder."""
        if not self.path.is_dir():
            raise MissingFolderError(self.path)
        files = {name: self._files_of(name) for name in TABLE_NAMES}
        findings = _missing_tables({name for name, paths in files.items() if paths}, self._data_files())
        findings += self._unknown_files({path.name for paths in files.values() for path in paths})
        frames: dict[str, pd.DataFrame] = {}
        for name, paths in files.items():
            frames[name], found = _read_table(name, paths)
            findings += found
        return CrmTables(frames=frames, absent=tuple(name for name in TABLE_NAMES if not files[name])), findings

    def _files_of(self, table: str) -> list[Path]:
        return [path for suffix in SUFFIXES if (path := self.path / f"{table}{suffix}").exists()]

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
