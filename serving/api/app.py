"""The application: routes, guards, errors, and an OpenAPI document that says what they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse

from serving.api import exports, operations, pages, problems, scores
from serving.api.guard import Guard
from serving.api.schemas import BatchHead, ProblemBody
from serving.api.service import Service
from serving.contract import CONTRACT_VERSION

_ABOUT = """Calibrated probabilities that a contact closes and a deal is won, in whole batches, with their reasons.

Begin with GET /v1/contacts/scores/changes, keep its cursor, and come back with it as since. See docs/api.md.
"""
_OPEN = {"/health", "/ready"}


def make_app(service: Service) -> FastAPI:
    """Return the application of a service."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.exports.start()
        yield
        service.exports.close()
        service.store.close()

    app = FastAPI(
        title="Leadline",
        version=CONTRACT_VERSION,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    problems.install(app)
    for module in (scores, exports, operations):
        app.include_router(module.make_router())
    templates = make_templates()
    app.include_router(pages.make_router(templates))

    @app.exception_handler(pages.NotSignedIn)
    def sign_in(_request: Request, _error: Exception) -> RedirectResponse:
        return RedirectResponse("/sign-in", 303)

    @app.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    def docs(request: Request) -> HTMLResponse:
        page = templates.get_template("api_docs.html.j2").render(document=app.openapi())
        return HTMLResponse(page, headers={"Content-Security-Policy": pages.POLICY})

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's own way to change the document
    app.add_middleware(Guard, service=service)
    return app


def make_templates() -> Environment:
    """Return the environment of the pages: everything is escaped, and nothing may be missing."""
    return Environment(
        loader=PackageLoader("serving"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _document(app: FastAPI) -> dict[str, Any]:
    """Say of every operation that it may answer with a problem, and drop the errors that it never gives."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, openapi_version="3.1.0"
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = ProblemBody.model_json_schema()
    schemas["BatchHead"] = BatchHead.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    refusal = {
        "description": "A refusal",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path, operations_ in document["paths"].items():
        for operation in operations_.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = refusal
            if path in _OPEN:
                operation.pop("security", None)
    return document
