"""What operators and analysts ask: is it well, which batches and models are there, and the reports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import FileResponse, PlainTextResponse, Response

from serving.api.access import require, service_of
from serving.api.problems import Problem
from serving.api.schemas import BatchId, Text
from serving.api.service import Service
from serving.batch import StoredBatch
from serving.formats import iso
from serving.keys import ApiKey
from serving.store import UnknownBatchError

Reader = Annotated[ApiKey, Depends(require("scores:read", "reports:read"))]
Analyst = Annotated[ApiKey, Depends(require("reports:read"))]
Operator = Annotated[ApiKey, Depends(require("admin"))]
# A report is one file that needs its own styles and pictures, and nothing else.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


def readiness(service: Service) -> dict[str, Any]:
    """Say of each question whether its latest scores are fresh, stale or missing, and whether tables are held back."""
    latest = service.latest()
    states = {
        question: "missing" if question not in latest else "stale" if service.is_stale(latest[question]) else "fresh"
        for question in ("contacts", "deals")
    }
    told = set(states.values())
    status = "empty" if told == {"missing"} else "stale" if "stale" in told else "ready"
    return {"status": status, "scores": states, "tables_held": service.held.exists()}


def make_router() -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    @router.get("/health", tags=["operations"], summary="The process answers")
    @router.head("/health", include_in_schema=False)
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/ready", tags=["operations"], summary="The store answers, and how fresh the scores are")
    @router.head("/ready", include_in_schema=False)
    def ready(request: Request) -> dict[str, Any]:
        told = readiness(service_of(request))
        if told["status"] == "empty":
            raise Problem("store_unavailable", "No batch is published yet.")
        return told

    @router.get(
        "/metrics",
        tags=["operations"],
        summary="Metrics for Prometheus",
        response_class=PlainTextResponse,
        response_model=None,
    )
    def metrics(request: Request, key: Operator) -> Response:
        service = service_of(request)
        for question, batch in service.latest().items():
            age = (service.clock() - batch.scored_at).total_seconds()
            service.metrics.age.labels(question).set(age)
            service.metrics.stale.labels(question).set(service.is_stale(batch))
            service.metrics.rows.labels(question).set(batch.rows[question])
        service.metrics.held.set(service.held.exists())
        return Response(generate_latest(service.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @router.get("/v1/batches", tags=["batches"], summary="The batches that are kept, the newest first")
    def batches(request: Request, key: Reader) -> dict[str, Any]:
        service = service_of(request)
        return {"results": [_told(service, batch) for batch in service.store.batches()]}

    @router.get("/v1/batches/{batch_id}", tags=["batches"], summary="One batch with what its run said")
    def batch(
        request: Request, key: Reader, batch_id: Annotated[BatchId, Path(description="One of /v1/batches, or latest.")]
    ) -> dict[str, Any]:
        service = service_of(request)
        found = _batch(service, batch_id)
        return _told(service, found) | {"summary": found.summary}

    @router.get("/v1/models", tags=["models"], summary="The models that scored a batch")
    def models(request: Request, key: Analyst) -> dict[str, Any]:
        cards = service_of(request).store.cards()
        return {
            "results": [
                {"model_version": version} | {name: value for name, value in card.items() if name != "evaluation"}
                for version, card in sorted(cards.items())
            ]
        }

    @router.get("/v1/models/{model_version}", tags=["models"], summary="A model with its whole evaluation")
    def model(
        request: Request, key: Analyst, model_version: Annotated[Text, Path(description="As rows name it.")]
    ) -> dict[str, Any]:
        card = service_of(request).store.cards().get(model_version)
        if card is None:
            raise Problem("not_found", "No model of this version scored a batch of this store.")
        return {"model_version": model_version} | card

    @router.get("/v1/reports", tags=["reports"], summary="The batches that have a report")
    def reports(request: Request, key: Analyst) -> dict[str, Any]:
        service = service_of(request)
        told = [batch for batch in service.store.batches() if (service.reports / f"{batch.batch_id}.html").is_file()]
        return {
            "results": [
                {"batch_id": batch.batch_id, "as_of": iso(batch.as_of), "url": f"/v1/reports/{batch.batch_id}"}
                for batch in told
            ]
        }

    @router.get(
        "/v1/reports/{batch_id}",
        tags=["reports"],
        summary="The report of a batch, one HTML file",
        response_class=FileResponse,
        responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
    )
    def report(
        request: Request, key: Analyst, batch_id: Annotated[BatchId, Path(description="One of /v1/batches, or latest.")]
    ) -> FileResponse:
        return report_file(service_of(request), batch_id)

    return router


def report_file(service: Service, batch_id: str) -> FileResponse:
    """Return the report of a kept batch as a response."""
    batch = _batch(service, batch_id)
    file = service.reports / f"{batch.batch_id}.html"
    if not file.is_file():
        raise Problem("not_found", f"Batch {batch.batch_id} has no report here; write it with leadline report.")
    headers = {"Content-Security-Policy": REPORT_POLICY, "X-Frame-Options": "SAMEORIGIN", "Cache-Control": "private"}
    return FileResponse(file, media_type="text/html; charset=utf-8", headers=headers)


def _batch(service: Service, batch_id: str) -> StoredBatch:
    found = service.store.batches()
    for batch in found:
        if batch.batch_id == batch_id or (batch_id == "latest" and batch.latest_for):
            return batch
    raise UnknownBatchError(f"batch {batch_id!r} must be one that is kept; it is not. See /v1/batches.")


def _told(service: Service, batch: StoredBatch) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "as_of": iso(batch.as_of),
        "scored_at": iso(batch.scored_at),
        "contract_version": batch.contract_version,
        "models": batch.model_versions,
        "rows": dict(batch.rows),
        "latest_for": list(batch.latest_for),
        "stale": bool(batch.latest_for) and service.is_stale(batch),
        "digest": batch.digest,
    }
