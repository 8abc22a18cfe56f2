"""Pages for people: sign in, look an object up, see why, see where model and habit disagree, open the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Depends, Request
from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from serving import report_numbers
from serving.api.access import count, count_failure, service_of
from serving.api.operations import readiness, report_file
from serving.api.problems import Problem
from serving.api.service import Service
from serving.batch import StoredBatch
from serving.contract import contract_of, read_reasons
from serving.cursors import is_storable
from serving.keys import find_key, verify_key
from serving.page_pictures import ceiling, change_bars, history_line, point_bars, reason_bars, signed
from serving.sessions import Session
from serving.walks import disagreements, history
from serving.why import why_changed

_COOKIE: Final = "leadline_session"
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_QUESTIONS: Final = {"contact": "contacts", "deal": "deals"}
_OF_BOTH: Final = {"owner_id": "Owner", "model_version": "Model"}
_FACTS: Final[Mapping[str, Mapping[str, str]]] = {
    "contacts": {
        "tier": "Quarter of all",
        "points": "Points of the rules",
        "points_grade": "Their grade",
        "agreement": "Ranked high by",
    }
    | _OF_BOTH,
    "deals": {
        "pipeline": "Pipeline",
        "stage": "Stage",
        "amount": "Amount",
        "stage_probability_manual": "Set by hand for the stage",
        "stage_rate_observed": "Won from the stage so far",
    }
    | _OF_BOTH,
}
_AGREEMENT: Final = {
    "both_high": "both",
    "model_only": "the model alone",
    "points_only": "the points alone",
    "both_low": "neither",
}


class NotSignedIn(Exception):  # noqa: N818 - not an error: the way to the sign-in page
    """A page was asked for by a browser that is not signed in."""


def session_of(request: Request) -> Session:
    """Return the session of a request whose key still opens reports; anybody else is sent to sign in."""
    service = service_of(request)
    session = service.sessions.find(request.cookies.get(_COOKIE, ""))
    key = None if session is None else find_key(service.store, session.key_id, now=service.clock())
    if session is None or key is None or not key.may("reports:read"):
        raise NotSignedIn
    request.state.key_id = key.key_id
    count(service, request, key.key_id)
    return session


SignedIn = Annotated[Session, Depends(session_of)]


def make_router(templates: Environment) -> APIRouter:
    """Return the routes of the pages; none of them is part of the API's document."""
    router = APIRouter(include_in_schema=False)

    def page(name: str, *, status: int = 200, **given: Any) -> HTMLResponse:
        html = templates.get_template(f"page_{name}.html.j2").render(n=report_numbers, signed=signed, **given)
        return HTMLResponse(html, status, headers={"Content-Security-Policy": POLICY})

    @router.get("/assets/pages.css")
    def style() -> Response:
        css = templates.get_template("pages.css").render()
        return Response(css, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

    @router.get("/sign-in")
    def sign_in_form() -> Response:
        return page("sign_in", refused=False, session=None)

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        refuse_foreign(request)
        text = (await _form(request)).get("key", "").strip()
        return await run_in_threadpool(begin, request, text)

    def begin(request: Request, text: str) -> Response:
        service = service_of(request)
        key = verify_key(service.store, text, now=service.clock())
        if key is None or not key.may("reports:read"):
            count_failure(service, request)
            return page("sign_in", status=403, refused=True, session=None)
        request.state.key_id = key.key_id
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            _COOKIE,
            service.sessions.begin(key.key_id),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        refuse_foreign(request)
        form = await _form(request)
        if not service_of(request).sessions.end(request.cookies.get(_COOKIE, ""), form.get("form_token", "")):
            raise Problem("foreign_form", "This form is not of the session that it came with. Reload the page.")
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(_COOKIE)
        return answer

    @router.get("/")
    def start(request: Request, session: SignedIn) -> Response:
        service = service_of(request)
        latest = service.latest()
        lists = {question: _disagreements(service, question, batch) for question, batch in latest.items()}
        newest = max(latest.values(), key=lambda batch: batch.sequence, default=None)
        report = newest is not None and (service.reports / f"{newest.batch_id}.html").is_file()
        return page(
            "start", session=session, latest=latest, lists=lists, ready=readiness(service), newest=newest, report=report
        )

    @router.get("/find")
    def find(request: Request, session: SignedIn, kind: str = "contact", id: str = "") -> Response:  # noqa: A002 - the form's word
        wanted = id.strip()
        if kind not in _QUESTIONS or not wanted or not is_storable(wanted):
            return RedirectResponse("/", 303)
        return RedirectResponse(f"/view/{kind}?id={quote(wanted, safe='')}", 303)

    @router.get("/view/{kind}")
    def view(request: Request, session: SignedIn, kind: str, id: str = "") -> Response:  # noqa: A002 - the form's word
        service = service_of(request)
        question = _QUESTIONS.get(kind)
        told = history(service.store, question, id) if question and id and is_storable(id) else []
        if question is None or not told:
            return page("missing", status=404, session=session, kind=kind, object_id=id)
        return page("object", session=session, kind=kind, object_id=id, **_shown(service, question, told))

    @router.get("/report", response_model=None)
    def report(request: Request, session: SignedIn) -> FileResponse:
        return report_file(service_of(request), "latest")

    return router


def refuse_foreign(request: Request) -> None:
    """Refuse a form that a page of another site has sent."""
    origin = request.headers.get("origin")
    foreign = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if foreign or (origin is not None and urlsplit(origin).netloc != request.headers.get("host")):
        raise Problem("foreign_form", "This form was sent by a page of another site.")


async def _form(request: Request) -> dict[str, str]:
    text = (await request.body()).decode("utf-8", errors="replace")
    return {name: values[0] for name, values in parse_qs(text, max_num_fields=10).items()}


def _disagreements(service: Service, question: str, batch: StoredBatch) -> list[Mapping[str, Any]]:
    """Look for them once a batch, for a large one takes seconds to look through, and again where rows were erased."""
    content = f"{batch.batch_id} {batch.rows[question]}"
    known = service.remembered.get(question)
    if known is None or known[0] != content:
        known = (content, disagreements(service.store, question, batch, rows=10))
        service.remembered[question] = known
    return known[1]


def _shown(service: Service, question: str, told: list[Any]) -> dict[str, Any]:
    contract = contract_of(question)
    batch, row = told[0]
    low, _, high = contract.ranges[0]
    probability, change = row[contract.probability], why_changed(told, contract)
    past = [
        (one.as_of, values[contract.probability]) for one, values in told if values[contract.probability] is not None
    ]
    return {
        "batch": batch,
        "stale": bool(batch.latest_for) and service.is_stale(batch),
        "current": question in batch.latest_for,
        "probability": probability,
        "low": row[low],
        "high": row[high],
        "base_rate": row["base_rate"],
        "not_scored": row["not_scored"],
        "bars": reason_bars(read_reasons(row["reasons"])) if row["reasons"] is not None else [],
        "change": change,
        "moves": change_bars(change["parts"]),
        "points": row["points"],
        "point_bars": point_bars(read_reasons(row["points_reasons"])) if row["points_reasons"] is not None else [],
        "line": history_line(past),
        "top": ceiling(max(value for _, value in past)) if past else None,
        "past": past,
        "facts": [
            (name, words, _AGREEMENT.get(row[name], row[name]) if name == "agreement" else row[name])
            for name, words in _FACTS[question].items()
            if row[name] is not None
        ],
    }
