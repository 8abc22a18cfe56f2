"""Erasing one contact: from the score store, from all that lies in the home, with a record that proves it."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from features.errors import LeadScoringError
from features.sources.hubspot.landing import Landing
from features.sources.hubspot.source import landing_file
from features.survivors import MERGED_IDS
from flows.extracting import forget_extracts
from flows.lease import home_lock
from flows.places import require_home, store_of
from flows.reporting import write_batch_report
from serving.bulk_exports import forget_exports
from serving.erasure import erase_scores, merged_into
from serving.writeback.ledger import LEDGER_FILE, Ledger

RECORD: Final = "erasures.jsonl"
_QUESTION: Final = "contacts"


@dataclass(frozen=True)
class Erased:
    """What was removed of one contact: rows of scores, reports written anew or removed, and copies of tables."""

    contact_sha256: str
    at: str
    merged: int
    score_rows: int
    summaries: int
    writes: int
    exports: int
    reports: int
    extracts: int
    landed: int
    prefect: bool

    @property
    def nothing(self) -> bool:
        """Say whether there was nothing to remove but tables that the next run reads again."""
        return not (self.score_rows or self.summaries or self.writes or self.reports or self.landed or self.merged)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return asdict(self)


def erase_contact(home: Path, contact_id: str, *, at: datetime) -> Erased:
    """Erase a contact, and those that were merged into it; safe to repeat after a crash.

    What can be made again is removed whole and not searched: exports of contacts, the tables as they were read, the
    warehouse of activities. The next run reads them from the source, so the CRM must have erased the contact too.
    """
    require_home(home)
    with home_lock(home):
        with closing(store_of(home)) as store:
            ids = [contact_id, *sorted({*_merged_into(home, contact_id), *merged_into(store, contact_id)})]
            scores = erase_scores(store, ids)
        writes = 0
        if (home / LEDGER_FILE).exists():
            with closing(Ledger(home)) as ledger:
                writes = ledger.erase(_QUESTION, ids)
        exports = forget_exports(home / "exports", question=_QUESTION)
        reports = _rewrite_reports(home, ids)
        prefect = _forget_prefect(home, ids)
        landed = _erase_landed(home, ids)
        shutil.rmtree(home / "work", ignore_errors=True)
        extracts = forget_extracts(home / "warehouse", contacts=ids)
        done = Erased(
            contact_sha256=hashlib.sha256(contact_id.encode()).hexdigest(),
            at=at.isoformat(timespec="seconds"),
            merged=len(ids) - 1,
            score_rows=scores.rows,
            summaries=scores.summaries,
            writes=writes,
            exports=exports,
            reports=reports,
            extracts=extracts,
            landed=landed,
            prefect=prefect,
        )
        _record(home / RECORD, done)
    return done


def _merged_into(home: Path, contact_id: str) -> set[str]:
    """Return the contacts that tables of earlier runs say were merged into this one."""
    found: set[str] = set()
    for file in (home / "warehouse").glob("*/contacts.parquet"):
        told = pd.read_parquet(file, columns=["contact_id", MERGED_IDS])
        for losers in told.loc[told["contact_id"] == contact_id, MERGED_IDS].dropna():
            found |= {one.strip() for one in losers.split(";")} - {"", contact_id}
    return found


def _rewrite_reports(home: Path, ids: Sequence[str]) -> int:
    """Write every report that names the contact again from what is left, or remove it where it cannot be."""
    named = [file for file in (home / "reports").glob("*.html") if _names(file, ids)]
    copies = [file for file in (home / "registry").rglob("*.html") if _names(file, ids)]
    fresh: dict[str, bytes] = {}
    for name in {file.name for file in (*named, *copies)}:
        file = home / "reports" / name
        with suppress(LeadScoringError):
            fresh[name] = write_batch_report(home=home, batch_id=Path(name).stem, out=file).read_bytes()
    for file in (*named, *copies):
        if file.name not in fresh:
            file.unlink()
        elif file in copies:
            file.write_bytes(fresh[file.name])
    return len(named) + len(copies)


def _names(file: Path, ids: Sequence[str]) -> bool:
    page = file.read_text(encoding="utf-8", errors="replace")
    return any(re.search(rf"(?<!\w){re.escape(html.escape(one))}(?!\w)", page) for one in ids)


def _forget_prefect(home: Path, ids: Sequence[str]) -> bool:
    """Remove Prefect's memory of earlier runs if it names the contact, as findings of tables may."""
    folder = home / "prefect"
    held = any(one.encode() in file.read_bytes() for file in folder.rglob("*") if file.is_file() for one in ids)
    if held:
        shutil.rmtree(folder)
    return held


def _erase_landed(home: Path, ids: Sequence[str]) -> int:
    numbers = [int(one) for one in ids if one.isdecimal()]
    file = landing_file(home)
    if not numbers or not file.exists():
        return 0
    with closing(Landing(file)) as landing, landing.page():
        known = len(landing.known(_QUESTION, numbers))
        landing.erase(_QUESTION, numbers)
    return known


def _record(file: Path, done: Erased) -> None:
    """Add a line, and see to it that it is on the disk: it is what proves the erasure."""
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(done.to_dict()) + "\n")
        log.flush()
        os.fsync(log.fileno())
