"""Bulk exports over HTTP: asked for, made in the background, fetched in parts, kept for days."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pandas as pd

from serving.bulk_exports import BulkExports, ExportRequest
from serving.contract import CONTRACTS
from serving.export import export
from serving.settings import ApiSettings
from tests.serving.api.conftest import Clock, Running, later, running, wait_until
from tests.serving.conftest import APRIL, make_batch, make_contact


def finished(client: httpx.Client, url: str) -> dict[str, Any]:
    wait_until(lambda: client.get(url).json()["state"] in ("done", "failed"))
    told: dict[str, Any] = client.get(url).json()
    return told


def test_an_export_is_the_file_that_the_command_line_writes(served: Running, tmp_path: Path) -> None:
    served.store.publish(make_batch())
    client = served.client()

    asked = client.post("/v1/exports", json={"object_type": "deal", "format": "parquet"})
    told = finished(client, asked.headers["location"])
    (part,) = told["parts"]
    fetched = client.get(part["url"])
    export(served.store, "deals", "latest", "parquet", tmp_path / "file")

    assert (asked.status_code, told["state"], told["rows"], told["batch_id"]) == (202, "done", 3, "b1")
    assert fetched.content == (tmp_path / "file").read_bytes()
    assert hashlib.sha256(fetched.content).hexdigest() == part["sha256"]
    assert 'filename="deals-b1-00001.parquet"' in fetched.headers["content-disposition"]


def test_a_large_export_comes_in_parts_that_join_to_the_whole(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 's.db'}", tmp_path / "home", export_part_rows=4) as served:
        contacts = [make_contact(f"c{number:02d}") for number in range(10)]
        served.store.publish(make_batch(contacts=pd.DataFrame(contacts)))
        client = served.client()

        asked = client.post("/v1/exports", json={"object_type": "contact", "format": "ndjson", "tier": ["high"]})
        served.store.publish(make_batch("b2", as_of=APRIL))
        told = finished(client, asked.headers["location"])

        whole = client.get("/v1/contacts/scores?batch=b1", headers={"Accept": "application/x-ndjson"}).content
        assert [part["rows"] for part in told["parts"]] == [4, 4, 2]
        assert b"".join(client.get(part["url"]).content for part in told["parts"]) == whole


def test_asking_twice_with_one_idempotency_key_makes_one_export(small: Running) -> None:
    small.store.publish(make_batch())
    client, other = small.client(), small.client()
    wanted, headers = {"object_type": "contact"}, {"Idempotency-Key": "nightly-7"}

    first = client.post("/v1/exports", json=wanted, headers=headers).json()
    small.store.publish(make_batch("b2", as_of=APRIL))
    again = client.post("/v1/exports", json=wanted, headers=headers).json()
    another = client.post("/v1/exports", json={"object_type": "deal"}, headers=headers)
    theirs = other.post("/v1/exports", json=wanted, headers=headers).json()

    assert (first["export_id"], first["batch_id"]) == (again["export_id"], again["batch_id"])
    assert (another.status_code, another.json()["code"]) == (409, "idempotency_key_reused")
    assert theirs["export_id"] != first["export_id"]
    assert other.get(f"/v1/exports/{first['export_id']}").json()["code"] == "export_not_found"


def test_exports_expire_are_forgotten_and_are_limited(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 's.db'}", tmp_path / "home", exports_per_key=2) as served:
        served.store.publish(make_batch())
        client = served.client()
        urls = [client.post("/v1/exports", json={"object_type": "deal"}).headers["location"] for _ in range(2)]
        for url in urls:
            finished(client, url)

        third = client.post("/v1/exports", json={"object_type": "deal"})
        assert (third.status_code, third.json()["code"]) == (429, "too_many_exports")
        assert client.delete(urls[0]).status_code == 204
        assert client.get(urls[0]).status_code == 404
        served.clock.now = later(days=7)
        assert client.get(urls[1]).status_code == 404
        assert client.post("/v1/exports", json={"object_type": "deal"}).status_code == 202
        assert len(list((tmp_path / "home" / "exports" / "api").iterdir())) == 1


def test_an_export_that_a_restart_interrupted_is_made_again(small: Running, tmp_path: Path) -> None:
    small.store.publish(make_batch())
    asked = ExportRequest("deals", "csv", "b1", CONTRACTS["deals"].names)
    stopped = BulkExports(tmp_path / "exports", small.store, ApiSettings(), Clock())
    export_id = stopped.create("k", asked, asked="x", idempotency_key=None).export_id

    started = BulkExports(tmp_path / "exports", small.store, ApiSettings(), Clock())
    started.start()
    wait_until(lambda: started.get("k", export_id).state == "done")
    started.close()

    assert [part.rows for part in started.get("k", export_id).parts] == [3]


def test_an_export_of_a_batch_that_is_gone_fails_and_says_why(small: Running, tmp_path: Path) -> None:
    small.store.publish(make_batch())
    exports = BulkExports(tmp_path / "exports", small.store, ApiSettings(), Clock())
    asked = ExportRequest("deals", "csv", "b9", CONTRACTS["deals"].names)
    export_id = exports.create("k", asked, asked="x", idempotency_key=None).export_id

    exports.start()
    wait_until(lambda: exports.get("k", export_id).state == "failed")
    exports.close()

    assert "b9" in str(exports.get("k", export_id).error)
