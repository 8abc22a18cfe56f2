"""Who may: every route with every kind of key, limits that hold, and a log that names nobody."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from serving.keys import create_key, end_key, list_keys, verify_key
from serving.rate_limit import RateLimit
from tests.serving.api.conftest import Running, later, running, wait_until
from tests.serving.conftest import make_batch, make_contact

SCORES = {"scores:read", "admin"}
REASONS = {"reasons:read", "admin"}
REPORTS = {"reports:read", "admin"}
EITHER = {"scores:read", "reports:read", "admin"}
ADMIN = {"admin"}
EVERYBODY = {"nobody"}

# Every route, and which keys open it.
OPENS = {
    "GET /v1/contacts/scores": SCORES,
    "GET /v1/contacts/scores/changes": SCORES,
    "GET /v1/contacts/scores/{object_id}": SCORES,
    "GET /v1/contacts/scores/{object_id}/history": SCORES,
    "GET /v1/contacts/scores/{object_id}/why-changed": REASONS,
    "GET /v1/deals/scores": SCORES,
    "GET /v1/deals/scores/changes": SCORES,
    "GET /v1/deals/scores/{object_id}": SCORES,
    "GET /v1/deals/scores/{object_id}/history": SCORES,
    "GET /v1/deals/scores/{object_id}/why-changed": REASONS,
    "POST /v1/scores/lookup": SCORES,
    "POST /v1/exports": SCORES,
    "GET /v1/exports/{export_id}": SCORES,
    "DELETE /v1/exports/{export_id}": SCORES,
    "GET /v1/exports/{export_id}/parts/{number}": SCORES,
    "GET /v1/batches": EITHER,
    "GET /v1/batches/{batch_id}": EITHER,
    "GET /v1/models": REPORTS,
    "GET /v1/models/{model_version}": REPORTS,
    "GET /v1/reports": REPORTS,
    "GET /v1/reports/{batch_id}": REPORTS,
    "GET /metrics": ADMIN,
    "GET /health": EVERYBODY,
    "GET /ready": EVERYBODY,
}
BODIES = {
    "POST /v1/scores/lookup": {"object_type": "contact", "ids": ["17"]},
    "POST /v1/exports": {"object_type": "contact"},
}


def filled(path: str) -> str:
    export = "0" * 24
    return re.sub(
        r"\{(\w+)\}",
        lambda part: {"object_id": "17", "export_id": export, "number": "1", "batch_id": "b1"}.get(part[1], "m"),
        path,
    )


def test_every_route_opens_to_the_keys_it_should_and_to_no_other(small: Running) -> None:
    small.store.publish(make_batch())
    keys: dict[str, str | None] = {
        name: small.key(name) for name in ("scores:read", "reasons:read", "reports:read", "admin")
    }
    ended = create_key(small.store, name="old", scopes=["admin"], now=later(days=-9), expires_at=later(days=-1))[1]
    key, revoked = create_key(small.store, name="gone", scopes=["admin"], now=later())
    end_key(small.store, key.key_id, at=later(), revoke=True)
    wrong = str(keys["admin"])[:-1] + ("0" if str(keys["admin"])[-1] != "0" else "1")
    keys |= {
        "none": None,
        "expired": ended,
        "revoked": revoked,
        "wrong": wrong,
        "odd": "Bearer \u00e4".encode().decode("latin-1"),
    }
    document = httpx.get(f"{small.url}/openapi.json").json()
    routes = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}

    assert routes == set(OPENS)
    for route, opens in OPENS.items():
        method, path = route.split(" ", 1)
        told = document["paths"][path][method.lower()]
        assert (
            set(re.findall(r"\w+:read|admin", told.get("description", "admin"))) | ADMIN == (opens - EVERYBODY) | ADMIN
        )
        assert ("security" in told) == (opens is not EVERYBODY)
    client = httpx.Client(base_url=small.url)
    small.clients.append(client)
    for route, opens in OPENS.items():
        method, path = route.split(" ", 1)
        for kind, text in keys.items():
            # A kind each of client, so that the wrong ones are refused for their key, not for how often they came.
            small.service.failures.__init__(per_minute=30)  # type: ignore[misc]
            headers = {} if text is None else {"Authorization": f"Bearer {text}".encode("latin-1")}
            answer = client.request(method, filled(path), headers=headers, json=BODIES.get(route))  # type: ignore[arg-type]
            if opens is EVERYBODY or kind in opens:
                assert answer.status_code not in (401, 403), (route, kind)
            elif kind in ("none", "expired", "revoked", "wrong", "odd"):
                assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), (route, kind)
                assert answer.headers["www-authenticate"].startswith("Bearer")
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope"), (route, kind)
            if answer.status_code in (401, 403):
                assert "close_likelihood" not in answer.text


def test_reasons_need_their_own_scope(small: Running) -> None:
    small.store.publish(make_batch())
    plain, both = small.client("scores:read"), small.client("scores:read", "reasons:read")

    for path in ("/v1/contacts/scores", "/v1/contacts/scores/changes", "/v1/contacts/scores/17"):
        assert "reasons" not in plain.get(path).text
        assert "Was in touch lately" in both.get(path).text
        refused = plain.get(path, params={"fields": "reasons"})
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    lines = plain.get("/v1/contacts/scores", headers={"Accept": "application/x-ndjson"}).text
    assert "reasons" not in lines
    assert plain.post("/v1/exports", json={"object_type": "deal", "fields": ["reasons"]}).status_code == 403


def test_a_key_is_kept_as_a_hash_and_compared_in_constant_time(small: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(left: str, right: str) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr("serving.keys.hmac.compare_digest", compare)
    text = small.key("scores:read")

    assert verify_key(small.store, text, now=later()) is not None
    assert verify_key(small.store, f"ll_{'0' * 12}_{'0' * 64}", now=later()) is None
    assert verify_key(small.store, "nonsense", now=later()) is None
    assert len(compared) == 3
    assert all(len(left) == len(right) == 64 for left, right in compared)
    small.store.close()
    kept = b"".join(path.read_bytes() for path in Path(small.store.name.split()[-1]).parent.glob("scores.db*"))
    assert text.rsplit("_", 1)[1].encode() not in kept


def test_a_replaced_key_works_until_the_overlap_is_over(small: Running) -> None:
    small.store.publish(make_batch())
    key, old = create_key(small.store, name="job", scopes=["scores:read"], now=later(), expires_at=later(days=300))
    end_key(small.store, key.key_id, at=later(days=7), revoke=False)
    client = small.client(key=old)

    assert client.get("/v1/batches").status_code == 200
    small.clock.now = later(days=7)
    assert client.get("/v1/batches").status_code == 401
    assert [one.state(small.clock()) for one in list_keys(small.store)] == ["expired"]


def test_a_key_that_comes_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 's.db'}", tmp_path / "home", requests_per_minute=3) as served:
        served.store.publish(make_batch())
        often, other = served.client(), served.client()

        answers = [often.get("/v1/batches") for _ in range(4)]

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[3].json()["code"] == "rate_limited"
        assert 1 <= int(answers[3].headers["retry-after"]) <= 20
        assert other.get("/v1/batches").status_code == 200


def test_who_guesses_keys_is_slowed_down_and_in_nobodys_way(small: Running) -> None:
    small.store.publish(make_batch())
    client = small.client()

    guesses = [client.get("/v1/batches", headers={"Authorization": ""}) for _ in range(32)]

    assert [answer.status_code for answer in guesses] == [401] * 30 + [429] * 2
    assert int(guesses[-1].headers["retry-after"]) >= 1
    # A job of the same machine with a good key.
    assert client.get("/v1/batches").status_code == 200


def test_a_bucket_fills_steadily_up_to_its_brim() -> None:
    now = 0.0
    limit = RateLimit(per_minute=60, clock=lambda: now)
    assert [limit.take("a").wait_seconds for _ in range(61)] == [0] * 60 + [1]

    now = 2.0

    assert [limit.take("a").wait_seconds for _ in range(3)] == [0, 0, 1]
    now = 1e6
    assert limit.take("a").left == 59


def test_bodies_are_limited_in_size_and_time(tmp_path: Path) -> None:
    settings = {"body_bytes": 2_000, "body_seconds": 0.3}
    with running(f"sqlite:///{tmp_path / 's.db'}", tmp_path / "home", **settings) as served:
        client = served.client()
        large = client.post("/v1/scores/lookup", content=b"x" * 2_001)

        def chunks() -> object:
            yield from (b"x" * 1_000 for _ in range(3))

        chunked = client.post("/v1/scores/lookup", content=chunks())  # type: ignore[arg-type]
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as slow:
            slow.sendall(b"POST /v1/scores/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            told = slow.recv(10_000)

        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        assert chunked.status_code == 413
        assert told.startswith(b"HTTP/1.1 408")


def test_a_head_that_does_not_come_in_time_ends_the_connection(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 's.db'}", tmp_path / "home", body_seconds=0.3) as served:
        for begun in (b"", b"GET /health HTTP/1.1\r\nX-"):
            with connected(served) as slow:
                slow.sendall(begun)
                assert slow.recv(10_000) == b""
        with connected(served) as slow:
            slow.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            told = b""
            while not told.endswith(b'{"status":"ok"}'):
                told += slow.recv(10_000)
            slow.sendall(b"GET /")
            assert slow.recv(10_000) == b""


def connected(served: Running) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    made = socket.socket()
    # As little as the system allows: what the server has sent must wait with the server.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    made.settimeout(20)
    made.connect((host, int(port)))
    return made


def test_a_client_that_takes_nothing_is_cut_off_and_only_some_batches_are_streamed_at_a_time(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"send_seconds": 1.0, "streams": 1}
    with running(f"sqlite:///{tmp_path / 's.db'}", tmp_path / "home", **settings) as served:
        contacts = pd.DataFrame([make_contact(f"{number:05d}") for number in range(7_000)])
        served.store.publish(make_batch(contacts=contacts))
        client, key = served.client(), served.key("scores:read", "reasons:read")
        accept = {"Accept": "application/x-ndjson"}
        with connected(served) as slow:
            asked = f"GET /v1/contacts/scores HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            slow.sendall(f"{asked}Accept: {accept['Accept']}\r\n\r\n".encode())
            assert slow.recv(12) == b"HTTP/1.1 200"
            refused = client.get("/v1/contacts/scores", headers=accept)

            wait_until(lambda: client.get("/v1/contacts/scores", headers=accept).status_code == 200)
            told = b"".join(iter(lambda: slow.recv(1 << 20), b""))

        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "busy", "5")
        # Without the end of a body, so that nobody takes it for the whole.
        assert len(told) > 0
        assert not told.endswith(b"0\r\n\r\n")


def test_every_answer_carries_headers_that_keep_browsers_safe(small: Running) -> None:
    client = small.client()
    for path in ("/health", "/docs", "/nope", "/v1/batches?"):
        headers = client.get(path, headers={"Authorization": ""}).headers

        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_the_audit_log_says_who_asked_for_what_and_names_no_object(small: Running, tmp_path: Path) -> None:
    small.store.publish(make_batch())
    client = small.client()
    client.get("/v1/contacts/scores/jane@example.org?fields=tier")
    client.get("/v1/contacts/scores?owner_id=jane@example.org")
    log = tmp_path / "home" / "audit" / "2024-03-02.jsonl"
    wait_until(lambda: log.is_file() and log.read_text(encoding="utf-8").count("\n") == 2)

    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]

    key = list_keys(small.store)[0].key_id
    assert [(one["key"], one["method"], one["route"], one["status"], one["batch"]) for one in lines] == [
        (key, "GET", "/v1/contacts/scores/{object_id}", 404, "b1"),
        (key, "GET", "/v1/contacts/scores", 200, "b1"),
    ]
    assert "jane" not in log.read_text(encoding="utf-8")
    assert "jane" not in client.get("/metrics").text


def test_a_store_that_is_away_is_a_503_and_comes_back_alone(small: Running, tmp_path: Path) -> None:
    small.store.publish(make_batch())
    client = small.client()
    small.store.close()
    file = tmp_path / "scores.db"
    file.rename(tmp_path / "away.db")
    file.mkdir()

    away = client.get("/v1/batches")
    file.rmdir()
    (tmp_path / "away.db").rename(file)

    assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, "store_unavailable", "5")
    assert str(tmp_path) not in away.text
    assert client.get("/v1/batches").status_code == 200
