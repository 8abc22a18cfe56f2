"""The reading and writing sides of ``benchmarks.hubspot``, each as a process of its own."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import SecretStr

from features.sources.hubspot.client import Answer, Credentials, HubSpotClient
from features.sources.hubspot.crm_tables import crm_tables
from features.sources.hubspot.kinds import HubSpotSettings
from features.sources.hubspot.landing import Landing
from features.sources.hubspot.pace import PaceSettings
from features.sources.hubspot.source import landing_file
from features.sources.hubspot.sync import Sync
from serving.writeback.fields import WriteBackSettings
from serving.writeback.ledger import Ledger
from serving.writeback.writer import WriteBack

NO_LIMIT = PaceSettings(requests_per_10_seconds=10_000_000, searches_per_second=5, keep_daily=0)


def settings_for(url: str, **changed: Any) -> HubSpotSettings:
    """Return settings that ask as fast as the other side answers."""
    plain = {"pace": NO_LIMIT, "email_events": False, "contact_properties": ("industry",)}
    return HubSpotSettings(base_url=url, **(plain | changed))


def read(url: str, home: Path, now: str, _day: str) -> dict[str, Any]:
    """Bring the landing up to date."""
    return _sync(settings_for(url), home, now)


def objects(url: str, home: Path, now: str, _day: str) -> dict[str, Any]:
    """Read contacts, companies and deals into a new landing."""
    return _sync(settings_for(url, engagements=()), home / "objects", now)


def paced(url: str, home: Path, now: str, lanes: str) -> dict[str, Any]:
    """Read everything within HubSpot's limits."""
    return _sync(settings_for(url, pace=PaceSettings(), lanes=int(lanes)), home, now)


def rival(url: str, _home: Path, _now: str, _day: str) -> dict[str, Any]:
    """Read contacts and deals with their history by HubSpot's own client, which keeps them all in memory."""
    import hubspot

    client = hubspot.Client(access_token="sandbox", host=url)
    people = client.crm.contacts.get_all(properties_with_history=["industry", "hubspot_owner_id"])
    chances = client.crm.deals.get_all(
        properties_with_history=["dealstage", "amount", "closedate", "hubspot_owner_id"],
        associations=["contacts", "companies"],
    )
    return {"contacts": len(people), "deals": len(chances)}


class TimedClient(HubSpotClient):
    """Remembers when each answer came."""

    def __init__(self, settings: HubSpotSettings) -> None:
        super().__init__(settings=settings, credentials=Credentials(token=SecretStr("sandbox")))
        self.answered: list[float] = []

    def ask(self, *arguments: Any, **options: Any) -> Answer:
        """Ask, and look at the clock."""
        answer = super().ask(*arguments, **options)
        self.answered.append(time.monotonic())
        return answer


def _sync(settings: HubSpotSettings, home: Path, now: str) -> dict[str, Any]:
    client = TimedClient(settings)
    Sync(client=client, landing=Landing(landing_file(home)), settings=settings, now=datetime.fromisoformat(now)).run()
    answered = sorted(client.answered)
    # The first ninety may be sent at once; from then on it is the limit that counts.
    sustained = max(0, len(answered) - 90) / (answered[-1] - answered[min(90, len(answered)) - 1] or 1)
    return {"requests": client.requests, "seconds": answered[-1] - answered[0], "sustained": sustained}


def tables(url: str, home: Path, _now: str, _day: str) -> dict[str, Any]:
    """Make the CRM tables of what was landed."""
    made, _ = crm_tables(Landing(landing_file(home)), settings_for(url))
    return {name: len(frame) for name, frame in made.frames.items()}


def write(url: str, home: Path, now: str, day: str) -> dict[str, Any]:
    """Write a score for every contact; on day 1 those of one in a hundred differ from day 0."""
    client = HubSpotClient(settings=settings_for(url), credentials=Credentials(token=SecretStr("sandbox")))
    landing = Landing(landing_file(home))
    ids = [row[0] for row in landing.rows("SELECT id FROM records WHERE kind = 'contacts' ORDER BY id")]
    as_of = pd.Timestamp(now)
    rows = pd.DataFrame(
        {
            "contact_id": [str(number) for number in ids],
            "close_likelihood": [0.5 if day != "0" and place % 100 == 0 else 0.3 for place in range(len(ids))],
            "tier": "high",
            "points": 10.0,
            "points_grade": "B2",
            "reasons": None,
            "scored_at": as_of,
            "model_version": "m1",
            "batch_id": f"b{day}",
            "as_of": as_of,
        }
    )
    back = WriteBack(client=client, ledger=Ledger(home), settings=WriteBackSettings(limit=len(rows)), landing=landing)
    outcome = back.execute(back.plan(rows, question="contacts"), now=as_of.to_pydatetime())
    return {"requests": client.requests, "written": outcome.written}


def peak_gigabytes() -> float:
    """Return the most memory that this program has held, which the kernel counts from its start on."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024**2 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    step, address, folder, instant, number = sys.argv[1:]
    steps = {"read": read, "tables": tables, "write": write, "objects": objects, "paced": paced, "rival": rival}
    result = steps[step](address, Path(folder), instant, number) | {"peak_gigabytes": peak_gigabytes()}
    (Path(folder) / f"{step}.json").write_text(json.dumps(result), encoding="utf-8")
