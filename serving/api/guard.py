"""Around every request: limits of the body, headers that keep browsers safe, metrics and the audit log."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.problems import Problem, problem_response
from serving.api.service import Service

_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that, a browser would not say which site a form of ours comes from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """Wraps the application; the routes leave in ``scope["state"]`` what only they know (key, batch)."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        sent = {"status": 500, "bytes": 0}
        scope.setdefault("state", {})

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in (_SAFE | scope["state"].get("headers", {})).items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            elif message["type"] == "http.response.body":
                sent["bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            body = await self._body(scope, receive)
        except Problem as problem:
            await problem_response(problem)(scope, receive, guarded_send)
        else:
            await self._app(scope, _replayed(body, receive), guarded_send)
        finally:
            self._record(scope, sent, time.perf_counter() - started)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the whole body, within the limits of size and time."""
        most = self._service.settings.body_bytes
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = Problem(
            "body_too_large", f"A body must not exceed {most:,} bytes.", headers={"Connection": "close"}
        )
        if not declared.isdigit() or int(declared) > most:
            raise too_large
        body = bytearray()
        seconds = self._service.settings.body_seconds
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_large
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            raise Problem(
                "body_timeout", f"A body must arrive within {seconds:g} s.", headers={"Connection": "close"}
            ) from error

    def _record(self, scope: Scope, sent: dict[str, int], seconds: float) -> None:
        # The pattern, never the path: that may hold the id of a person.
        route = getattr(scope.get("route"), "path", "unknown")
        state: dict[str, Any] = scope["state"]
        metrics = self._service.metrics
        method = scope["method"] if route != "unknown" else "other"
        metrics.requests.labels(route, method, str(sent["status"])).inc()
        metrics.seconds.labels(route).observe(seconds)
        metrics.bytes.labels(route).inc(sent["bytes"])
        self._service.audit.write(
            self._service.clock(),
            {
                "key": state.get("key_id"),
                "method": method,
                "route": route,
                "status": sent["status"],
                "bytes": sent["bytes"],
                "batch": state.get("batch_id"),
                "milliseconds": round(seconds * 1000, 1),
            },
        )


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
