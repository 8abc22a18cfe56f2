"""HubSpot in and out against the sandbox: requests made against the fewest that could do, time and memory.

The fewest requests follow from the largest pages allowed: 50 objects with history, 100 without, 200 hits of a search,
1000 links, 100 writes. Time is ours and the sandbox's; at the default pace a real account allows 9 requests a second.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

from benchmarks._measure import show, whole_process, write_json
from features.sources.hubspot.instants import iso
from features.sources.hubspot_sandbox.account import Account, PropertyRule
from features.sources.hubspot_sandbox.api import Api
from features.sources.hubspot_sandbox.limits import Plan
from features.sources.hubspot_sandbox.server import serving

SIZES = {"small": (2_000, 300, 20_000), "full": (20_000, 3_000, 200_000)}
READER = "benchmarks._hubspot_reader"
START = datetime(2026, 3, 1, tzinfo=UTC)
DEFINITIONS = 7


def main() -> None:
    """Fill an account, read it, change one in a hundred, read that, write back twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contacts, deals, engagements = SIZES[options.size]
    moment = [START]
    account = Account(now=lambda: moment[0])
    people, chances, calls, mails = fill(account, contacts, deals, engagements)
    api = Api(account, plan=Plan(burst=10_000_000, searches=10_000_000, daily=10_000_000))
    first = sum(ceil(count / 50) for count in (contacts, deals, len(calls))) + ceil(len(mails) / 100)
    figures, rows = [], []
    with tempfile.TemporaryDirectory() as name, serving(api) as url:

        def run(title: str, step: str, fewest: int | None, day: str = "0") -> None:
            figures.append(whole_process(title, READER, step, url, name, iso(moment[0]), day))
            said = json.loads((Path(name) / f"{step}.json").read_text(encoding="utf-8"))
            if fewest is not None:
                rows.append({"step": title, "requests": said["requests"], "fewest": fewest})

        moment[0] += timedelta(hours=1)
        # Five kinds that are empty here cost one page each, archived deals another.
        run("read everything", "read", DEFINITIONS + first + 5)
        run("make the tables", "tables", None)
        moment[0] += timedelta(hours=1)
        changed = [part[::100] for part in (people, chances, calls, mails)]
        for kind, ids in zip(("contacts", "deals", "calls", "emails"), changed, strict=True):
            for number in ids:
                account.write(kind, number, {"hubspot_owner_id": "9"})
        moment[0] += timedelta(hours=1)
        counts = [len(part) for part in changed]
        searches = sum(ceil(count / 200) for count in counts) + 4
        batches = sum(ceil(count / 50) for count in counts[:3])
        links = 2 * sum(ceil(count / 1000) for count in counts[1:])
        run("read a change of 1 %", "read", DEFINITIONS + searches + batches + links)
        once = 2 * ceil(contacts / 100)
        # Definitions of properties once to look, one group and seven properties to make.
        run("write all scores", "write", once + 1 + 1 + 7)
        run("write no change", "write", 0)
        run("write a change of 1 %", "write", 2 * ceil(contacts / 100 / 100) + 1, day="1")
    result = show(
        f"HubSpot: {contacts:,} contacts, {deals:,} deals, {engagements:,} engagements", figures, ours=figures[0].name
    )
    print(f"\n{'':34}{'requests':>10}{'fewest':>10}{'ratio':>8}")
    for row in rows:
        ratio = row["requests"] / row["fewest"] if row["fewest"] else 1.0
        print(f"{row['step']:34}{row['requests']:10,}{row['fewest']:10,}{ratio:8.2f}")
    write_json(options.json, [result | {"requests": rows}])


def fill(account: Account, contacts: int, deals: int, engagements: int) -> tuple[list[int], ...]:
    """Put contacts, deals, and half as many calls and e-mails as engagements into the account."""
    for kind in account.objects:
        names = ("industry", "hs_timestamp", "hubspot_owner_id", "pipeline", "dealstage", "hs_merged_object_ids")
        account.define(kind, [PropertyRule(one, "string", "text", "g", one) for one in names])
    stage = {"id": "won", "label": "Won", "displayOrder": 0, "metadata": {"probability": "1.0", "isClosed": "true"}}
    account.pipelines.append({"id": "p", "label": "P", "displayOrder": 0, "stages": [stage]})
    people = [account.create("contacts", {"industry": "retail"}) for _ in range(contacts)]
    chances = [account.create("deals", {"pipeline": "p", "dealstage": "won"}) for _ in range(deals)]
    happened = {"hs_timestamp": iso(START)}
    calls = [account.create("calls", happened) for _ in range(engagements // 2)]
    mails = [account.create("emails", happened) for _ in range(engagements // 2)]
    for kind, ids in (("deals", chances), ("calls", calls), ("emails", mails)):
        for place, number in enumerate(ids):
            account.link(kind, number, "contacts", people[place % contacts])
    return people, chances, calls, mails


if __name__ == "__main__":
    main()
