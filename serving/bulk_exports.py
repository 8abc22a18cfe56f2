"""Bulk exports: asked for once, made in the background as files of many rows, kept for some days.

Everything about an export lies in its folder, so that one which a restart interrupts is made again, to the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from features.errors import LeadScoringError
from models.promotion_log import replace_file
from serving.export import write_chunks
from serving.formats import Format
from serving.settings import ApiSettings
from serving.store import ScoreStore, StoreUnreachableError
from serving.walks import Filter, walk

SUFFIXES: Final[Mapping[str, str]] = {"csv": "csv", "ndjson": "ndjson", "parquet": "parquet", "arrow": "arrows"}


class UnknownExportError(LeadScoringError):
    """There is no such export, or not for this key, or it is kept no more."""


class ExportConflictError(LeadScoringError):
    """The idempotency key was used for another request."""


class TooManyExportsError(LeadScoringError):
    """A key has as many exports as it may."""


@dataclass(frozen=True)
class ExportRequest:
    """What to export; ``chosen`` is a ``Filter`` as plain data."""

    question: str
    format: Format
    batch_id: str
    fields: tuple[str, ...]
    chosen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One finished file of an export."""

    name: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class BulkExport:
    """An export and how far it is."""

    export_id: str
    key_id: str
    request: ExportRequest
    asked: str
    created_at: str
    expires_at: str
    state: Literal["queued", "running", "done", "failed"] = "queued"
    parts: Sequence[Part] = ()
    error: str | None = None


class BulkExports:
    """The exports under one folder; a single thread makes them one after the other."""

    def __init__(self, folder: Path, store: ScoreStore, settings: ApiSettings, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._store = store
        self._settings = settings
        self._clock = clock
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work, first on what an earlier process left unfinished."""
        self._forget_old()
        for export in self._all():
            if export.state in ("queued", "running"):
                self._waiting.put(export.export_id)
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Finish the export at hand and stop."""
        if self._worker is not None:
            self._waiting.put(None)
            self._worker.join(timeout=10)

    def create(self, key_id: str, request: ExportRequest, *, asked: str, idempotency_key: str | None) -> BulkExport:
        """Ask for an export; the same idempotency key and ``asked`` give the export that is there already."""
        export_id = secrets.token_hex(12)
        if idempotency_key is not None:
            export_id = hashlib.sha256(f"{key_id}\0{idempotency_key}".encode()).hexdigest()[:24]
        with self._lock:
            self._forget_old()
            known = self._read(export_id)
            if known is not None:
                if known.asked != asked:
                    raise ExportConflictError(
                        "an idempotency key must be used for one request only; this one was used for another. Use a "
                        "new key."
                    )
                return known
            if sum(export.key_id == key_id for export in self._all()) >= self._settings.exports_per_key:
                raise TooManyExportsError(
                    f"a key may have {self._settings.exports_per_key} exports kept at a time, and this one has. "
                    "Delete one, or wait until one has expired."
                )
            now = self._clock()
            export = BulkExport(
                export_id=export_id,
                key_id=key_id,
                request=request,
                asked=asked,
                created_at=now.isoformat(),
                expires_at=(now + timedelta(days=self._settings.export_days)).isoformat(),
            )
            self._write(export)
        self._waiting.put(export_id)
        return export

    def get(self, key_id: str, export_id: str) -> BulkExport:
        """Return an export of a key, or raise ``UnknownExportError``."""
        export = self._read(export_id)
        if export is None or export.key_id != key_id or self._is_old(export):
            raise UnknownExportError(
                f"export {export_id!r} must be one that this key asked for and that is kept; it is not. Ask for it."
            )
        return export

    def part(self, key_id: str, export_id: str, number: int) -> tuple[Part, Path]:
        """Return a finished part, counted from 1, and its file."""
        export = self.get(key_id, export_id)
        if export.state != "done" or not 1 <= number <= len(export.parts):
            raise UnknownExportError(
                f"export {export_id!r} must have a finished part {number}; it is {export.state} with "
                f"{len(export.parts)} parts. Wait until it is done and count from 1."
            )
        part = export.parts[number - 1]
        return part, self._folder / export_id / part.name

    def delete(self, key_id: str, export_id: str) -> None:
        """Forget an export and its files."""
        self.get(key_id, export_id)
        with self._lock:
            shutil.rmtree(self._folder / export_id, ignore_errors=True)

    def _work(self) -> None:
        while (export_id := self._waiting.get()) is not None:
            export = self._read(export_id)
            if export is not None and export.state in ("queued", "running"):
                self._finish(export)

    def _finish(self, export: BulkExport) -> None:
        try:
            parts = self._make(self._kept(replace(export, state="running", parts=())))
        except StoreUnreachableError:
            # The store will be back: the export waits, and so does everything behind it.
            threading.Timer(5.0, self._waiting.put, args=(export.export_id,)).start()
        except Exception as error:
            # Whatever it was: the thread must live on for the exports behind this one.
            told = str(error) if isinstance(error, LeadScoringError) else f"{type(error).__name__}; ask again"
            with contextlib.suppress(OSError):
                self._kept(replace(export, state="failed", error=told))
        else:
            with contextlib.suppress(OSError):
                self._kept(replace(export, state="done", parts=tuple(parts)))

    def _make(self, export: BulkExport) -> list[Part]:
        asked = export.request
        batch = self._store.batch(asked.question, asked.batch_id)
        chosen = read_filter(asked.chosen)
        folder = self._folder / export.export_id
        parts: list[Part] = []
        after: str | None = None
        while True:
            chunks = walk(
                self._store,
                asked.question,
                batch,
                fields=asked.fields,
                chosen=chosen,
                after=after,
                limit=self._settings.export_part_rows,
            )
            name = f"{asked.question}-{batch.batch_id}-{len(parts) + 1:05d}.{SUFFIXES[asked.format]}"
            written = write_chunks(chunks, asked.question, batch, asked.format, folder / name, fields=asked.fields)
            with written.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            parts.append(Part(name, written.rows, written.size_bytes, digest))
            after = written.last
            if after is None:
                return parts

    def _kept(self, export: BulkExport) -> BulkExport:
        with self._lock:
            # Deleted meanwhile.
            if (self._folder / export.export_id).is_dir():
                self._write(export)
        return export

    def _is_old(self, export: BulkExport) -> bool:
        return datetime.fromisoformat(export.expires_at) <= self._clock()

    def _forget_old(self) -> None:
        for export in self._all():
            if self._is_old(export):
                shutil.rmtree(self._folder / export.export_id, ignore_errors=True)

    def _all(self) -> list[BulkExport]:
        if not self._folder.is_dir():
            return []
        found = [self._read(path.name) for path in sorted(self._folder.iterdir())]
        return [export for export in found if export is not None]

    def _read(self, export_id: str) -> BulkExport | None:
        try:
            told = json.loads((self._folder / export_id / "export.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        request = told["request"] | {"fields": tuple(told["request"]["fields"])}
        told |= {"request": ExportRequest(**request), "parts": tuple(Part(**part) for part in told["parts"])}
        return BulkExport(**told)

    def _write(self, export: BulkExport) -> None:
        folder = self._folder / export.export_id
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "export.json", json.dumps(asdict(export)).encode())


def forget_exports(folder: Path, *, question: str) -> int:
    """Remove all exports of a question, those of jobs under ``api`` and those of people beside it; return how many."""
    made = [path for path in folder.glob(f"{question}*") if path.is_file()]
    asked = folder.glob("api/*/export.json")
    made += [file.parent for file in asked if json.loads(file.read_bytes())["request"]["question"] == question]
    for path in made:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return len(made)


def plain_filter(chosen: Filter) -> dict[str, Any]:
    """Return a filter as plain data; ``read_filter`` reads it back."""
    told = {name: value for name, value in asdict(chosen).items() if value not in ((), None)}
    if chosen.updated_since is not None:
        told["updated_since"] = chosen.updated_since.isoformat()
    return told


def read_filter(told: Mapping[str, Any]) -> Filter:
    """Return the filter that ``plain_filter`` wrote."""
    kinds = {one.name for one in fields(Filter)}
    given: dict[str, Any] = {name: told[name] for name in kinds & set(told)}
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    if "updated_since" in given:
        given["updated_since"] = datetime.fromisoformat(given["updated_since"])
    return Filter(**given)
