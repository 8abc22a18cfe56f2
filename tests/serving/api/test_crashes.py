"""What production does: publishers killed while readers page, runs that freeze, full disks, databases that restart."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.store import Lease, LeaseLostError, ScoreStore
from tests.serving.api.conftest import START, Running, running, wait_until
from tests.serving.conftest import APRIL, make_batch, postgres_server

HOUSE = Path(__file__).resolve().parents[3]


def walk(client: httpx.Client, question: str) -> tuple[list[str], set[str]]:
    """Page through the latest batch; return the ids, and the batches that the pages said they were from."""
    ids: list[str] = []
    batches: set[str] = set()
    wanted: dict[str, Any] = {"limit": 17, "fields": f"batch_id,{question[:-1]}_id"}
    while True:
        answer = client.get(f"/v1/{question}/scores", params=wanted)
        if answer.status_code == 404 and not ids:
            return [], set()
        assert answer.status_code == 200, answer.text
        page = answer.json()
        ids += [row[f"{question[:-1]}_id"] for row in page["results"]]
        batches |= {row["batch_id"] for row in page["results"]} | {page["batch"]["batch_id"]}
        if "paging" not in page:
            return ids, batches
        wanted["after"] = page["paging"]["next"]["after"]


# On top of a kill at each of the dozen statements of a publish, on either database.
@pytest.mark.parametrize("kills", [20, pytest.param(1_000, marks=pytest.mark.slow)])
def test_readers_never_see_a_mix_while_publishers_are_killed(store_url: str, tmp_path: Path, kills: int) -> None:
    program = f"from tests.serving.test_store import *; kill_everywhere({store_url!r}, {kills})"
    walks = 0
    with running(store_url, tmp_path / "home", requests_per_minute=10**9) as served:
        client = served.client()
        with (tmp_path / "kills").open("w") as log, (tmp_path / "errors").open("w") as errors:
            killer = subprocess.Popen([sys.executable, "-c", program], cwd=HOUSE, stdout=log, stderr=errors)
        while killer.poll() is None:
            for question, rows in (("contacts", 60), ("deals", 40)):
                ids, batches = walk(client, question)
                if ids:
                    assert ids == sorted(str(row) for row in range(rows))
                    assert len(batches) == 1
                    walks += 1
    assert killer.returncode == 0, (tmp_path / "errors").read_text(encoding="utf-8")
    told = [json.loads(line) for line in (tmp_path / "kills").read_text(encoding="utf-8").splitlines()]

    assert sum(line["killed"] for line in told) >= kills // 2
    assert walks >= 10
    for line in told:
        latest = line["seen"]["latest"]
        assert line["seen"]["read"] == {"contacts": [[latest], 60], "deals": [[latest], 40]}


def hold_and_publish(url: str, pipe: Connection) -> None:
    """Take the lease, say so, and publish when told to; say what came of it."""
    store = ScoreStore(url)
    held = store.acquire_lease(holder="frozen:1", now=START, seconds=180)
    pipe.send(held.token)
    pipe.recv()
    try:
        store.publish(make_batch("frozen", as_of=APRIL), lease=held)
    except LeaseLostError as error:
        pipe.send(str(error))
    else:
        pipe.send("published")
    store.close()


def test_a_run_that_froze_and_comes_back_publishes_nothing(store_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold_and_publish, args=(store_url, there), daemon=True)
    process.start()
    assert here.poll(60)
    assert here.recv() == 1
    os.kill(process.pid or 0, signal.SIGSTOP)
    store = ScoreStore(store_url)

    taken = store.acquire_lease(holder="other:2", now=START + timedelta(seconds=180), seconds=180)
    store.publish(make_batch("taken"), lease=taken)
    os.kill(process.pid or 0, signal.SIGCONT)
    here.send("go")
    assert here.poll(60)
    said = here.recv()
    process.join(30)

    assert taken == Lease(2, "other:2")
    assert "frozen:1 must still hold the lease (token 1)" in said
    assert [batch.batch_id for batch in store.batches()] == ["taken"]
    store.close()


FULL = """
import json, os, shutil, sys
from pathlib import Path
from serving.export import ExportError, export
from serving.store import ScoreStore, StoreError
from tests.serving.conftest import make_batch
from tests.serving.test_store import big_batch

disk = Path(sys.argv[1])
store = ScoreStore(f"sqlite:///{disk / 'scores.db'}")
store.publish(big_batch(0))
filler = disk / "filler"
with filler.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
told = {}
try:
    store.publish(big_batch(1))
except StoreError as error:
    told["publish"] = [type(error).__name__, str(error)]
try:
    export(store, "deals", "latest", "csv", disk / "deals.csv")
except ExportError as error:
    told["export"] = str(error)
told["left"] = sorted(path.name for path in disk.iterdir() if "deals" in path.name)
told["served"] = [store.latest_batch().batch_id, len(store.read("contacts"))]
store.close()
filler.unlink()
again = ScoreStore(f"sqlite:///{disk / 'scores.db'}")
told["after"] = again.publish(big_batch(1)).already
again.close()
shutil.copy(disk / "scores.db", sys.argv[2])
print(json.dumps(told))
"""


def test_a_full_disk_stops_a_publish_and_harms_nothing(tmp_path: Path) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept.db"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=1500k none {disk} && exec {sys.executable} -c "$0" {disk} {kept}'
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, FULL],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    kind, said = told["publish"]
    assert kind == "FullStoreError"
    assert "make room and repeat" in said
    assert "No space left on device" in told["export"]
    assert told["left"] == []
    assert (told["served"], told["after"]) == (["b0", 60], False)
    with sqlite3.connect(kept) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM contact_scores WHERE batch_id = 'b1'").fetchone() == (60,)
    connection.close()


def test_a_database_that_restarts_is_a_503_and_the_service_recovers_alone(tmp_path: Path) -> None:
    with postgres_server() as server, running(server.new_store(), tmp_path / "home") as served:
        served.store.publish(make_batch())
        expected = served.client().get("/v1/deals/scores").json()["results"]
        seen: list[int] = []
        done = threading.Event()
        key = served.key()

        def read() -> None:
            with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
                while not done.is_set():
                    answer = client.get("/v1/deals/scores")
                    seen.append(answer.status_code)
                    if answer.status_code == 200:
                        assert answer.json()["results"] == expected
                    else:
                        assert (answer.json()["code"], answer.headers["retry-after"]) == ("store_unavailable", "5")

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        wait_until(lambda: seen.count(200) >= 5)
        server.stop()
        wait_until(lambda: 503 in seen)
        server.start()
        before = len(seen)
        wait_until(lambda: seen[before:].count(200) >= 5)
        done.set()
        for reader in readers:
            reader.join(30)

        assert set(seen) == {200, 503}
        assert served.client().get("/ready").status_code == 200


def test_a_store_that_may_only_be_read_is_served(tmp_path: Path) -> None:
    path = tmp_path / "scores.db"
    writer = ScoreStore(f"sqlite:///{path}")
    with running(f"sqlite:///{path}", tmp_path / "home") as served:
        writer.publish(make_batch())
        key = served.key()
    writer.close()
    shutil.copy(path, tmp_path / "copy.db")

    with running(f"sqlite:///file:{tmp_path / 'copy.db'}?mode=ro&uri=true", tmp_path / "home") as reading:
        assert len(reading.client(key=key).get("/v1/deals/scores").json()["results"]) == 3


def test_many_clients_see_whole_batches_while_they_are_published(served: Running) -> None:
    """A small form of the load that the benchmark measures."""
    from tests.serving.test_store import big_batch

    served.service.limit.__init__(per_minute=10**9)  # type: ignore[misc]
    served.store.publish(big_batch(0))
    key, done = served.key(), threading.Event()
    found: list[tuple[int, int]] = []
    failures: list[str] = []

    def read() -> None:
        with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
            while not done.is_set():
                try:
                    ids, batches = walk(client, "contacts")
                    found.append((len(ids), len(batches)))
                except (AssertionError, httpx.HTTPError) as error:
                    failures.append(repr(error))

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for number in range(1, 5):
        served.store.publish(big_batch(number))
    wait_until(lambda: len(found) >= 16)
    done.set()
    for reader in readers:
        reader.join(60)

    assert failures == []
    assert set(found) == {(60, 1)}
