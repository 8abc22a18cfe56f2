"""Every error as RFC 9457 problem+json with a code that stays: the one table from our errors to HTTP."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.errors import LeadScoringError
from serving.bulk_exports import ExportConflictError, TooManyExportsError, UnknownExportError
from serving.contract import ContractError
from serving.cursors import CursorError
from serving.database import FullStoreError, ReadOnlyStoreError, SlowStoreError, StoreBusyError, StoreUnreachableError
from serving.store import UnknownBatchError
from serving.walks import BatchGoneError

RETRY_SECONDS: Final = 5
_log: Final = logging.getLogger("leadline.api")

# Code, status and title; ``docs/api.md`` says what to do about each.
PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_parameter": (400, "A parameter is not what it must be"),
    "invalid_cursor": (400, "The cursor is not one of this walk"),
    "unauthenticated": (401, "A valid API key is needed"),
    "missing_scope": (403, "The key does not open this"),
    "foreign_form": (403, "The form came from elsewhere"),
    "not_found": (404, "There is nothing here"),
    "batch_not_found": (404, "There is no such batch"),
    "object_not_found": (404, "This batch does not hold the object"),
    "export_not_found": (404, "There is no such export"),
    "method_not_allowed": (405, "The resource does not know this method"),
    "not_acceptable": (406, "None of the accepted formats is given"),
    "body_timeout": (408, "The body did not arrive in time"),
    "idempotency_key_reused": (409, "The idempotency key was used for another request"),
    "batch_gone": (410, "The batch is kept no more"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be JSON"),
    "rate_limited": (429, "Too many requests"),
    "too_many_exports": (429, "Too many exports are kept"),
    "store_unavailable": (503, "The score store is away"),
    "store_slow": (503, "The score store took too long"),
    "busy": (503, "Too many whole batches are on their way"),
    "disk_full": (503, "There is no room to write"),
    "internal_error": (500, "Something failed that should not"),
}

# The first that fits; a subclass stands before its base.
_OURS: Final[tuple[tuple[type[LeadScoringError], str], ...]] = (
    (BatchGoneError, "batch_gone"),
    (UnknownBatchError, "batch_not_found"),
    (CursorError, "invalid_cursor"),
    (ContractError, "invalid_parameter"),
    (UnknownExportError, "export_not_found"),
    (ExportConflictError, "idempotency_key_reused"),
    (TooManyExportsError, "too_many_exports"),
    (StoreUnreachableError, "store_unavailable"),
    (StoreBusyError, "store_unavailable"),
    (ReadOnlyStoreError, "store_unavailable"),
    (FullStoreError, "disk_full"),
    (SlowStoreError, "store_slow"),
)
# What the client is told instead of the cause, which is the operator's and stands in the log.
_FOR_OPERATORS: Final[Mapping[str, str]] = {
    "internal_error": "The service could not answer; its operator finds the cause in the log.",
    "store_unavailable": "The score store cannot be reached now; the same request may work later.",
    "store_slow": "The score store did not answer in time. Ask for fewer rows, fewer filters, or a bulk export.",
    "disk_full": "The service has no room to write; the same request may work later.",
}
_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}


class Problem(Exception):  # noqa: N818 - the RFC's word
    """An answer that is a refusal."""

    def __init__(
        self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, errors: list[Any] | None = None
    ) -> None:
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors
        super().__init__(detail)


def problem_response(problem: Problem) -> Response:
    """Return a refusal as a response."""
    status, title = PROBLEMS[problem.code]
    body: dict[str, Any] = {
        "type": f"urn:leadline:problem:{problem.code}",
        "title": title,
        "status": status,
        "code": problem.code,
        "detail": problem.detail,
    }
    if problem.errors is not None:
        body["errors"] = problem.errors
    headers = {"Cache-Control": "no-store"} | problem.headers
    if status in (429, 503):
        headers.setdefault("Retry-After", str(RETRY_SECONDS))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="leadline"'
    return Response(json.dumps(body), status, headers=headers, media_type="application/problem+json")


def of_error(error: LeadScoringError) -> Problem:
    """Return what one of our errors is to a client; of the unexpected it learns nothing but that."""
    code = next((code for kind, code in _OURS if isinstance(error, kind)), "internal_error")
    if code not in _FOR_OPERATORS:
        return Problem(code, str(error))
    _log.error("%s: %s", code, error)
    return Problem(code, _FOR_OPERATORS[code])


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""

    @app.exception_handler(Problem)
    def _problem(_request: Request, error: Problem) -> Response:
        return problem_response(error)

    @app.exception_handler(LeadScoringError)
    def _ours(_request: Request, error: LeadScoringError) -> Response:
        return problem_response(of_error(error))

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        told = [{"where": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
        detail = "; ".join(f"{one['where']}: {one['message']}" for one in told)
        of_body = any(one["loc"][:1] == ("body",) for one in error.errors())
        if of_body and not _is_json(request.headers.get("content-type", "")):
            return problem_response(
                Problem("unsupported_media_type", "Send JSON, and say so: Content-Type: application/json.")
            )
        return problem_response(Problem("invalid_parameter", detail, errors=told))

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> Response:
        code = _OF_STATUS.get(error.status_code, "invalid_parameter" if error.status_code < 500 else "internal_error")
        return problem_response(Problem(code, str(error.detail), headers=error.headers))

    @app.exception_handler(OSError)
    def _disk(_request: Request, error: OSError) -> Response:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        code = "disk_full" if full else "internal_error"
        _log.error("%s: %s", code, error.strerror or type(error).__name__, exc_info=None if full else error)
        return problem_response(Problem(code, _FOR_OPERATORS[code]))

    @app.exception_handler(Exception)
    def _unexpected(_request: Request, _error: Exception) -> Response:
        return problem_response(Problem("internal_error", "The service could not answer; see its log."))


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
