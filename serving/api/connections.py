"""The server under the application: HTTP/1.1, where nobody keeps a connection, or memory, by being slow."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.api.app import make_app
from serving.api.service import Service

_KEEP_ALIVE_SECONDS = 30
_SHUTDOWN_SECONDS = 30


def make_server(service: Service) -> uvicorn.Server:
    """Return a server of a service; it runs on sockets that the caller hands over."""
    config = uvicorn.Config(
        make_app(service),
        http=_protocol(service),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    return uvicorn.Server(config)


def _protocol(service: Service) -> type[H11Protocol]:
    """Return a protocol that knows the limits of a service; uvicorn itself waits for ever for a head, and to send."""
    head_seconds, send_seconds = service.settings.body_seconds, service.settings.send_seconds

    class Timed(H11Protocol):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._head: asyncio.TimerHandle | None = None
            self._sending: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
            super().connection_made(transport)
            self._head = self.loop.call_later(head_seconds, transport.close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._head = _stop(self._head)
            elif self._head is None:
                self._head = self.loop.call_later(head_seconds, self.transport.close)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._sending = self.loop.call_later(send_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._sending = _stop(self._sending)

        def connection_lost(self, exc: Exception | None) -> None:
            self._head, self._sending = _stop(self._head), _stop(self._sending)
            super().connection_lost(exc)

    return Timed


def _stop(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Stop a timer and return what is to be kept of it: nothing."""
    if timer is not None:
        timer.cancel()
    return None
