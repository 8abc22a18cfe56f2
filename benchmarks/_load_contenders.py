"""The processes of ``benchmarks.load``: an empty route, the service, a publisher, clients that check what they get."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

PAGE = 500
PAUSE_SECONDS = 2.0
START = datetime(2026, 1, 1, tzinfo=UTC)
KEY_FILE = "key.txt"


def empty() -> None:
    """Serve a route that returns nothing."""
    import socket

    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/empty")
    def nothing() -> dict[str, str]:
        return {}

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])


def first(folder: str, url: str, rows: str) -> None:
    """Publish the first batch and make a key."""
    from serving.keys import create_key
    from serving.store import ScoreStore

    store = ScoreStore(url)
    store.publish(_batch(0, int(rows)))
    key = create_key(store, name="load", scopes=["scores:read"], now=datetime.now(UTC))[1]
    (Path(folder) / KEY_FILE).write_text(key, encoding="utf-8")
    config = "source: {kind: synthetic}\napi: {requests_per_minute: 100000000}\n"
    (Path(folder) / "config.yaml").write_text(config, encoding="utf-8")
    store.close()


def serve(folder: str, url: str) -> None:
    """Become the service, as the command line starts it."""
    command = "from flows.cli import main; main()"
    options = ["serve", "--port", "0", "--home", folder, "--config", f"{folder}/config.yaml"]
    environment = os.environ | {"LEADLINE_STORE_URL": url}
    os.execve(sys.executable, [sys.executable, "-c", command, *options], environment)


def publish(url: str, rows: str) -> None:
    """Publish one batch after the other until told to stop; each has a row more than the one before."""
    from serving.store import ScoreStore

    store = ScoreStore(url)
    number = 0
    while True:
        number += 1
        store.publish(_batch(number, int(rows) + number))
        print(number, flush=True)
        time.sleep(PAUSE_SECONDS)


def _batch(number: int, rows: int) -> Any:
    import pandas as pd

    from benchmarks._api_contenders import contact_rows
    from serving.store import Batch

    as_of = START + timedelta(days=number)
    frame = contact_rows(rows, seed=number).assign(as_of=pd.Timestamp(as_of).as_unit("us"))
    return Batch(
        batch_id=f"b{number}-{rows}",
        as_of=as_of,
        scored_at=datetime.now(UTC),
        model_versions={"contacts": "contacts-20260101T000000Z-0123456789ab"},
        contacts=frame,
        deals=None,
        summary={},
    )


class Client:
    """One connection that is kept, and what it took for each kind of request."""

    def __init__(self, url: str, key: str | None) -> None:
        self._host, port = url.removeprefix("http://").rstrip("/").split(":")
        self._port = int(port)
        self._head = f"Host: {self._host}\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.took: dict[str, list[float]] = defaultdict(list)

    async def get(self, kind: str, path: str) -> tuple[int, bytes]:
        """Ask, and note how long the whole answer took."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        started = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        body = await reader.readexactly(length)
        self.took[kind].append(time.perf_counter() - started)
        return int(head.split(" ", 2)[1]), body


async def _walk(client: Client, found: dict[str, int], until: float) -> None:
    """Page through one batch and check that it was one, and whole."""
    after, batches, ids = "", set[str](), list[str]()
    while True:
        path = f"/v1/contacts/scores?limit={PAGE}&fields=batch_id,contact_id,close_likelihood,tier{after}"
        status, body = await client.get(f"page of {PAGE}", path)
        if status != 200:
            found["errors"] += 1
            return
        page = orjson.loads(body)
        batches |= {row["batch_id"] for row in page["results"]} | {page["batch"]["batch_id"]}
        ids += [row["contact_id"] for row in page["results"]]
        if "paging" not in page:
            break
        if time.perf_counter() > until:
            return
        after = f"&after={page['paging']['next']['after']}"
    expected = int(next(iter(batches)).split("-")[1])
    whole = len(batches) == 1 and ids == [f"{number:09d}" for number in range(expected)]
    found["walks"] += 1
    found["mixes"] += not whole


async def _visit(client: Client, found: dict[str, int], until: float) -> None:
    cursor = None
    while time.perf_counter() < until:
        await _walk(client, found, until)
        status, _ = await client.get("one object", "/v1/contacts/scores/000000007")
        found["errors"] += status != 200
        since = "" if cursor is None else f"&since={cursor}"
        status, body = await client.get("page of 500 changes", f"/v1/contacts/scores/changes?limit={PAGE}{since}")
        found["errors"] += status != 200
        cursor = orjson.loads(body)["cursor"]


def ask_empty(url: str, clients: str, seconds: str) -> None:
    """Ask the empty route over and over."""

    async def ask(client: Client, until: float) -> None:
        while time.perf_counter() < until:
            await client.get("empty route", "/empty")

    async def run() -> list[Client]:
        made = [Client(url, None) for _ in range(int(clients))]
        until = time.perf_counter() + float(seconds)
        await asyncio.gather(*(ask(client, until) for client in made))
        return made

    print(json.dumps(_kinds(asyncio.run(run()), float(seconds))))


def ask_service(url: str, clients: str, seconds: str, folder: str) -> None:
    """Walk, look at one object and ask for changes, over and over."""
    key = (Path(folder) / KEY_FILE).read_text(encoding="utf-8")
    found = {"walks": 0, "mixes": 0, "errors": 0}

    async def run() -> list[Client]:
        made = [Client(url, key) for _ in range(int(clients))]
        until = time.perf_counter() + float(seconds)
        await asyncio.gather(*(_visit(client, found, until) for client in made))
        return made

    kinds = _kinds(asyncio.run(run()), float(seconds))
    print(json.dumps(found | {"kinds": kinds}))


def _kinds(clients: list[Client], seconds: float) -> dict[str, dict[str, float]]:
    took: dict[str, list[float]] = defaultdict(list)
    for client in clients:
        for kind, times in client.took.items():
            took[kind] += times
    return {
        kind: {
            "rate": len(times) / seconds,
            "p50": float(np.quantile(times, 0.5)),
            "p99": float(np.quantile(times, 0.99)),
        }
        for kind, times in took.items()
    }


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    {
        "empty": empty,
        "first": first,
        "serve": serve,
        "publish": publish,
        "ask_empty": ask_empty,
        "ask_service": ask_service,
    }[name](*rest)
