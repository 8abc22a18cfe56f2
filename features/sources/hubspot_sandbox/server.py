"""The sandbox as a real HTTP server on this machine's loopback address."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from features.sources.hubspot_sandbox.answers import Reply
from features.sources.hubspot_sandbox.api import Api, Request

# Given a request and the way to answer it, what is sent; None cuts the connection without an answer.
Misfortune = Callable[[Request, Callable[[], Reply]], Reply | None]


# What is done with a request as it arrives, while others are under way: nothing, or waiting.
Arrival = Callable[[Request], None]


def at_once(_request: Request) -> None:
    """Let a request in."""


def undisturbed(_request: Request, answer: Callable[[], Reply]) -> Reply:
    """Answer every request at once."""
    return answer()


@contextmanager
def serving(api: Api, *, misfortune: Misfortune = undisturbed, arrival: Arrival = at_once) -> Iterator[str]:
    """Serve an account while the block runs; yields the base URL.

    Requests arrive side by side and are answered one at a time.
    """
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer goes out in two writes; without this each would wait for the other side's acknowledgement.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Keep quiet."""

        def _handle(self) -> None:
            address = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            form = "form" in (self.headers.get("Content-Type") or "")
            request = Request(
                method=self.command,
                path=address.path,
                query=parse_qs(address.query),
                body=parse_qs(sent.decode()) if form else json.loads(sent) if sent else None,
                headers={name.lower(): value for name, value in self.headers.items()},
                length=len(self.path),
            )
            arrival(request)
            with lock:
                reply = misfortune(request, lambda: api.answer(request))
            if reply is None:
                self.close_connection = True
                return
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            body = json.dumps(reply.body).encode() if reply.raw is None else reply.raw
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
            self.send_response(reply.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            if int(headers["Content-Length"]) != len(body):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
