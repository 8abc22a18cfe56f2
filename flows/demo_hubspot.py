"""The demo's invented CRM inside a HubSpot of our own on this machine: read from there, and scores written back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from features.sources.hubspot.client import Credentials
from features.sources.hubspot.pace import PaceSettings
from features.sources.hubspot.source import HubSpotSource, landing_file
from features.sources.hubspot_sandbox.account import Account
from features.sources.hubspot_sandbox.api import Api
from features.sources.hubspot_sandbox.filling import fill
from features.sources.hubspot_sandbox.limits import Plan
from features.sources.hubspot_sandbox.server import serving
from features.sources.synthetic import SyntheticSettings, simulate
from flows.console import Progress, Ticker
from flows.settings import HubSpotSourceSettings
from flows.wiring import Workplace
from flows.writeback import plan_latest, writing

# The limits are HubSpot's business, not the demo's: at their pace it would take minutes.
_REQUESTS: Final = 1_000_000
_KEY: Final = Credentials(token=SecretStr("sandbox"))


@dataclass(frozen=True)
class Sandbox:
    """An account that answers, and how it is read."""

    api: Api
    settings: HubSpotSourceSettings
    source: HubSpotSource


@contextmanager
def sandbox(invented: SyntheticSettings, *, home: Path) -> Iterator[Sandbox]:
    """Put an invented CRM into an account as of its end, and serve it while the block runs."""
    account = Account(now=lambda: invented.end)
    fill(account, simulate(invented).tables)
    api = Api(account, plan=Plan(burst=_REQUESTS, daily=_REQUESTS))
    with serving(api) as url:
        settings = HubSpotSourceSettings(
            kind="hubspot",
            base_url=url,
            pace=PaceSettings(requests_per_10_seconds=_REQUESTS, keep_daily=0),
            contact_properties=("industry", "country", "job_level"),
            company_properties=("industry", "country", "employee_band"),
            deal_properties=(),
            web_events=True,
            form_types={"Demo request": "demo_request", "Webinar": "webinar"},
            page_types={"/pricing": "pricing_view"},
        )
        source = HubSpotSource(
            settings=settings,
            credentials=_KEY,
            file=landing_file(home),
            now=lambda: invented.end,
            tell=Ticker().tell,
        )
        yield Sandbox(api=api, settings=settings, source=source)


def write_back(workplace: Workplace, *, now: datetime, progress: Progress) -> None:
    """Write all published scores into the account."""
    with writing(workplace, credentials=_KEY) as back:
        for question in workplace.settings.questions:
            with progress.step(f"Writing the scores of {question} back into HubSpot") as step:
                plan = plan_latest(back, workplace, question=question, limit=None)
                outcome = back.execute(plan, now=now)
                step.outcome = f"{outcome.written:,} written, {plan.unchanged:,} unchanged"
