"""The sandbox is kept honest by HubSpot's own clients: they drive it, and their models validate its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from features.sources.hubspot.instants import iso
from features.sources.hubspot_sandbox.account import Account
from features.sources.hubspot_sandbox.api import Api
from features.sources.hubspot_sandbox.filling import fill
from features.sources.hubspot_sandbox.limits import Plan
from features.sources.hubspot_sandbox.server import serving
from features.sources.synthetic import SyntheticSettings, simulate
from tests.features.hubspot_accounts import START, TOKEN, VirtualClock, make_account, make_api


class _WithoutNulls(httpx.HTTPTransport):
    """The SDK's models forbid a null property value, which HubSpot sends for every property that is not set."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        content = json.loads(response.read() or b"null")
        for one in content.get("results", []) if isinstance(content, dict) else []:
            if "properties" in one and isinstance(one["properties"], dict):
                one["properties"] = {name: value for name, value in one["properties"].items() if value is not None}
        headers = {"content-type": response.headers["content-type"]}
        return httpx.Response(response.status_code, headers=headers, content=json.dumps(content).encode())


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def account(clock: VirtualClock) -> Account:
    return make_account(clock)


@pytest.fixture
def api(account: Account) -> Api:
    return make_api(account)


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    with serving(api) as url:
        yield url


@pytest.fixture
def asked(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.fixture
def strict(address: str) -> Iterator[Any]:
    """HubSpot's SDK; every answer must fit its models."""
    from hubspot_sdk import HubSpot

    with httpx.Client(transport=_WithoutNulls()) as plain:
        yield HubSpot(
            access_token=TOKEN,
            base_url=address,
            http_client=plain,
            max_retries=0,
            _strict_response_validation=True,
        )


@pytest.fixture
def classic(address: str) -> Any:
    """HubSpot's older client, which speaks v3 and v4."""
    import hubspot

    return hubspot.Client(access_token=TOKEN, host=address)


def fifty_contacts(account: Account) -> list[int]:
    return [account.create("contacts", {"email": f"c{number}@example.org"}) for number in range(55)]


def test_the_sdk_pages_through_contacts_with_history_and_links(account: Account, strict: Any) -> None:
    ids = fifty_contacts(account)
    company = account.create("companies", {"name": "Acme"})
    account.link("contacts", ids[0], "companies", company, primary=True)
    account.write("contacts", ids[0], {"industry": "retail"}, at=START + timedelta(hours=1))

    page = strict.crm.objects.contacts.list(
        limit=50, properties=["email", "industry"], properties_with_history=["industry"], associations=["companies"]
    )
    found = list(page)

    assert [int(one.id) for one in found] == ids
    assert found[0].properties_with_history["industry"][0].value == "retail"
    assert [one.id for one in found[0].associations["companies"].results] == [str(company)] * 2
    assert "industry" not in found[1].properties


def test_the_sdk_accepts_batches_searches_links_owners_pipelines_and_properties(account: Account, strict: Any) -> None:
    ids = fifty_contacts(account)
    deal = account.create("deals", {"dealname": "D", "dealstage": "qualified", "pipeline": "default"})
    account.link("deals", deal, "contacts", ids[0])
    account.owners.append(
        {
            "id": "7",
            "type": "PERSON",
            "archived": False,
            "createdAt": iso(START),
            "updatedAt": iso(START),
            "teams": [{"id": "1", "name": "north", "primary": True}],
        }
    )
    objects = strict.crm.objects

    read = objects.contacts.batch.get(
        inputs=[{"id": str(ids[0])}], properties=["email"], properties_with_history=["email"]
    )
    found = objects.contacts.search(
        filter_groups=[{"filters": [{"propertyName": "hs_object_id", "operator": "GT", "value": str(ids[52])}]}],
        sorts=["hs_object_id"],
        limit=2,
        after="0",
        properties=["email"],
    )
    links = strict.crm.associations.batch.get(
        from_object_type="deals", to_object_type="contacts", inputs=[{"id": str(deal)}]
    )
    pipelines = strict.crm.pipelines.list(object_type="deals")
    owners = list(strict.crm.owners.list())
    rules = strict.crm.properties.list(object_type="contacts")

    assert read.results[0].properties["email"] == "c0@example.org"
    assert [one.id for one in found.results] == [str(ids[53]), str(ids[54])]
    assert found.total == 2
    assert links.results[0].to[0].to_object_id == str(ids[0])
    assert [stage.label for stage in pipelines.results[0].stages] == ["Qualified", "Proposal sent", "Signed", "Gone"]
    assert owners[0].teams[0].name == "north"
    assert {"email", "industry"} <= {rule.name for rule in rules.results}


def test_the_sdk_writes_a_group_a_property_and_a_batch(account: Account, strict: Any) -> None:
    contact = account.create("contacts", {"email": "c@example.org"})

    strict.crm.properties.groups.create(object_type="contacts", name="leadline", label="Leadline")
    strict.crm.properties.create(
        object_type="contacts",
        name="leadline_likelihood",
        label="Likelihood",
        type="number",
        field_type="number",
        group_name="leadline",
    )
    strict.crm.objects.contacts.batch.update(
        inputs=[{"id": str(contact), "properties": {"leadline_likelihood": "0.31"}}]
    )

    assert account.objects["contacts"][contact].values["leadline_likelihood"] == "0.31"


def test_the_older_client_pages_searches_and_reads_links(account: Account, classic: Any) -> None:
    from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
    from hubspot.crm.contacts import PublicObjectSearchRequest

    ids = fifty_contacts(account)
    company = account.create("companies", {"name": "Acme"})
    account.link("contacts", ids[0], "companies", company, primary=True)

    everyone = classic.crm.contacts.get_all(properties_with_history=["email"])
    found = classic.crm.contacts.search_api.do_search(
        public_object_search_request=PublicObjectSearchRequest(
            filter_groups=[{"filters": [{"propertyName": "hs_object_id", "operator": "GTE", "value": str(ids[54])}]}],
            sorts=["hs_object_id"],
            limit=10,
        )
    )
    links = classic.crm.associations.v4.batch_api.get_page(
        from_object_type="contacts",
        to_object_type="companies",
        batch_input_public_fetch_associations_batch_request=BatchInputPublicFetchAssociationsBatchRequest(
            inputs=[{"id": str(ids[0])}]
        ),
    )
    owners = classic.crm.owners.owners_api.get_page()
    pipelines = classic.crm.pipelines.pipelines_api.get_all(object_type="deals")

    assert [int(one.id) for one in everyone] == ids
    assert [int(one.id) for one in found.results] == ids[54:]
    assert [kind.type_id for kind in links.results[0].to[0].association_types] == [1, 279]
    assert owners.results == []
    assert pipelines.results[0].stages[2].metadata == {"probability": "1.0", "isClosed": "true"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/crm/objects/2026-09/contacts", {"params": {"limit": "101"}}, 400),
        ("GET", "/crm/objects/2026-09/contacts", {"params": {"limit": "51", "propertiesWithHistory": "email"}}, 400),
        ("POST", "/crm/objects/2026-09/contacts/search", {"json": {"limit": 201}}, 400),
        ("POST", "/crm/objects/2026-09/contacts/search", {"json": {"limit": 200, "after": "9900"}}, 400),
        ("GET", "/crm/objects/2026-09/contacts", {"params": {"properties": "x" * 16_000}}, 414),
        (
            "POST",
            "/crm/objects/2026-09/contacts/batch/read",
            {"json": {"inputs": [{"id": str(number)} for number in range(101)], "properties": []}},
            400,
        ),
        (
            "POST",
            "/crm/objects/2026-09/contacts/batch/read",
            {"json": {"inputs": [{"id": "1"}], "properties": ["email"]}},
            207,
        ),
        ("GET", "/crm/objects/2026-09/nothing", {}, 404),
    ],
)
def test_the_limits_of_the_api_are_kept(
    asked: httpx.Client, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    assert asked.request(method, path, **options).status_code == status


def test_the_hundred_and_first_request_in_ten_seconds_is_refused(asked: httpx.Client, clock: VirtualClock) -> None:
    codes = [asked.get("/crm/owners/2026-09").status_code for _ in range(101)]
    clock.advance(seconds=10)
    later = asked.get("/crm/owners/2026-09")

    assert codes == [200] * 100 + [429]
    assert later.status_code == 200
    assert later.headers["X-HubSpot-RateLimit-Remaining"] == "99"
    assert later.headers["X-HubSpot-RateLimit-Daily-Remaining"] == str(250_000 - 101)


def test_the_sixth_search_in_a_second_is_refused_and_search_tells_no_limits(
    asked: httpx.Client, clock: VirtualClock
) -> None:
    answers = [asked.post("/crm/objects/2026-09/deals/search", json={}) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[5].json()["message"] == "You have reached your secondly limit."
    assert "X-HubSpot-RateLimit-Remaining" not in answers[0].headers


def test_the_daily_quota_ends_at_midnight_of_the_account(clock: VirtualClock) -> None:
    api = make_api(make_account(clock), plan=Plan(daily=1, zone="America/New_York"))
    with serving(api) as url, httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        first, second = client.get("/crm/owners/2026-09"), client.get("/crm/owners/2026-09")
        clock.moment = START.replace(hour=23, minute=59)
        still = client.get("/crm/owners/2026-09")
        # Midnight in New York in winter.
        clock.moment = START.replace(hour=5, minute=0) + timedelta(days=1)
        next_day = client.get("/crm/owners/2026-09")

    assert [one.status_code for one in (first, second, still, next_day)] == [200, 429, 429, 200]
    assert second.json()["policyName"] == "DAILY"
    assert "Retry-After" not in second.headers


def test_search_sees_a_change_only_after_the_lag(clock: VirtualClock) -> None:
    account = make_account(clock, index_lag=timedelta(minutes=2))
    account.create("deals", {"dealname": "D"})

    before = list(account.searched("deals"))
    clock.advance(minutes=2)

    assert before == []
    assert len(list(account.searched("deals"))) == 1


def test_a_merge_joins_histories_and_names_the_merged_ids(account: Account, clock: VirtualClock) -> None:
    first = account.create("contacts", {"industry": "retail"})
    clock.advance(days=1)
    second = account.create("contacts", {"industry": "software", "jobtitle": "buyer"})

    kept = account.merge("contacts", first, second)

    record = account.objects["contacts"][kept]
    assert kept == first
    assert [entry.value for entry in record.history["industry"]] == ["retail", "software"]
    assert record.values["industry"] == "retail"
    assert record.values["jobtitle"] == "buyer"
    assert record.values["hs_merged_object_ids"] == str(second)
    assert second not in account.objects["contacts"]


def test_a_rule_of_the_administrator_refuses_the_whole_batch(asked: httpx.Client, account: Account) -> None:
    ids = [account.create("deals", {"dealname": "D"}) for _ in range(2)]
    account.forbidden["deals"] = {ids[1]: "Amount is required in this stage"}

    answer = asked.post(
        "/crm/objects/2026-09/deals/batch/update",
        json={"inputs": [{"id": str(number), "properties": {"dealname": "E"}} for number in ids]},
    )

    assert answer.status_code == 400
    assert answer.json()["message"] == "Amount is required in this stage"
    assert account.objects["deals"][ids[0]].values["dealname"] == "D"


def test_an_invented_crm_fills_an_account(clock: VirtualClock) -> None:
    tables = simulate(SyntheticSettings(contacts=50, months=6)).tables
    account = Account(now=clock.now)

    filled = fill(account, tables)

    deal = tables["deals"].iloc[0]
    record = account.objects["deals"][filled.deals[deal["deal_id"]]]
    stages = tables["deal_stage_history"]
    own = stages.loc[stages["deal_id"] == deal["deal_id"]].sort_values("entered_at")
    assert [entry.value for entry in record.history["dealstage"]] == own["stage"].tolist()
    assert record.values["hubspot_owner_id"] in {owner["id"] for owner in account.owners}
    calls = tables["activities"]["type"] == "call"
    assert len(account.objects["calls"]) == int(calls.sum())
