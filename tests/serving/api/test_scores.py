"""Scores over HTTP: pages, files, changes, single objects and lookups, as a CRM job asks for them."""

from __future__ import annotations

import csv
import errno
import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pytest

from serving.contract import CONTRACTS
from serving.database import FullStoreError, SlowStoreError
from serving.export import export
from serving.store import ScoreStore, StoreError, StoreUnreachableError
from tests.serving.api.conftest import Running
from tests.serving.conftest import APRIL, MARCH, make_batch, make_change, make_contact, make_points, make_reasons
from tests.serving.test_changes import day, scored

ACCEPT = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


def test_pages_follow_each_other_through_one_batch_while_others_are_published(served: Running) -> None:
    names = [f"c{number:02d}" for number in range(7)]
    served.store.publish(day(1, [scored(name, 0.3) for name in names]))
    client = served.client()
    seen: list[str] = []
    wanted: dict[str, Any] = {"limit": 2, "fields": "batch_id,contact_id"}

    for number in range(2, 9):
        page = client.get("/v1/contacts/scores", params=wanted).json()
        seen += [row["contact_id"] for row in page["results"]]
        assert {row["batch_id"] for row in page["results"]} == {page["batch"]["batch_id"]} == {"day1"}
        if "paging" not in page:
            break
        wanted["after"] = page["paging"]["next"]["after"]
        served.store.publish(day(number, [scored("zz", 0.5)]))

    assert seen == names
    assert [row["contact_id"] for row in client.get("/v1/contacts/scores").json()["results"]] == ["zz"]


def test_a_row_is_what_was_published(served: Running) -> None:
    served.store.publish(make_batch())

    row = served.client().get("/v1/contacts/scores/17").json()

    given = make_contact("17") | {"as_of": "2024-03-01T00:00:00Z", "reasons": json.loads(make_reasons())}
    added = dict.fromkeys(["owner_id", "points_reasons", "change"])
    assert row == given | added | {"batch_id": "b1", "scored_at": "2024-03-02T04:05:00Z"}
    assert tuple(row) == CONTRACTS["contacts"].names


@pytest.mark.parametrize("form", ACCEPT)
def test_the_service_and_the_command_line_give_the_same_bytes(served: Running, tmp_path: Path, form: Any) -> None:
    served.store.publish(make_batch())

    answer = served.client().get("/v1/deals/scores", headers={"Accept": ACCEPT[form]})
    export(served.store, "deals", "latest", form, tmp_path / "file")

    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == ACCEPT[form]
    assert answer.content == (tmp_path / "file").read_bytes()


def test_what_is_compressed_is_the_same(small: Running) -> None:
    small.store.publish(make_batch())
    client = small.client()

    for accept in ("application/json", "text/csv"):
        plain = client.get("/v1/deals/scores", headers={"Accept": accept})
        packed = client.get("/v1/deals/scores", headers={"Accept": accept, "Accept-Encoding": "gzip"})

        assert ("content-encoding" in plain.headers, packed.headers["content-encoding"]) == (False, "gzip")
        assert packed.content == plain.content
        assert packed.headers["etag"] != plain.headers["etag"]


def test_an_answer_that_the_client_has_is_not_sent_again(small: Running) -> None:
    small.store.publish(make_batch("b1"))
    client = small.client()
    for path in ("/v1/contacts/scores", "/v1/contacts/scores/17"):
        tag = client.get(path).headers["etag"]

        known = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
        other = client.get(f"{path}?fields=tier", headers={"If-None-Match": tag})

        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
        assert other.status_code == 200
    small.store.publish(make_batch("b2", as_of=APRIL))
    assert client.get("/v1/contacts/scores", headers={"If-None-Match": tag}).status_code == 200


def test_filters_and_fields_choose(served: Running) -> None:
    contacts = [scored("a", 0.25, tier="low", owner_id="7"), scored("b", 0.5), scored("c", 0.75, tier="low")]
    served.store.publish(make_batch(contacts=pd.DataFrame(contacts)))
    client = served.client()

    def ids(**wanted: Any) -> list[str]:
        answer = client.get("/v1/contacts/scores", params=wanted | {"fields": "contact_id"})
        return [row["contact_id"] for row in answer.json()["results"]]

    assert ids(tier="low") == ["a", "c"]
    assert ids(tier=["low", "high"], probability_min=0.5) == ["b", "c"]
    assert ids(owner_id="7") == ["a"]
    assert ids(updated_since="2024-03-02T04:05:00Z") == ["a", "b", "c"]
    assert ids(updated_since="2024-03-02T06:05:00+02:00") == ["a", "b", "c"]
    assert ids(updated_since="2024-03-02T04:05:01Z") == []
    # A plus that a URL did not spell %2B arrives as a blank.
    assert ids(updated_since="2024-03-02T06:05:01 02:00") == []
    assert set(client.get("/v1/deals/scores?fields=deal_id,stage&stage=offer sent").json()["results"][0]) == {
        "deal_id",
        "stage",
    }


def test_a_cursor_belongs_to_its_filters_and_batch(small: Running) -> None:
    small.store.publish(make_batch("b1"))
    client = small.client()
    after = client.get("/v1/deals/scores?limit=1").json()["paging"]["next"]["after"]

    for changed in ("stage=new", "batch=b9"):
        answer = client.get(f"/v1/deals/scores?limit=1&after={after}&{changed}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")
    assert client.get(f"/v1/contacts/scores?after={after}").json()["code"] == "invalid_cursor"
    assert client.get(f"/v1/deals/scores?limit=2&after={after}&fields=deal_id").json()["results"] == [
        {"deal_id": "d1"},
        {"deal_id": "d3"},
    ]


def test_a_walk_through_a_batch_that_was_dropped_is_told_to_begin_again(small: Running) -> None:
    small.store.publish(make_batch("b1"))
    client = small.client()
    after = client.get("/v1/deals/scores?limit=1").json()["paging"]["next"]["after"]
    for number in range(31):
        as_of = MARCH + timedelta(days=number + 1)
        small.store.publish(make_batch(f"n{number}", as_of=as_of, contacts=None))
    small.store.publish(make_batch("c", as_of=as_of, deals=None))
    small.store.prune(now=as_of + timedelta(days=365))

    answer = client.get(f"/v1/deals/scores?limit=1&after={after}")

    assert (answer.status_code, answer.json()["code"]) == (410, "batch_gone")


def test_a_job_that_keeps_its_cursor_is_told_each_change_once(served: Running) -> None:
    served.store.publish(day(1, [scored(name, 0.3) for name in "abcde"]))
    client = served.client()
    cursor: str | None = None

    def visit() -> list[tuple[str, str]]:
        nonlocal cursor
        told, more = [], True
        while more:
            wanted = {"limit": 2, "fields": "close_likelihood"} | ({} if cursor is None else {"since": cursor})
            answer = client.get("/v1/contacts/scores/changes", params=wanted).json()
            told += [(one["id"], one["change"]) for one in answer["results"]]
            cursor, more = answer["cursor"], answer["more"]
        return told

    assert visit() == [(name, "updated") for name in "abcde"]
    assert visit() == []
    served.store.publish(day(2, [scored("a", 0.4), scored("c", 0.3), scored("d", 0.3), scored("f", 0.2)]))
    assert visit() == [("a", "updated"), ("b", "removed"), ("e", "removed"), ("f", "updated")]
    lines = client.get("/v1/contacts/scores/changes", params={"since": cursor}, headers={"Accept": ACCEPT["ndjson"]})
    assert (lines.text, lines.headers["leadline-more"]) == ("", "false")


def test_a_cursor_of_a_store_that_was_replaced_is_told_to_begin_again(small: Running, tmp_path: Path) -> None:
    for number in (1, 2):
        small.store.publish(day(number, [scored("a", 0.3)]))
    cursor = small.client().get("/v1/contacts/scores/changes").json()["cursor"]
    small.store.close()
    for file in tmp_path.glob("scores.db*"):
        file.unlink()
    small.store.publish(day(1, [scored("a", 0.3)]))

    for number in (2, 3):
        answer = small.client().get("/v1/contacts/scores/changes", params={"since": cursor})

        assert (answer.status_code, answer.json()["code"]) == (410, "batch_gone")
        # From now on the new store holds another batch in the place of the one that the cursor saw.
        other = day(number, [scored("a", 0.3)])
        small.store.publish(replace(other, batch_id=f"other{number}"))


def test_history_and_the_reason_of_a_change_add_up(small: Running) -> None:
    was = scored("a", 0.3, base_rate=0.2)
    change = make_change(facts=0.2, time=-0.05, since="2024-03-02T00:00:00Z")
    now = scored("a", 0.45, previous_likelihood=0.3, change=change)
    now |= {"reasons": make_reasons(activity=0.3, company=-0.05)}
    small.store.publish(day(1, [was]))
    small.store.publish(day(2, [now]))
    client = small.client()

    past = client.get("/v1/contacts/scores/a/history").json()["results"]
    why = client.get("/v1/contacts/scores/a/why-changed").json()

    assert [(one["batch_id"], one["close_likelihood"]) for one in past] == [("day2", 0.45), ("day1", 0.3)]
    assert (why["from"], why["to"], round(why["difference"], 9)) == ("day1", "day2", 0.15)
    assert [(one["family"], round(one["change"], 9)) for one in why["families"]] == [
        ("activity", 0.2),
        ("company", -0.05),
    ]
    total = why["base_rate_change"] + sum(one["change"] for one in why["families"])
    assert abs(total - why["difference"]) < 1e-9
    assert abs(sum(one["effect"] for one in why["parts"]) - why["difference"]) < 1e-9
    assert why["words"] == "+20.0 percentage points: new: 2 × call"


def test_a_first_score_has_not_changed_from_anything(small: Running) -> None:
    small.store.publish(day(1, [scored("a", 0.3)]))

    why = small.client().get("/v1/contacts/scores/a/why-changed").json()

    assert (why["from"], why["to"], why["difference"]) == (None, "day1", None)
    assert why["words"] == "the first score: nothing to compare it with"


def test_what_says_why_needs_the_right_to_know(small: Running) -> None:
    small.store.publish(day(1, [scored("a", 0.3, points_reasons=make_points(a=35.0))]))
    told = {"reasons", "points_reasons", "change"}

    shut, open_ = (small.client(*scopes) for scopes in (("scores:read",), ("scores:read", "reasons:read")))

    assert told.isdisjoint(shut.get("/v1/contacts/scores/a").json())
    assert told <= open_.get("/v1/contacts/scores/a").json().keys()
    assert open_.get("/v1/contacts/scores/a").json()["points_reasons"][0]["points"] == 35.0
    for name in told:
        refused = shut.get("/v1/contacts/scores/a", params={"fields": name})
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")


def test_many_are_looked_up_at_once_and_the_missing_are_named(small: Running) -> None:
    small.store.publish(make_batch())
    client = small.client()
    wanted = {"object_type": "deal", "ids": ["d1", "nobody/1", "D2", "d1"], "fields": ["deal_id"]}

    answer = client.post("/v1/scores/lookup", json=wanted)
    too_many = client.post("/v1/scores/lookup", json=wanted | {"ids": [str(number) for number in range(1001)]})

    assert answer.json()["results"] == [{"deal_id": "D2"}, {"deal_id": "d1"}]
    assert answer.json()["missing"] == ["nobody/1"]
    assert (too_many.status_code, too_many.json()["code"]) == (400, "invalid_parameter")


def test_csv_is_inert_and_numbers_are_untouched(small: Running) -> None:
    hostile = ['=HYPERLINK("http://x")', "+1", "-1+1", "@SUM(A1)", "</script><b>", "\u202e=1", "a\0b"]
    contacts = [scored(f"c{number}", 0.3, owner_id=name, points=-5.0) for number, name in enumerate(hostile)]
    small.store.publish(make_batch(contacts=pd.DataFrame(contacts)))
    client = small.client()

    text = client.get("/v1/contacts/scores", headers={"Accept": "text/csv"}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    plain = client.get("/v1/contacts/scores").json()["results"]

    assert [row["owner_id"][0] for row in rows] == ["'", "'", "'", "'", "<", "'", "a"]
    assert {row["points"] for row in rows} == {"-5.0"}
    assert [row["owner_id"] for row in plain] == [name.replace("\0", "\ufffd") for name in hostile]


def test_a_whole_batch_streams_in_parts_with_the_schema_of_the_contract(small: Running) -> None:
    contacts = [make_contact(f"{number:05d}") for number in range(2_001)]
    small.store.publish(make_batch(contacts=pd.DataFrame(contacts)))

    answer = small.client().get("/v1/contacts/scores", headers={"Accept": ACCEPT["arrow"]})

    with pa.ipc.open_stream(io.BytesIO(answer.content)) as stream:
        sizes = [part.num_rows for part in stream]
        assert stream.schema.metadata[b"batch_id"] == b"b1"
    assert sizes == [2_000, 1]
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/v1/contacts/scores", {"Accept": "image/png"}, 406, "not_acceptable"),
        ("/v1/contacts/scores?tier=great", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?limit=0", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?limit=1001", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?stage=new", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?fields=emails", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?probability_min=nan", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?updated_since=2024-03-01T00:00:00", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?updated_since=9999-12-31T23:59:59-10:00", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?owner_id=%00", {}, 400, "invalid_parameter"),
        ("/v1/contacts/scores?after=e30", {}, 400, "invalid_cursor"),
        ("/v1/contacts/scores/changes?since=AAAA", {}, 400, "invalid_cursor"),
        ("/v1/contacts/scores?batch=none", {}, 404, "batch_not_found"),
        ("/v1/contacts/scores/nobody", {}, 404, "object_not_found"),
        ("/v1/contacts/scores/nobody/history", {}, 404, "object_not_found"),
        ("/v1/contacts/scores/nobody/why-changed", {}, 404, "object_not_found"),
        ("/v1/models/none", {}, 404, "not_found"),
        ("/v1/reports/b1", {}, 404, "not_found"),
        ("/v1/companies/scores", {}, 404, "not_found"),
        ("/v1/scores/lookup", {}, 405, "method_not_allowed"),
        ("/v1/contacts/scores/", {}, 404, "not_found"),
    ],
)
def test_refusals_are_problems_with_a_code(
    small: Running, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    small.store.publish(make_batch())

    answer = small.client().get(path, headers=headers)

    told = answer.json()
    assert (answer.status_code, told["code"], told["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(told) >= {"type", "title", "detail"}


def test_a_body_that_does_not_say_that_it_is_json_is_told_to(small: Running) -> None:
    small.store.publish(make_batch())
    body = b'{"object_type": "contact", "ids": ["17"]}'

    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = small.client().post("/v1/scores/lookup", content=body, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        assert "Content-Type: application/json" in answer.json()["detail"]


def test_a_check_that_asks_for_the_head_alone_is_answered(small: Running) -> None:
    answers = [httpx.head(f"{small.url}{path}") for path in ("/health", "/ready")]

    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b""), (503, b"")]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnreachableError("secret"), 503, "store_unavailable"),
        (SlowStoreError("secret"), 503, "store_slow"),
        (FullStoreError("secret"), 503, "disk_full"),
        (StoreError("secret"), 500, "internal_error"),
        (OSError(errno.ENOSPC, "secret"), 503, "disk_full"),
    ],
)
def test_a_failure_is_told_to_the_operator_and_not_to_the_client(
    small: Running,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Any,
    status: int,
    code: str,
) -> None:
    def fail(*_arguments: Any) -> None:
        raise error

    client = small.client()
    monkeypatch.setattr(ScoreStore, "batches", fail)

    answer = client.get("/v1/batches")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "secret" not in answer.text
    assert "secret" in caplog.text


def test_stale_scores_are_told_by_readiness_metric_header_and_body(small: Running) -> None:
    client = small.client()
    empty = client.get("/ready")
    small.store.publish(make_batch())
    fresh = client.get("/v1/contacts/scores")
    assert (empty.status_code, client.get("/ready").json()["status"]) == (503, "ready")

    small.clock.now += timedelta(hours=36)

    stale = client.get("/v1/contacts/scores")
    assert client.get("/ready").json() == {
        "status": "stale",
        "scores": {"contacts": "stale", "deals": "stale"},
        "tables_held": False,
    }
    assert ("leadline-stale" in fresh.headers, stale.headers["leadline-stale"]) == (False, "true")
    assert (fresh.json()["batch"]["stale"], stale.json()["batch"]["stale"]) == (False, True)
    assert 'leadline_scores_stale{question="deals"} 1.0' in client.get("/metrics").text
    assert stale.headers["etag"] != fresh.headers["etag"]


def test_tables_that_are_held_back_are_told_by_readiness_and_metric(small: Running) -> None:
    small.store.publish(make_batch())
    client = small.client()
    before = client.get("/metrics").text

    small.service.held.parent.mkdir(exist_ok=True)
    small.service.held.write_text("{}", encoding="utf-8")

    assert client.get("/ready").json()["tables_held"] is True
    assert "leadline_tables_held 0.0" in before
    assert "leadline_tables_held 1.0" in client.get("/metrics").text


def test_batches_models_and_reports_are_there_to_read(small: Running, tmp_path: Path) -> None:
    card = {"use": "model", "calibrated": True, "trained_as_of": "2024-02-01", "evaluation": {"objects": 5}}
    small.store.publish(make_batch(cards={"contacts": card}))
    (tmp_path / "home" / "reports").mkdir(parents=True)
    (tmp_path / "home" / "reports" / "b1.html").write_text("<p>report", encoding="utf-8")
    client = small.client()

    batches = client.get("/v1/batches").json()["results"]
    models = client.get("/v1/models").json()["results"]

    assert [(one["batch_id"], one["latest_for"], one["rows"]) for one in batches] == [
        ("b1", ["contacts", "deals"], {"contacts": 2, "deals": 3})
    ]
    assert client.get("/v1/batches/b1").json()["summary"] == {"base_rates": {"contacts": 0.2, "deals": 0.2}}
    assert [(one["model_version"], one["question"], one["use"]) for one in models] == [
        ("contacts-3", "contacts", "model")
    ]
    assert client.get("/v1/models/contacts-3").json()["evaluation"] == {"objects": 5}
    assert [one["url"] for one in client.get("/v1/reports").json()["results"]] == ["/v1/reports/b1"]
    report = client.get("/v1/reports/latest")
    assert (report.text, "script-src" in report.headers["content-security-policy"]) == ("<p>report", False)


def test_the_documentation_needs_no_network(small: Running) -> None:
    client = small.client()

    page = client.get("/docs").text
    document = client.get("/openapi.json").json()

    assert document["openapi"] == "3.1.0"
    assert all(path in page for path in document["paths"])
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
