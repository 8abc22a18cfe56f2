"""Clients that leave in the middle of a whole batch, while the next part of it is made."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from serving import walks
from serving.api.answers import stream
from tests.serving.api.conftest import running
from tests.serving.conftest import make_batch, make_contact

SECONDS = 30


@pytest.mark.parametrize("fails", [False, True])
def test_who_leaves_while_the_next_part_is_made_leaves_nothing_behind(
    store_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    fails: bool,
) -> None:
    making, gone = threading.Event(), threading.Event()
    listen = StreamingResponse.listen_for_disconnect

    async def notice(*arguments: Any) -> None:
        await listen(*arguments)
        gone.set()

    fetch, parts = walks.fetch_columns, iter(range(10))

    def fetch_slowly(*arguments: Any) -> list[list[Any]]:
        if next(parts) == 1:
            making.set()
            assert gone.wait(SECONDS)
            if fails:
                raise walks.BatchGoneError("the batch went as well")
        return fetch(*arguments)

    monkeypatch.setattr(StreamingResponse, "listen_for_disconnect", notice)
    monkeypatch.setattr(walks, "CHUNK_ROWS", 2)
    monkeypatch.setattr(walks, "fetch_columns", fetch_slowly)
    with running(store_url, tmp_path / "home", streams=1) as served:
        served.store.publish(make_batch(contacts=pd.DataFrame([make_contact(name) for name in "abcde"])))
        client, accept = served.client(), {"Accept": "application/x-ndjson"}
        pool = served.store._database._engine.pool

        with client.stream("GET", "/v1/contacts/scores", headers=accept) as answer:
            assert answer.status_code == 200
            assert making.wait(SECONDS)
            in_use = pool.checkedout()  # type: ignore[attr-defined] # of the pool that we have
        given_back = served.service.streams.acquire(timeout=SECONDS)
        left_in_use = pool.checkedout()  # type: ignore[attr-defined] # of the pool that we have
        served.service.streams.release()
        whole = client.get("/v1/contacts/scores", headers=accept)

    assert (in_use, given_back, left_in_use) == (1, True, 0)
    assert (whole.status_code, whole.content.count(b"\n")) == (200, 5)
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
    # The server's own log goes past pytest's.
    assert capfd.readouterr().err == ""


def test_of_a_part_that_failed_before_the_client_left_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def parts() -> Iterator[bytes]:
        yield b"first"
        raise walks.BatchGoneError("the batch went")

    async def leave() -> bytes:
        request = Request({"type": "http", "headers": []})
        answer = stream(request, parts(), form="ndjson", headers={})
        assert isinstance(answer, StreamingResponse)
        body: Any = answer.body_iterator
        first = bytes(await anext(body))
        coming = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(coming)
        await body.aclose()
        return first

    assert asyncio.run(leave()) == b"first"
    assert [one.getMessage() for one in caplog.records] == []
