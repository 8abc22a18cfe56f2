from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from features.sources.hubspot.client import (
    ConnectionSettings,
    Credentials,
    DailyLimitError,
    HubSpotClient,
    MissingScopeError,
    RefusedRequestError,
    TokenRefusedError,
    UnavailableError,
)
from features.sources.hubspot.pace import PaceSettings
from features.sources.hubspot_sandbox.answers import Reply
from features.sources.hubspot_sandbox.api import Api, Request
from features.sources.hubspot_sandbox.limits import Plan
from features.sources.hubspot_sandbox.server import Misfortune, serving, undisturbed
from tests.features.hubspot_accounts import TOKEN, Storm, VirtualClock, make_account, make_api

OWNERS = "/crm/owners/2026-09"


@contextmanager
def connected(
    api: Api,
    clock: VirtualClock,
    *,
    misfortune: Misfortune = undisturbed,
    credentials: Credentials | None = None,
    **settings: Any,
) -> Iterator[HubSpotClient]:
    with serving(api, misfortune=misfortune) as url:
        client = HubSpotClient(
            settings=ConnectionSettings(base_url=url, **settings),
            credentials=credentials or Credentials(token=SecretStr(TOKEN)),
            clock=clock,
        )
        yield client
        client.close()


def first_answers(*replies: Reply | None) -> Misfortune:
    """Answer the first requests like this, and all later ones as they deserve."""
    waiting = list(replies)

    def answer_first(_request: Request, answer: Callable[[], Reply]) -> Reply | None:
        return waiting.pop(0) if waiting else answer()

    return answer_first


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def api(clock: VirtualClock) -> Api:
    return make_api(make_account(clock))


def test_no_request_comes_too_soon_and_the_allowed_rate_is_used(api: Api, clock: VirtualClock) -> None:
    begun = clock.moment
    with connected(api, clock, pace=PaceSettings(requests_per_10_seconds=90)) as client:
        for _ in range(300):
            client.get(OWNERS)

    # 90 at once, then 90 in every further ten seconds: the 300th is sent after 30 s.
    assert api.meter.over == 0
    assert (clock.moment - begun).total_seconds() == pytest.approx(30.0, abs=0.01)


def test_searches_keep_their_own_limit(api: Api, clock: VirtualClock) -> None:
    begun = clock.moment
    with connected(api, clock) as client:
        for _ in range(20):
            client.post("/crm/objects/2026-09/deals/search", {"limit": 1})

    # Four at once, then four in every further second.
    assert api.meter.over == 0
    assert (clock.moment - begun).total_seconds() == pytest.approx(4.0, abs=0.01)


def test_what_other_apps_use_is_left_to_them(api: Api, clock: VirtualClock) -> None:
    with connected(api, clock, pace=PaceSettings(requests_per_10_seconds=90)) as client:
        client.get(OWNERS)
        api.meter.spend(60)
        for _ in range(60):
            client.get(OWNERS)

    assert api.meter.over == 0


def test_a_smaller_limit_than_the_configured_one_is_learnt_from_the_headers(clock: VirtualClock) -> None:
    api = make_api(make_account(clock), plan=Plan(burst=50))
    with connected(api, clock, pace=PaceSettings(requests_per_10_seconds=180)) as client:
        for _ in range(120):
            client.get(OWNERS)

    assert api.meter.over == 0


@pytest.mark.parametrize(
    ("reply", "waited"),
    [
        (Reply(429, {"policyName": "SECONDLY", "message": "secondly limit"}, {"Retry-After": "7"}), 7),
        (Reply(429, {"message": "You have reached your secondly limit."}), 1),
        (Reply(429, {"policyName": "TEN_SECONDLY_ROLLING", "message": "ten_secondly_rolling limit."}), 10),
        (Reply(429, {"message": "You have reached your ten_secondly_rolling limit."}), 10),
        (Reply(423, {"message": "locked"}), 2),
        (Reply(477, {"message": "migration"}, {"Retry-After": "30"}), 30),
    ],
)
def test_the_wait_is_what_hubspot_asks_for_or_what_its_limit_means(
    api: Api, clock: VirtualClock, reply: Reply, waited: float
) -> None:
    with connected(api, clock, misfortune=first_answers(reply)) as client:
        body = client.get(OWNERS)

    assert body == {"results": []}
    assert clock.slept == [waited]


@pytest.mark.parametrize(
    "reply",
    [
        None,
        Reply(502, None, {"Content-Type": "text/html"}, b"<html>"),
        Reply(524, {"message": "timeout"}),
        Reply(200, None, {"Content-Type": "text/html"}, b"<html>all is well</html>"),
        Reply(200, None, {}, b'{"results": ['),
        Reply(200, None, {"Content-Length": "500"}, b'{"results": ['),
    ],
    ids=["cut", "bad gateway", "timeout", "HTML", "broken JSON", "truncated"],
)
def test_an_answer_that_is_none_is_asked_for_again(api: Api, clock: VirtualClock, reply: Reply | None) -> None:
    with connected(api, clock, misfortune=first_answers(reply, reply)) as client:
        body = client.get(OWNERS)

    assert body == {"results": []}
    assert len(clock.slept) == 2
    assert clock.slept[0] < clock.slept[1]


def test_it_gives_up_after_the_configured_attempts_and_says_that_all_is_kept(api: Api, clock: VirtualClock) -> None:
    with (
        connected(api, clock, misfortune=lambda _request, _answer: Reply(503), attempts=3) as client,
        pytest.raises(UnavailableError, match=r"after 3 tries: status 503\. All that was read before is kept"),
    ):
        client.get(OWNERS)

    assert client.requests == 3


def test_the_end_of_the_day_is_told_before_others_are_left_without(clock: VirtualClock) -> None:
    api = make_api(make_account(clock), plan=Plan(daily=50))
    with connected(api, clock, pace=PaceSettings(keep_daily=20)) as client:
        for _ in range(30):
            client.get(OWNERS)

        with pytest.raises(DailyLimitError, match="but for 20 that are left to other apps"):
            client.get(OWNERS)

    assert api.meter.used_today == 30


def test_a_daily_refusal_is_not_asked_again(api: Api, clock: VirtualClock) -> None:
    refusal = Reply(429, {"policyName": "DAILY", "message": "You have reached your daily limit."})
    with connected(api, clock, misfortune=first_answers(refusal)) as client, pytest.raises(DailyLimitError):
        client.get(OWNERS)

    assert clock.slept == []


def test_a_token_that_expires_in_the_middle_is_renewed_once(api: Api, clock: VirtualClock) -> None:
    credentials = Credentials(
        client_id="app", client_secret=SecretStr("app-secret"), refresh_token=SecretStr("refresh-me")
    )
    with connected(api, clock, credentials=credentials) as client:
        client.get(OWNERS)
        api.token = "a-later-token"
        body = client.get(OWNERS)

    assert body == {"results": []}
    assert [path for _, path in api.calls].count("/oauth/2026-09/token") == 2


def test_one_401_is_a_hiccup_and_two_are_a_refusal(api: Api, clock: VirtualClock) -> None:
    hiccup = Reply(401, {"message": "expired"})
    with connected(api, clock, misfortune=first_answers(hiccup)) as client:
        assert client.get(OWNERS) == {"results": []}
    with (
        connected(api, clock, misfortune=first_answers(hiccup, hiccup)) as client,
        pytest.raises(TokenRefusedError, match="LEADLINE_HUBSPOT_TOKEN") as caught,
    ):
        client.get(OWNERS)

    assert TOKEN not in str(caught.value)


def test_without_a_token_nothing_is_asked(api: Api, clock: VirtualClock) -> None:
    nobody = Credentials()
    with connected(api, clock, credentials=nobody) as client, pytest.raises(TokenRefusedError, match="found none"):
        client.get(OWNERS)

    assert api.calls == []


def test_a_missing_scope_is_told_by_its_name(api: Api, clock: VirtualClock) -> None:
    api.missing.add("crm.objects.owners.read")
    with connected(api, clock) as client, pytest.raises(MissingScopeError, match=r"crm\.objects\.owners\.read"):
        client.get(OWNERS)


def test_a_refusal_carries_hubspots_reason_without_addresses(api: Api, clock: VirtualClock) -> None:
    said = Reply(400, {"category": "VALIDATION_ERROR", "message": "ada@example.org is not a valid owner."})
    with (
        connected(api, clock, misfortune=first_answers(said)) as client,
        pytest.raises(RefusedRequestError, match=r"400 VALIDATION_ERROR: \(an address\) is not a valid") as caught,
    ):
        client.get(OWNERS)

    assert caught.value.status == 400


def test_a_storm_passes_without_a_request_over_the_limit(api: Api, clock: VirtualClock) -> None:
    storm = Storm(seed=3)
    with connected(api, clock, misfortune=storm) as client:
        bodies = [client.get(OWNERS) for _ in range(150)]

    assert bodies == [{"results": []}] * 150
    assert sum(storm.counts.values()) > 30
    assert api.meter.over == 0


@pytest.mark.parametrize("refreshes", [False, True])
def test_tokens_and_secrets_appear_in_no_log_and_no_error(
    api: Api, clock: VirtualClock, caplog: pytest.LogCaptureFixture, refreshes: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    app = Credentials(client_id="app", client_secret=SecretStr("s3cret-0815"), refresh_token=SecretStr("refresh-0816"))
    refused = Reply(401, {"message": "expired"})
    with (
        connected(
            api,
            clock,
            credentials=app if refreshes else None,
            misfortune=lambda request, answer: answer() if request.path.startswith("/oauth") else refused,
        ) as client,
        pytest.raises(TokenRefusedError) as caught,
    ):
        client.get(OWNERS)

    assert caplog.records
    told = caplog.text + repr(caught.value) + repr(client.__dict__)
    assert [secret for secret in (TOKEN, "s3cret-0815", "refresh-0816") if secret in told] == []


@pytest.mark.parametrize("url", ["http://api.hubapi.com", "ftp://localhost", "api.hubapi.com"])
def test_the_token_is_sent_over_encrypted_connections_alone(url: str) -> None:
    with pytest.raises(ValidationError, match="https://"):
        ConnectionSettings(base_url=url)


@pytest.mark.parametrize("version", ["2026-09", "2026-03", "v3"])
def test_every_version_speaks_to_the_same_account(api: Api, clock: VirtualClock, version: Any) -> None:
    deal = api.account.create("deals", {"dealname": "D"})
    contact = api.account.create("contacts", {"email": "c@example.org"})
    api.account.link("deals", deal, "contacts", contact)
    with connected(api, clock, api_version=version) as client:
        paths = client.paths
        listed = client.get(paths.objects("deals"), {"limit": "1"})
        links = client.post(paths.links("deals", "contacts"), {"inputs": [{"id": str(deal)}]}).body
        pipelines = client.get(paths.pipelines())
        client.get(paths.properties("deals"))
        client.get(paths.forms())
        client.get(paths.web_events(), {"objectId": str(contact), "objectType": "contact"})

    assert listed["results"][0]["id"] == str(deal)
    assert links["results"][0]["to"][0]["toObjectId"] == str(contact)
    assert pipelines["results"][0]["id"] == "default"
