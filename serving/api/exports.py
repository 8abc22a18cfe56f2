"""Bulk exports over HTTP: ask, look how far it is, fetch the files, forget."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Path, Request
from starlette.responses import FileResponse, JSONResponse, Response

from serving.api.access import require, service_of
from serving.api.answers import MEDIA
from serving.api.schemas import ExportContacts, ExportDeals, ExportPart, ExportState
from serving.api.scores import fields_for
from serving.bulk_exports import BulkExport, ExportRequest, plain_filter
from serving.keys import ApiKey

Reader = Annotated[ApiKey, Depends(require("scores:read"))]
ExportId = Annotated[str, Path(pattern="^[0-9a-f]{24}$", description="As the answer to the request named it.")]
IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=200, pattern=r"^[!-~]+$", description="Ask twice, get one export.")
]


def make_router() -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/exports", tags=["exports"])

    @router.post(
        "",
        status_code=202,
        summary="Ask for a bulk export",
        responses={202: {"model": ExportState}},
        response_model=None,
    )
    def create(
        request: Request,
        key: Reader,
        wanted: Annotated[ExportContacts | ExportDeals, Body(discriminator="object_type")],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        service = service_of(request)
        question = f"{wanted.object_type}s"
        batch = service.store.batch(question, wanted.batch)
        asked = ExportRequest(
            question=question,
            format=wanted.format,
            batch_id=batch.batch_id,
            fields=fields_for(question, key, wanted.fields),
            chosen=plain_filter(wanted.chosen()),
        )
        made = service.exports.create(
            key.key_id, asked, asked=wanted.model_dump_json(), idempotency_key=idempotency_key
        )
        return JSONResponse(
            _state(made).model_dump(), 202, headers={"Location": f"/v1/exports/{made.export_id}", "Retry-After": "1"}
        )

    @router.get("/{export_id}", summary="How far an export is")
    def look(request: Request, key: Reader, export_id: ExportId) -> ExportState:
        return _state(service_of(request).exports.get(key.key_id, export_id))

    @router.get(
        "/{export_id}/parts/{number}",
        summary="A file of a finished export",
        response_class=FileResponse,
        responses={
            200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA.values()}}
        },
    )
    def part(
        request: Request,
        key: Reader,
        export_id: ExportId,
        number: Annotated[int, Path(ge=1, le=10**6, description="Counted from 1.")],
    ) -> FileResponse:
        service = service_of(request)
        form = service.exports.get(key.key_id, export_id).request.format
        found, file = service.exports.part(key.key_id, export_id, number)
        headers = {"ETag": f'"{found.sha256[:32]}"', "Cache-Control": "private"}
        return FileResponse(file, media_type=MEDIA[form], filename=found.name, headers=headers)

    @router.delete("/{export_id}", status_code=204, summary="Forget an export")
    def forget(request: Request, key: Reader, export_id: ExportId) -> None:
        service_of(request).exports.delete(key.key_id, export_id)

    return router


def _state(export: BulkExport) -> ExportState:
    done = export.state == "done"
    told: dict[str, Any] = {
        "export_id": export.export_id,
        "state": export.state,
        "object_type": export.request.question.removesuffix("s"),
        "format": export.request.format,
        "batch_id": export.request.batch_id,
        "created_at": export.created_at,
        "expires_at": export.expires_at,
        "rows": sum(part.rows for part in export.parts) if done else None,
        "parts": [
            ExportPart(
                number=number,
                url=f"/v1/exports/{export.export_id}/parts/{number}",
                rows=part.rows,
                size_bytes=part.size_bytes,
                sha256=part.sha256,
            )
            for number, part in enumerate(export.parts, start=1)
        ],
        "error": export.error,
    }
    return ExportState(**told)
