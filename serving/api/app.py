"""The application: routes, guards, errors, and an OpenAPI document that says what they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse

from serving.api import exports, operations, pages, problems, scores
from serving.api.documentation import openapi_document, shown_operations
from serving.api.guard import Guard
from serving.api.service import Service
from serving.contract import CONTRACT_VERSION

_ABOUT = """Calibrated probabilities that a contact closes and a deal is won, in whole batches, with their reasons.

Begin with GET /v1/contacts/scores/changes, keep its cursor, and come back with it as since. See docs/api.md.
"""


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
    templates = make_templates()
    routers = [module.make_router() for module in (scores, exports, operations)] + [pages.make_router(templates)]
    for router in routers:
        app.include_router(router)
    # FastAPI hides the routes of a router that was included.
    app.state.routes = [route for router in routers for route in router.routes]

    @app.exception_handler(pages.NotSignedIn)
    def sign_in(_request: Request, _error: Exception) -> RedirectResponse:
        return RedirectResponse("/sign-in", 303)

    @app.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    def docs(request: Request) -> HTMLResponse:
        document = app.openapi()
        page = templates.get_template("api_docs.html.j2").render(
            info=document["info"], version=document["openapi"], operations=shown_operations(document)
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": pages.POLICY})

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi_document(app)
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
