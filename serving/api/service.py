"""What the routes work with, built once when the service starts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.batch import StoredBatch
from serving.bulk_exports import BulkExports
from serving.rate_limit import RateLimit
from serving.sessions import Sessions
from serving.settings import ApiSettings
from serving.store import ScoreStore

_FAILURES_PER_MINUTE: Final = 30


class AuditLog:
    """Who asked for what, one JSON line a request, one file a day: keys and routes, never ids, names or addresses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def write(self, at: datetime, entry: Mapping[str, Any]) -> None:
        """Append a line; a disk that is full must not stop the service."""
        line = json.dumps({"at": at.isoformat(timespec="milliseconds")} | dict(entry)) + "\n"
        with self._lock:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with (self._folder / f"{at:%Y-%m-%d}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(line)
            except OSError:
                return


class Metrics:
    """What Prometheus reads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "leadline_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "leadline_request_seconds", "From the request to the last byte.", ["route"], registry=self.registry
        )
        self.bytes = Counter("leadline_sent_bytes", "Bytes of bodies sent.", ["route"], registry=self.registry)
        self.age = Gauge(
            "leadline_score_age_seconds", "Since the latest batch was scored.", ["question"], registry=self.registry
        )
        self.stale = Gauge(
            "leadline_scores_stale", "1 where the latest scores are too old.", ["question"], registry=self.registry
        )
        self.held = Gauge(
            "leadline_tables_held", "1 while the last tables are held back as implausible.", registry=self.registry
        )
        self.rows = Gauge("leadline_batch_rows", "Rows of the latest batch.", ["question"], registry=self.registry)


@dataclass(frozen=True)
class Service:
    """One running service; ``clock`` tells the time, which nothing below it asks for itself.

    ``remembered`` keeps, by question, the last batch that was looked through for disagreements, and what was found.
    """

    store: ScoreStore
    settings: ApiSettings
    exports: BulkExports
    reports: Path
    held: Path
    audit: AuditLog
    metrics: Metrics
    limit: RateLimit
    failures: RateLimit
    streams: threading.BoundedSemaphore
    sessions: Sessions
    remembered: dict[str, tuple[str, list[Mapping[str, Any]]]]
    clock: Callable[[], datetime]

    def is_stale(self, batch: StoredBatch) -> bool:
        """Say whether a latest batch is too old to be trusted to be today's."""
        return self.clock() - batch.scored_at > timedelta(hours=self.settings.stale_after_hours)

    def latest(self) -> dict[str, StoredBatch]:
        """Return the latest batch of each question that has one."""
        return {question: batch for batch in self.store.batches() for question in batch.latest_for}


def make_service(*, store: ScoreStore, home: Path, settings: ApiSettings, clock: Callable[[], datetime]) -> Service:
    """Build a service over a store; what it writes (exports, audit) lies under ``home``."""
    return Service(
        store=store,
        settings=settings,
        exports=BulkExports(home / "exports" / "api", store, settings, clock),
        reports=home / "reports",
        held=home / "held.json",
        audit=AuditLog(home / "audit"),
        metrics=Metrics(),
        limit=RateLimit(per_minute=settings.requests_per_minute),
        failures=RateLimit(per_minute=_FAILURES_PER_MINUTE),
        streams=threading.BoundedSemaphore(settings.streams),
        sessions=Sessions(clock),
        remembered={},
        clock=clock,
    )
