"""HubSpot in and out through a storm: the same tables and the same CRM values as in calm weather, every answer of the
sandbox being one that HubSpot's own SDK accepts."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import TypeAdapter

from features.sources.hubspot.client import HubSpotError
from features.sources.hubspot.source import landing_file
from features.sources.hubspot_sandbox.account import Account
from features.sources.hubspot_sandbox.answers import Reply
from features.sources.hubspot_sandbox.api import Api, Request
from features.sources.hubspot_sandbox.server import serving
from features.tables import CrmTables
from tests.features.hubspot_accounts import START, Killed, Reading, Storm, VirtualClock, make_account, make_api
from tests.features.test_hubspot_sync import small_company
from tests.serving.test_writeback import Runner, contact_rows


@dataclass
class World:
    """An account, a home that reads it and writes to it, and the weather between them."""

    folder: Path
    storm: Storm | None = None
    deaths: random.Random | None = None
    clock: VirtualClock = field(default_factory=VirtualClock)
    died: int = 0

    def __post_init__(self) -> None:
        self.account: Account = make_account(self.clock)
        self.api: Api = make_api(self.account)
        self.ids = small_company(self.account, contacts=115, deals=30, calls=40)

    @contextmanager
    def weather(self) -> Iterator[str]:
        weather = self.storm or (lambda _request, answer: answer())
        with serving(
            self.api, misfortune=lambda request, answer: weather(request, lambda: accepted(request, answer()))
        ) as url:
            yield url

    def read(self, url: str) -> CrmTables:
        # One lane, so that the same seed is the same storm.
        home = Reading(url, self.clock, landing_file(self.folder), {"lanes": 1})
        while True:
            # A new process does not know what the last one has asked in these seconds.
            self.clock.advance(seconds=10)
            with suppress(Killed, HubSpotError):
                home.sync(dies_at=self._fate())
                return home.tables()
            self.died += 1

    def write(self, url: str, rows: pd.DataFrame) -> None:
        runner = Runner(url, self.clock, self.folder)
        while True:
            self.clock.advance(seconds=10)
            with suppress(Killed, HubSpotError):
                runner.write(rows, landing=True, dies_at_update=self._fate(most=3))
                return
            self.died += 1

    def _fate(self, *, most: int = 30) -> int:
        return 0 if self.deaths is None or self.deaths.random() < 0.3 else self.deaths.randint(1, most)

    def live(self) -> list[tuple[str, Mapping[int, str | None]]]:
        """Read, score, write back; let people work; read, score and write back what changed: all of it observed."""
        seen = []
        for day in range(3):
            self._wait_until(2 * day + 1)
            with self.weather() as url:
                tables = self.read(url)
                self.write(url, self._scores(tables, day))
            seen.append((tables.digest(), self._in_hubspot()))
            self._people_work(day)
        return seen

    def _wait_until(self, day: int) -> None:
        """Let a day come: when people work must not depend on how long a storm held us up."""
        moment = START + timedelta(days=day)
        assert self.clock.moment < moment
        self.clock.moment = moment

    def _people_work(self, day: int) -> None:
        self._wait_until(2 * day + 2)
        for number in self.ids["contacts"][day * 20 : day * 20 + 15]:
            self.account.write("contacts", number, {"industry": f"industry {day}"})
        if day == 0:
            self.account.merge("contacts", self.ids["contacts"][100], self.ids["contacts"][101])
            self.account.archive("contacts", self.ids["contacts"][110])

    def _scores(self, tables: CrmTables, day: int) -> pd.DataFrame:
        # Whatever the tables say becomes the score, so that a wrong table is a wrong value in HubSpot.
        industries = tables["contacts"].set_index("contact_id")["industry"]
        likelihoods = {int(number): 0.1 + sum(map(ord, str(value))) % 60 / 100 for number, value in industries.items()}
        return contact_rows(likelihoods, day=day)

    def _in_hubspot(self) -> dict[int, str | None]:
        return {
            number: one.values.get("leadline_likelihood") for number, one in self.account.objects["contacts"].items()
        }


@pytest.mark.parametrize("seed", [5])
def test_a_storm_with_kills_ends_with_the_tables_and_the_values_of_the_calm(tmp_path: Path, seed: int) -> None:
    calm = World(tmp_path / "calm").live()
    stormy = World(tmp_path / "storm", storm=Storm(seed=seed, share=0.25), deaths=random.Random(seed))

    assert stormy.live() == calm
    assert stormy.died >= 3
    assert stormy.storm is not None
    assert set(stormy.storm.counts) == set(stormy.storm.kinds)
    assert stormy.api.meter.over == 0
    assert len({digest for digest, _ in calm}) == 3
    assert len(set(calm[2][1].values())) > 2


def accepted(request: Request, reply: Reply) -> Reply:
    """Check that HubSpot's SDK takes an answer for what it expects there, but for the nulls that it forbids."""
    if reply.status < 300:
        model = next(
            found
            for pattern, method, found in models()
            if method == request.method and re.fullmatch(pattern, request.path)
        )
        if model is not None:
            content = json.loads(json.dumps(reply.body))
            for one in content.get("results", []):
                if isinstance(one.get("properties"), dict):
                    one["properties"] = {name: value for name, value in one["properties"].items() if value is not None}
            _adapter(model).validate_python(content)
    return reply


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


@cache
def models() -> list[tuple[str, str, Any]]:
    """Which answer belongs to which path; None where the SDK has no model for it."""
    from hubspot_sdk import types
    from hubspot_sdk.types import crm

    objects, properties = "/crm/objects/2026-09/[a-z]+", "/crm/properties/2026-09/[a-z]+"
    return [
        (objects, "GET", crm.CollectionResponseSimplePublicObjectWithAssociationsForwardPaging),
        (f"{objects}/search", "POST", crm.CollectionResponseWithTotalSimplePublicObject),
        (f"{objects}/batch/(read|update)", "POST", crm.BatchResponseSimplePublicObject),
        ("/crm/associations/.+", "POST", crm.BatchResponsePublicAssociationMultiWithLabel),
        (properties, "GET", crm.CollectionResponsePropertyNoPaging),
        (properties, "POST", types.Property),
        (f"{properties}/groups", "GET", types.CollectionResponsePropertyGroupNoPaging),
        (f"{properties}/groups", "POST", types.PropertyGroup),
        ("/crm/pipelines/.+", "GET", crm.CollectionResponsePipelineNoPaging),
        ("/crm/owners/.+", "GET", crm.CollectionResponsePublicOwnerForwardPaging),
        ("/(marketing|email|oauth)/.+", "GET", None),
    ]
