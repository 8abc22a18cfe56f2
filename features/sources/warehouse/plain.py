"""A schema that holds the CRM tables themselves."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from features.contracts import CONTRACTS, empty_frame
from features.findings import Finding
from features.sources.casting import typed_table
from features.sources.hubspot.columns import Columns
from features.sources.warehouse.database import Database
from features.sources.warehouse.tables import Tables
from features.sources.warehouse.values import text_of
from features.tables import TABLE_NAMES, CrmTables


def read_plain(database: Database, *, prefix: str, schema: str) -> tuple[CrmTables, list[Finding]]:
    """Return the CRM tables that a schema holds; a time without a zone is a finding, as it is in a file."""
    tables = Tables(database, prefix)
    frames: dict[str, pd.DataFrame] = {}
    findings: list[Finding] = []
    absent = []
    for name in TABLE_NAMES:
        relations = tables.all([name])
        if not relations:
            absent.append(name)
            frames[name] = empty_frame(name)
            continue
        relation = relations[0]
        # Only text is handed on: the contract says what it must be.
        known = {relation.find(column): column for column in CONTRACTS[name].names}
        columns = Columns([known.get(column, column) for column in relation.columns])
        for row in tables.rows(relation, *relation.columns):
            columns.add(*map(_stated, row))
        typed = typed_table(table=name, raw=columns.table(), origin=f"table {relation.name}")
        frames[name] = typed.frame
        findings += typed.findings
    if {"contacts", "deals"} <= set(absent):
        found = ", ".join(tables.names[:8]) or "no table"
        message = (
            f"{schema} must hold contacts or deals; found {found}; correct source.schema, source.table_prefix or "
            "source.landing"
        )
        findings.append(Finding("error", "missing-table", "contacts", message))
    elif "deals" not in absent:
        findings += [
            Finding("error", "missing-table", name, f"{name} must be there because deals is; add it to {schema}")
            for name in ("deal_stage_history", "stages")
            if name in absent
        ]
    return CrmTables(frames=frames, absent=tuple(absent)), findings


def _stated(value: object) -> str | None:
    # Unlike the loaders' times, those of a table that somebody made need not be in UTC.
    return value.isoformat() if isinstance(value, datetime) else text_of(value)
