"""How rows travel: which format a client accepts, compressed or not, unchanged since last time or not, in a stream."""

from __future__ import annotations

import asyncio
import hashlib
import json
import zlib
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from anyio import CancelScope
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from serving.api.problems import Problem
from serving.api.service import Service
from serving.batch import StoredBatch
from serving.formats import iso

MEDIA: Final[Mapping[str, str]] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
_PIECE_BYTES: Final = 1 << 18
_VARY: Final = "Accept, Accept-Encoding, Authorization"


def chosen_format(request: Request, offered: Iterable[str] = tuple(MEDIA)) -> str:
    """Return the format that a client accepts and prefers; of equal ones the first offered."""
    accepted = _weights(request.headers.get("accept") or "*/*")
    best, most = None, 0.0
    for name in offered:
        kind, _, _ = MEDIA[name].partition("/")
        weights = [accepted[pattern] for pattern in (MEDIA[name], f"{kind}/*", "*/*") if pattern in accepted]
        if weights and weights[0] > most:
            best, most = name, weights[0]
    if best is None:
        raise Problem("not_acceptable", f"Accept one of {', '.join(MEDIA[name] for name in offered)}.")
    return best


def batch_headers(service: Service, batch: StoredBatch) -> dict[str, str]:
    """Return the headers that say which batch an answer is from, and whether that is too old."""
    headers = {
        "Leadline-Batch": batch.batch_id,
        "Leadline-As-Of": iso(batch.as_of),
        "Leadline-Scored-At": iso(batch.scored_at),
        "Cache-Control": "private, no-cache",
        "Vary": _VARY,
    }
    if batch.latest_for and service.is_stale(batch):
        headers["Leadline-Stale"] = "true"
    return headers


def entity_tag(request: Request, batch: StoredBatch, *asked: Any) -> str:
    """Name an answer by what it depends on; of a batch nothing changes but that rows are erased."""
    parts = [batch.batch_id, batch.digest, dict(batch.rows), request.url.path, _coding(request), list(asked)]
    return f'"{hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]}"'


def unchanged(request: Request, tag: str, headers: Mapping[str, str]) -> Response | None:
    """Return the answer to a client that has this already, or None."""
    held = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if tag in held or "*" in held:
        return Response(status_code=304, headers=dict(headers) | {"ETag": tag})
    return None


def json_answer(request: Request, content: bytes, headers: Mapping[str, str]) -> Response:
    """Return JSON, compressed where it is worth it."""
    told = dict(headers)
    if _coding(request) and len(content) > 1000:
        content = b"".join(_gzipped([content]))
        told["Content-Encoding"] = "gzip"
    return Response(content, headers=told, media_type=MEDIA["json"])


def stream(request: Request, parts: Iterator[bytes], *, form: str, headers: Mapping[str, str]) -> Response:
    """Return a body as it is made, a part at a time. The first is made at once, so that a failure still has a status.

    A failure after that cuts the connection off: a client never takes a part for the whole.
    """
    told = dict(headers)
    body: Iterable[bytes] = chain([next(parts, b"")], parts)
    if _coding(request):
        body = _gzipped(body)
        told["Content-Encoding"] = "gzip"
    return _Stream(_pieces(body, parts), headers=told, media_type=MEDIA[form])


class _Stream(StreamingResponse):
    """An answer that leaves nothing behind where its client goes in the middle of it."""

    def __init__(self, pieces: AsyncGenerator[memoryview], **named: Any) -> None:
        super().__init__(pieces, **named)
        self._made = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await self._made.aclose()


def one_of_few(service: Service, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on the parts of a whole batch, if not too many are on their way already: each takes memory."""
    if not service.streams.acquire(blocking=False):
        raise Problem("busy", f"{service.settings.streams} whole batches are on their way already; come back, or page.")
    try:
        yield from parts
    finally:
        service.streams.release()


async def _pieces(body: Iterable[bytes], parts: Iterator[bytes]) -> AsyncGenerator[memoryview]:
    """Cut a body, each part made in a thread, so small that a slow client takes a piece in the time that it has for it.

    At the end ``parts``, of which the body is made, are closed.
    """
    made = iter(body)
    coming = asyncio.create_task(run_in_threadpool(next, made, None))
    try:
        while (part := await asyncio.shield(coming)) is not None:
            # Made while this one travels.
            coming = asyncio.create_task(run_in_threadpool(next, made, None))
            view = memoryview(part)
            for start in range(0, len(part), _PIECE_BYTES):
                yield view[start : start + _PIECE_BYTES]
            # The next part may take as much memory as this one.
            del part, view
    finally:
        # Where the client has gone, a part that is being made cannot be stopped. Whether it failed, nobody asks.
        with CancelScope(shield=True):
            await asyncio.gather(coming, return_exceptions=True)
            if isinstance(parts, Generator):
                await run_in_threadpool(parts.close)


def _gzipped(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(5, zlib.DEFLATED, 31)
    for part in parts:
        packed = packer.compress(part)
        if packed:
            yield packed
    yield packer.flush()


def _coding(request: Request) -> str:
    weights = _weights(request.headers.get("accept-encoding", ""))
    return "gzip" if weights.get("gzip", weights.get("*", 0.0)) > 0 else ""


def _weights(header: str) -> dict[str, float]:
    found = {}
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if name:
            found[name] = weight
    return found
