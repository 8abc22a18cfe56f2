"""HubSpot in and out against the sandbox: requests made against the fewest that could do, time and memory.

The fewest requests follow from the largest pages allowed: 50 objects with history, 100 without, 200 hits of a search,
1000 links, 100 writes. Time is ours and the sandbox's, at no limit; what a real account's limit of 9 requests a second
makes of it is measured apart, at a latency such as HubSpot's. The rival is HubSpot's own client, reading the same
contacts and deals with their history in the only way it has.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks._measure import Figure, show, whole_process, write_json
from features.sources.hubspot.instants import iso
from features.sources.hubspot_sandbox.account import Account, PropertyRule
from features.sources.hubspot_sandbox.api import Api, Request
from features.sources.hubspot_sandbox.limits import Plan
from features.sources.hubspot_sandbox.server import serving

SIZES = {"small": (2_000, 300, 20_000), "medium": (20_000, 3_000, 200_000), "full": (200_000, 30_000, 2_000_000)}
READER = "benchmarks._hubspot_reader"
START = datetime(2026, 3, 1, tzinfo=UTC)
DEFINITIONS = 7
# When time is measured against the limit: objects of each of five kinds, how many kinds are read at a time, and how
# long HubSpot takes for an answer.
PACED = {"small": (2_400, (8,)), "medium": (4_800, (8, 1)), "full": (4_800, (8, 1))}
LATENCY = 0.25


def main() -> None:
    """Fill an account, read it, change one in a hundred, read that, write back twice; then read at the limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = [in_and_out(*SIZES[options.size]), at_the_limit(*PACED[options.size])]
    write_json(options.json, results)


def in_and_out(contacts: int, deals: int, engagements: int) -> dict[str, Any]:
    """Read everything, then a change, and write back, each in a process of its own."""
    moment = [START]
    account = Account(now=lambda: moment[0])
    people, chances, calls, mails = fill(account, contacts, deals, engagements)
    api = Api(account, plan=Plan(burst=10_000_000, searches=10_000_000, daily=10_000_000))
    first = sum(ceil(count / 50) for count in (contacts, deals, len(calls))) + ceil(len(mails) / 100)
    figures, rows = [], []
    with tempfile.TemporaryDirectory() as name, serving(api) as url:

        def run(title: str, step: str, fewest: int | None, day: str = "0") -> None:
            figure, said = measured(title, step, url, name, iso(moment[0]), day)
            figures.append(figure)
            api.calls.clear()
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
        objects = ceil(contacts / 50) + ceil(deals / 50)
        run("contacts and deals alone", "objects", DEFINITIONS + objects + 2)
        run("the same by hubspot-api-client", "rival", None)
    result = show(
        f"HubSpot: {contacts:,} contacts, {deals:,} deals, {engagements:,} engagements", figures, ours=figures[0].name
    )
    print(f"\n{'':34}{'requests':>10}{'fewest':>10}{'ratio':>8}")
    for row in rows:
        ratio = row["requests"] / row["fewest"] if row["fewest"] else 1.0
        print(f"{row['step']:34}{row['requests']:10,}{row['fewest']:10,}{ratio:8.2f}")
    return result | {"requests": rows}


def measured(title: str, step: str, url: str, folder: str, now: str, number: str) -> tuple[Figure, dict[str, Any]]:
    """Run a step in a process of its own; return its figure and what it says of itself.

    The peak is the process's own word: seen from outside it would be at least ours, whose memory holds the account.
    """
    figure = whole_process(title, READER, step, url, folder, now, number)
    said = json.loads((Path(folder) / f"{step}.json").read_text(encoding="utf-8"))
    return replace(figure, peak_gigabytes=said["peak_gigabytes"]), said


def at_the_limit(objects: int, choices: tuple[int, ...]) -> dict[str, Any]:
    """Read at the default pace from an account that takes a while for each answer, by so many lanes."""
    account = Account(now=lambda: START)
    fill(account, objects, objects, 2 * objects)
    for _ in range(objects):
        account.create("meetings", {"hs_timestamp": iso(START)})
        account.create("companies", {})
    api = Api(account, plan=Plan())

    def take_a_while(_request: Request) -> None:
        time.sleep(LATENCY)

    figures, rates = [], []
    for lanes in choices:
        api.meter = type(api.meter)(api.plan, lambda: datetime.now(UTC))
        with tempfile.TemporaryDirectory() as name, serving(api, arrival=take_a_while) as url:
            figure, said = measured(f"{lanes} at a time", "paced", url, name, iso(START), str(lanes))
        figures.append(figure)
        share = said["sustained"] / 9
        rates.append({"lanes": lanes, "over_the_limit": api.meter.over, "share_of_rate": share, **said})
    result = show(f"At 90 requests in 10 s, {LATENCY * 1000:.0f} ms for each answer", figures, ours=figures[0].name)
    for rate in rates:
        print(
            f"{rate['lanes']} at a time: {rate['requests']} requests in {rate['seconds']:.1f} s; after the first 90"
            f" {rate['sustained']:.2f} a s, {rate['share_of_rate']:.0%} of the limit, {rate['over_the_limit']} over"
        )
    return result | {"rates": rates}


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
