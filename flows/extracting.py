"""What a run works on: what is new in the source is read and checked, and all of it is kept under home."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd
from pydantic import ValidationError

from features.checks import check_tables
from features.contracts import empty_frame
from features.errors import LeadScoringError
from features.findings import Finding, refuse_errors
from features.plausibility import HeldTablesError, Profile, implausible, profile_of
from features.portions import contact_tables, deal_tables, training_tables
from features.properties import TABLE_OF, usable_properties
from features.sources.base import read_in_parts
from features.survivors import follow_merges, survivors_of
from features.tables import TABLE_NAMES, CrmTables
from features.visibility import instant
from features.vouching import vouching_findings
from flows.held import forget_held, keep_held
from flows.machine import is_running
from flows.wiring import ACTIVITIES, Workplace, open_activities
from models.promotion_log import replace_file

if TYPE_CHECKING:
    import pyarrow as pa

    from features.behaviour_plan import BehaviourPlan
    from features.catalogue import Question
    from features.snapshots import SnapshotSettings
    from features.warehouse import ActivityWarehouse

BYTES_OF_AN_ACTIVITY: Final = 250
"""What an activity takes while its features are built, about."""
_CHECKED_AT_ONCE: Final = 500_000
KEPT_EXTRACTS: Final = 2
_ACTIVITIES_DIGEST: Final = "activities.digest"
_PROFILE: Final = "profile.json"
_BEFORE: Final = "before"


class ExtractGoneError(LeadScoringError):
    """The activities of an extract are no longer there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"the activities under {folder.parent} must be those that the extract {folder.name} was made with; "
            "another run has read newer ones since. Run again from the extract on."
        )


@dataclass(frozen=True)
class Extract:
    """Tables as they were read, on disk, with what the checks found."""

    folder: Path
    digest: str
    findings: tuple[Finding, ...]
    memory_bytes: int

    @property
    def small_tables(self) -> CrmTables:
        """Read the tables back without the activities."""
        return _load_small_tables(self.folder)

    def activity_count(self) -> int:
        """Return how many activities there are."""
        with self._warehouse() as warehouse:
            return warehouse.rows()

    def newest_activity(self, *, before: pd.Timestamp) -> pd.Timestamp | None:
        """Return when the last activity became known that was known before an instant, if any."""
        with self._warehouse() as warehouse:
            newest = warehouse.newest(before=instant(before))
        return None if newest is None else pd.Timestamp(newest, unit="us", tz="UTC")

    def contact_tables(self) -> Iterator[tuple[pd.Index, CrmTables]]:
        """Yield partitions of the contacts, each with tables that hold all activities of these contacts.

        All of it is one partition if it fits into memory.
        """
        with self._warehouse() as warehouse:
            yield from contact_tables(self.small_tables, warehouse, at_most=self._at_once)

    def deal_tables(self) -> CrmTables:
        """Return tables with all activities that features of deals rest on."""
        with self._warehouse() as warehouse:
            return deal_tables(self.small_tables, warehouse, at_most=self._at_once)

    def training_tables(self, *, question: Question, settings: SnapshotSettings) -> CrmTables:
        """Return what a training reads, whatever the memory."""
        with self._warehouse() as warehouse:
            return training_tables(self.small_tables, warehouse, question=question, settings=settings)

    def write_behaviour(
        self, *, snapshots: pa.Table, plan: BehaviourPlan, folder: Path, progress: Callable[[int, int], None]
    ) -> int:
        """Write features of behaviour (``features.behaviour_files``), so many activities at a time as fit."""
        from features.behaviour_files import ACTIVITIES_AT_ONCE, from_warehouse, write_behaviour

        with self._warehouse() as warehouse:
            return write_behaviour(
                read=from_warehouse(warehouse, plan),
                snapshots=snapshots,
                plan=plan,
                folder=folder,
                rows=warehouse.contact_rows(),
                activities_at_once=min(ACTIVITIES_AT_ONCE, self._at_once),
                progress=progress,
            )

    @property
    def _at_once(self) -> int:
        return self.memory_bytes // 2 // BYTES_OF_AN_ACTIVITY

    @contextmanager
    def _warehouse(self) -> Iterator[ActivityWarehouse]:
        """Open the warehouse of activities, which must still hold what it held when the extract was made."""
        warehouse = open_activities(self.folder.parent / ACTIVITIES, memory_bytes=self.memory_bytes)
        with closing(warehouse):
            file = self.folder / _ACTIVITIES_DIGEST
            if file.exists() and file.read_text(encoding="utf-8") != warehouse.digest():
                raise ExtractGoneError(self.folder)
            yield warehouse


@dataclass(frozen=True)
class Checked:
    """A source that was read and checked, for as long as it is open; nothing of it is kept."""

    findings: list[Finding]
    small_tables: CrmTables
    warehouse: ActivityWarehouse

    @property
    def tables(self) -> CrmTables:
        """All tables, with all activities."""
        return self.small_tables.with_activities(self.warehouse.read())

    def training_tables(self, *, question: Question, settings: SnapshotSettings) -> CrmTables:
        """Return what a training reads."""
        return training_tables(self.small_tables, self.warehouse, question=question, settings=settings)


@contextmanager
def checked(workplace: Workplace, *, as_of: pd.Timestamp | None, compare: bool = False) -> Iterator[Checked]:
    """Read the source and check its tables, and that they have the columns vouched for.

    ``compare`` them also with those of the run before, as a run would.
    """
    tables, found, parts = read_in_parts(workplace.source)
    survivors = survivors_of(tables["contacts"])
    tables = follow_merges(tables, survivors)
    with (
        _room_to_spill(workplace) as spill,
        closing(workplace.unkept_activities(spill=spill)) as warehouse,
        warehouse.extending(parts, survivors=survivors) as extension,
    ):
        findings = _checked(workplace, tables, warehouse, [*found, *extension.findings], as_of=as_of)
        if compare and not any(finding.severity == "error" for finding in findings):
            findings += _implausible(workplace, tables, _profile(workplace, tables, warehouse))
        yield Checked(findings=findings, small_tables=tables, warehouse=warehouse)


@contextmanager
def _room_to_spill(workplace: Workplace) -> Iterator[Path | None]:
    """Let what exceeds the memory be spilled under home, if that can be written to, and leave no trace there."""
    made = [folder for folder in (workplace.warehouse, *workplace.warehouse.parents) if not folder.exists()]
    for leftover in workplace.warehouse.glob(".*.spill"):
        # What a process left that was killed; another one may be at work beside this one.
        if not is_running(int(leftover.stem.removeprefix("."))):
            shutil.rmtree(leftover)
    spill = workplace.warehouse / f".{os.getpid()}.spill"
    try:
        workplace.warehouse.mkdir(parents=True, exist_ok=True)
    except OSError:
        # Reading needs no home: what fits into memory is checked all the same.
        yield None
        return
    try:
        yield spill
    finally:
        shutil.rmtree(spill, ignore_errors=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def extract(workplace: Workplace, *, as_of: pd.Timestamp, telling: Callable[[str], None] = lambda _: None) -> Extract:
    """Read what is new in the source, check all of it, and keep it under home. An error changes nothing there."""
    tables, found, parts = read_in_parts(workplace.source)
    survivors = survivors_of(tables["contacts"])
    tables = follow_merges(tables, survivors)
    with (
        _nothing_left_of_a_failure(workplace),
        closing(workplace.activities()) as warehouse,
        warehouse.extending(parts, survivors=survivors, progress=telling) as extension,
    ):
        findings = _checked(workplace, tables, warehouse, [*found, *extension.findings], as_of=as_of)
        refuse_errors(findings)
        profile = _profile(workplace, tables, warehouse)
        if odd := _implausible(workplace, tables, profile):
            keep_held(workplace.home, odd, at=datetime.now(UTC))
            raise HeldTablesError(odd)
        content = warehouse.digest()
        digest = hashlib.sha256(f"{tables.digest()} {content}".encode()).hexdigest()
        folder = _keep(workplace, tables, name=digest[:16], activities=content, profile=profile)
        forget_held(workplace.home)
    return Extract(folder=folder, digest=digest, findings=tuple(findings), memory_bytes=workplace.memory_bytes)


def forget_extracts(warehouse: Path, *, contacts: Sequence[str]) -> int:
    """Remove the tables that were kept, which the next run reads again, and say how many times they were.

    What is left is the profile of the last ones, without the ids of ``contacts``, for the next to be compared with.
    """
    last = next(_profiles(warehouse), None)
    folders = [path for path in warehouse.glob("*") if path.is_dir() and path.name != _BEFORE]
    if last is not None:
        (warehouse / _BEFORE).mkdir(exist_ok=True)
        told = last.without("contacts", contacts).model_dump_json()
        replace_file(warehouse / _BEFORE / _PROFILE, told.encode())
    for folder in folders:
        shutil.rmtree(folder)
    for file in warehouse.glob(f"{ACTIVITIES}*"):
        file.unlink()
    return len(folders)


@contextmanager
def _nothing_left_of_a_failure(workplace: Workplace) -> Iterator[None]:
    """Take away again what the first extract of a home had begun, if it fails."""
    is_first = not (workplace.warehouse / ACTIVITIES).exists()
    try:
        yield
    except BaseException:
        if is_first:
            for leftover in workplace.warehouse.glob(f"{Path(ACTIVITIES).stem}*"):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            for folder in (workplace.warehouse, workplace.home):
                with suppress(OSError):
                    folder.rmdir()
        raise


def _checked(
    workplace: Workplace,
    tables: CrmTables,
    warehouse: ActivityWarehouse,
    found: Sequence[Finding],
    *,
    as_of: pd.Timestamp | None,
) -> list[Finding]:
    if any(finding.severity == "error" for finding in found):
        return list(found)
    activities = warehouse.batches(rows=_CHECKED_AT_ONCE)
    findings = [*found, *check_tables(tables, as_of=as_of, activities=activities)]
    # Raises where a column is vouched for that is not there.
    _used(workplace, tables)
    return findings + vouching_findings(tables=tables, settings=workplace.settings.properties)


def _profile(workplace: Workplace, tables: CrmTables, warehouse: ActivityWarehouse) -> Profile:
    # One home may see several companies, each by a configuration of its own.
    configured = "" if workplace.config is None else f" by {workplace.config.name}"
    source = f"{type(workplace.source).__name__}{configured}"
    return profile_of(tables, activities=warehouse.profile(), source=source, used=_used(workplace, tables))


def _implausible(workplace: Workplace, tables: CrmTables, now: Profile) -> list[Finding]:
    """Compare tables with those that were accepted last from this kind of source."""
    before = next((one for one in _profiles(workplace.warehouse) if one.source == now.source), None)
    if before is None or workplace.accepts_tables:
        return []
    return implausible(tables, now=now, before=before, settings=workplace.settings.plausibility)


def _profiles(warehouse: Path) -> Iterator[Profile]:
    """Yield the profiles of the extracts that were accepted, the last one first."""
    for file in sorted(warehouse.glob(f"[!.]*/{_PROFILE}"), key=lambda file: file.stat().st_mtime, reverse=True):
        # One of another release is as none, until the next run has written its own.
        with suppress(ValidationError):
            yield Profile.model_validate_json(file.read_bytes())


def _used(workplace: Workplace, tables: CrmTables) -> dict[str, frozenset[str]]:
    """Return the properties that features may rest on."""
    return {
        table: frozenset(
            usable_properties(tables=tables, object_type=object_type, settings=workplace.settings.properties)[0]
        )
        for object_type, table in TABLE_OF.items()
        if tables.has(table)
    }


def _keep(workplace: Workplace, tables: CrmTables, *, name: str, activities: str, profile: Profile) -> Path:
    """Keep all tables but the activities, by their content, and clear away what a run that was killed has left."""
    shutil.rmtree(workplace.work, ignore_errors=True)
    for leftover in workplace.warehouse.glob(".*.partial"):
        shutil.rmtree(leftover)
    folder = workplace.warehouse / name
    if not folder.exists():
        aside = folder.with_name(f".{name}.partial")
        aside.mkdir(parents=True)
        for table in TABLE_NAMES:
            if table == "activities":
                continue
            if tables.has(table):
                # The digest knows no order of columns, so what lies under it must not show one.
                frame = tables[table]
                frame[sorted(frame.columns)].to_parquet(aside / f"{table}.parquet", index=False)
        if tables.has("activities"):
            (aside / _ACTIVITIES_DIGEST).write_text(activities, encoding="utf-8")
        aside.replace(folder)
        _forget_old(workplace.warehouse, keep=folder)
    # Written anew where the same tables came before: these are now the ones that were accepted last.
    replace_file(folder / _PROFILE, profile.model_dump_json().encode())
    return folder


@lru_cache(maxsize=1)
def _load_small_tables(folder: Path) -> CrmTables:
    """Read back the tables that ``extract`` kept."""
    frames, absent = {}, []
    for name in TABLE_NAMES:
        file = folder / f"{name}.parquet"
        frames[name] = pd.read_parquet(file) if file.exists() else empty_frame(name)
        if not file.exists() and not (name == "activities" and (folder / _ACTIVITIES_DIGEST).exists()):
            absent.append(name)
    return CrmTables(frames=frames, absent=tuple(absent))


def _forget_old(warehouse: Path, *, keep: Path) -> None:
    """Remove all but the newest extracts; a run that reads an older one has finished long ago."""
    others = [path for path in warehouse.iterdir() if path.is_dir() and path != keep and not path.name.startswith(".")]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_EXTRACTS - 1 :]:
        shutil.rmtree(old)
