"""Sandbox accounts on a clock of their own, and the weather that HubSpot's API can make."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from features.findings import Finding
from features.sources.hubspot.client import Answer, Credentials, HubSpotClient
from features.sources.hubspot.crm_tables import crm_tables
from features.sources.hubspot.kinds import HubSpotSettings
from features.sources.hubspot.landing import Landing
from features.sources.hubspot.sync import Sync
from features.sources.hubspot_sandbox.account import KINDS, Account, PropertyRule
from features.sources.hubspot_sandbox.answers import Reply
from features.sources.hubspot_sandbox.api import Api, Request
from features.tables import CrmTables

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
TOKEN = "pat-eu1-canary-4711"


class VirtualClock:
    """A clock that stands still but for what sleeps on it, so that no test waits."""

    def __init__(self, start: datetime = START) -> None:
        self.moment = start
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds=seconds)

    def advance(self, **amount: float) -> None:
        with self._lock:
            self.moment += timedelta(**amount)


def string_rules(kind: str, *names: str) -> list[PropertyRule]:
    return [PropertyRule(name, "string", "text", f"{kind}information", name) for name in names]


def make_account(clock: VirtualClock, **options: Any) -> Account:
    """An empty account with the properties that the tests use, and one pipeline whose stage ids mislead."""
    account = Account(now=clock.now, **options)
    for kind in KINDS:
        read_only = ("hs_object_id", "createdate", "hs_createdate", "lastmodifieddate", "hs_lastmodifieddate")
        account.define(kind, [PropertyRule(name, "string", "text", "g", name, read_only=True) for name in read_only])
        account.define(kind, string_rules(kind, "hubspot_owner_id", "hs_timestamp", "hs_merged_object_ids"))
    account.define("contacts", string_rules("contacts", "email", "firstname", "lastname", "industry", "jobtitle"))
    account.define(
        "contacts",
        string_rules("contacts", "associatedcompanyid", "hs_analytics_source", "hs_calculated_form_submissions"),
    )
    account.define("companies", string_rules("companies", "name", "country"))
    account.define(
        "deals",
        string_rules(
            "deals", "dealname", "dealstage", "pipeline", "amount", "closedate", "deal_currency_code", "closed_reason"
        ),
    )
    account.define("calls", string_rules("calls", "hs_call_direction", "hs_call_disposition", "hs_call_duration"))
    account.define("meetings", string_rules("meetings", "hs_meeting_outcome", "hs_meeting_start_time"))
    account.define("emails", string_rules("emails", "hs_email_direction", "hs_email_status"))
    account.define("tasks", string_rules("tasks", "hs_task_status", "hs_task_type", "hs_task_completion_date"))
    stages = (
        ("qualified", "Qualified", "0.2", "false"),
        ("closedwon", "Proposal sent", "0.9", "false"),
        ("77", "Signed", "1.0", "true"),
        ("closedlost", "Gone", "0.0", "true"),
    )
    born = {"archived": False, "createdAt": "2020-01-01T00:00:00.000Z", "updatedAt": "2020-01-01T00:00:00.000Z"}
    account.pipelines.append(
        born
        | {
            "id": "default",
            "label": "Sales",
            "displayOrder": 0,
            "stages": [
                born
                | {
                    "id": stage,
                    "label": label,
                    "displayOrder": place,
                    "metadata": {"probability": probability, "isClosed": closed},
                    "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                }
                for place, (stage, label, probability, closed) in enumerate(stages)
            ],
        }
    )
    return account


def make_api(account: Account, **options: Any) -> Api:
    return Api(account, token=TOKEN, **options)


HTML = b"<html><body>502 Bad Gateway</body></html>"


def truncated(reply: Reply) -> Reply:
    """Cut an answer in the middle: fewer bytes than its header promises."""
    whole = json.dumps(reply.body).encode()
    return Reply(reply.status, None, {**reply.headers, "Content-Length": str(len(whole))}, whole[: len(whole) // 2])


@dataclass
class Storm:
    """Disturbs a share of all requests; ``lost`` answers are those that come after the work was done."""

    seed: int
    share: float = 0.3
    kinds: tuple[str, ...] = ("502", "503", "html", "429", "429 bare", "423", "truncated", "lost", "cut", "401")
    counts: dict[str, int] = field(default_factory=dict)
    _row: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        # Every kind comes before one comes again.
        self._turns = itertools.cycle(self._chance.sample(self.kinds, len(self.kinds)))

    def __call__(self, request: Request, answer: Callable[[], Reply]) -> Reply | None:
        # Three in a row at most: what never ends is not a storm.
        if self._row >= 3 or self._chance.random() >= self.share:
            self._row = 0
            return answer()
        self._row += 1
        kind = next(self._turns)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return self._misfortune(kind, answer)

    @staticmethod
    def _misfortune(kind: str, answer: Callable[[], Reply]) -> Reply | None:
        if kind == "truncated":
            return truncated(answer())
        if kind == "lost":
            answer()
        if kind in ("lost", "cut"):
            return None
        headers: Mapping[str, str] = {}
        if kind == "html":
            return Reply(200, None, {"Content-Type": "text/html"}, HTML)
        if kind in ("502", "503"):
            return Reply(int(kind), None, {"Content-Type": "text/html"}, HTML)
        if kind == "429":
            headers = {"Retry-After": "3"}
        body = {"status": "error", "message": "You have reached your secondly limit.", "policyName": "SECONDLY"}
        return Reply(int(kind.split()[0]), body, headers)


class Killed(BaseException):
    """Raised where a test lets the process die."""


class MortalClient(HubSpotClient):
    """Dies on receiving a certain answer, before anything of it can be kept."""

    dies_at = 0

    def ask(self, *arguments: Any, **options: Any) -> Answer:
        if 0 < self.dies_at <= self.requests:
            raise Killed
        answer = super().ask(*arguments, **options)
        if 0 < self.dies_at <= self.requests:
            raise Killed
        return answer


@dataclass
class Reading:
    """Reads one account into one home, again and again; ``told`` and ``answers`` gather what was said and asked."""

    url: str
    clock: VirtualClock
    file: Path
    settings: dict[str, Any] = field(default_factory=dict)
    credentials: Credentials = field(default_factory=lambda: Credentials(token=SecretStr(TOKEN)))
    told: list[str] = field(default_factory=list)
    requests: int = 0

    @property
    def configured(self) -> HubSpotSettings:
        return HubSpotSettings(base_url=self.url, **self.settings)

    def sync(self, *, dies_at: int = 0) -> list[Finding]:
        client = MortalClient(settings=self.configured, credentials=self.credentials, clock=self.clock)
        client.dies_at = dies_at
        with closing(Landing(self.file)) as landing, closing(client):
            try:
                return Sync(
                    client=client,
                    landing=landing,
                    settings=self.configured,
                    now=self.clock.now(),
                    tell=self.told.append,
                ).run()
            finally:
                self.requests = client.requests

    def elsewhere(self, folder: Path) -> Reading:
        """The same account into another home."""
        return replace(self, file=folder / "warehouse" / "hubspot.db", told=[], requests=0)

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is landed, but for where the reading stands."""
        queries = {
            "records": "SELECT kind, id, created_at, updated_at, archived_at, properties FROM records",
            "history": "SELECT * FROM history",
            "links": "SELECT * FROM links",
            "merges": "SELECT * FROM merges",
            "events": "SELECT * FROM events",
            "due": "SELECT * FROM due",
        }
        with closing(Landing(self.file)) as landing:
            return {name: sorted(landing.rows(query), key=repr) for name, query in queries.items()}

    def tables(self) -> CrmTables:
        return self.tables_and_findings()[0]

    def tables_and_findings(self) -> tuple[CrmTables, list[Finding]]:
        with closing(Landing(self.file)) as landing:
            return crm_tables(landing, self.configured)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(Landing(self.file)) as landing:
            return list(landing.rows(query))
