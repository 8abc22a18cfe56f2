"""A real server on a free port of this machine, with a clock that a test may turn."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.api.connections import make_server
from serving.api.service import Service, make_service
from serving.keys import SCOPES, create_key
from serving.settings import ApiSettings
from serving.store import ScoreStore

START = datetime(2024, 3, 2, 5, tzinfo=UTC)


@dataclass
class Clock:
    """What the service takes for the time."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Running:
    """A server, its store, and clients with keys of any scopes."""

    url: str
    store: ScoreStore
    service: Service
    clock: Clock
    clients: list[httpx.Client] = field(default_factory=list)

    def key(self, *scopes: str, **changed: Any) -> str:
        return create_key(self.store, name="test", scopes=scopes or SCOPES, now=self.clock(), **changed)[1]

    def client(self, *scopes: str, key: str | None = None) -> httpx.Client:
        made = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key or self.key(*scopes)}", "Accept-Encoding": "identity"},
            timeout=30,
        )
        self.clients.append(made)
        return made


@contextmanager
def running(url: str, home: Path, **settings: Any) -> Iterator[Running]:
    store, clock = ScoreStore(url, busy_seconds=5, read_seconds=60), Clock()
    service = make_service(store=store, home=home, settings=ApiSettings(**settings), clock=clock)
    server = make_server(service)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        made = Running(f"http://127.0.0.1:{listening.getsockname()[1]}", store, service, clock)
        try:
            yield made
        finally:
            for client in made.clients:
                client.close()
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def wait_until(happened: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def served(store_url: str, tmp_path: Path) -> Iterator[Running]:
    """A server over an empty store, once on SQLite and once on PostgreSQL."""
    with running(store_url, tmp_path / "home") as made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Running]:
    """A server over an empty SQLite store, for what no database makes a difference to."""
    with running(f"sqlite:///{tmp_path / 'scores.db'}", tmp_path / "home") as made:
        yield made


def later(**by: float) -> datetime:
    return START + timedelta(**by)
