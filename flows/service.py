"""Starting the service: what it needs, what it refuses, and the server under it."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
from pydantic import BaseModel, ConfigDict

from features.errors import LeadScoringError
from flows.config_file import read_yaml, validated
from flows.places import require_home, store_of
from serving.api.connections import make_server
from serving.api.service import make_service
from serving.keys import list_keys
from serving.settings import ApiSettings, StoreSettings
from serving.store import ScoreStore


class ServiceSettings(BaseModel):
    """The parts of a configuration that the service needs; the others are not looked at, nor their libraries loaded."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    store: StoreSettings = StoreSettings()
    api: ApiSettings = ApiSettings()


class OpenWithoutKeysError(LeadScoringError):
    """The service would be open to others, and there is no key to tell them apart."""


def serve(*, host: str, port: int, config: Path | None, home: Path, say: Callable[[str], None]) -> None:
    """Serve until stopped; ``say`` is told the address once connections are taken."""
    require_home(home)
    chosen = ServiceSettings() if config is None else validated(ServiceSettings, read_yaml(config), file=config)
    store = store_of(home, settings=chosen.store, read_seconds=chosen.api.query_seconds)
    refuse_openness(host, store)
    # Arrow's own allocator keeps what streams gave back for itself.
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    server = make_server(make_service(store=store, home=home, settings=chosen.api, clock=lambda: datetime.now(UTC)))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1024)
        shown = f"[{host}]" if ":" in host else host
        say(f"Serving http://{shown}:{listening.getsockname()[1]}/ (stop with Ctrl-C)")
        # The server has stopped in good order by the time that it hands the signal on.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def refuse_openness(host: str, store: ScoreStore) -> None:
    """Refuse an address that others can reach while no key is active."""
    now = datetime.now(UTC)
    if not is_loopback(host) and not any(key.state(now) == "active" for key in list_keys(store)):
        raise OpenWithoutKeysError(
            f"the service must have an active API key before others may reach it at {host}; it has none. Make one with "
            "leadline keys create, or serve this machine alone with --host 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
