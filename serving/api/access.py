"""Who may: the key of a request, its scopes, and how often it may come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serving.api.problems import Problem
from serving.api.service import Service
from serving.keys import ApiKey, verify_key
from serving.rate_limit import Allowance

_SCOPES: dict[object, tuple[str, ...]] = {}
_bearer = HTTPBearer(auto_error=False, description="An API key: leadline keys create")


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service


def caller(
    request: Request,
    response: Response,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> ApiKey:
    """Return the active key of a request; refuse without one, and where it came too often."""
    service = service_of(request)
    key = None
    if credentials is not None:
        key = verify_key(service.store, credentials.credentials, now=service.clock())
    if key is None:
        count_failure(service, request)
        raise Problem("unauthenticated", "Send an active API key: Authorization: Bearer ll_...")
    request.state.key_id = key.key_id
    count(service, request, key.key_id)
    return key


def count_failure(service: Service, request: Request) -> None:
    """Count a key that opens nothing, and refuse an address that tries too many; keys that open are let through."""
    guesses = service.failures.take(request.client.host if request.client else "unknown")
    if guesses.wait_seconds:
        raise Problem(
            "rate_limited", "Too many requests without a valid key.", headers={"Retry-After": str(guesses.wait_seconds)}
        )


def count(service: Service, request: Request, key_id: str) -> None:
    """Count a request of a key, tell in headers what is left, and refuse one too many."""
    allowance = service.limit.take(key_id)
    request.state.headers = _headers(allowance)
    if allowance.wait_seconds:
        raise Problem(
            "rate_limited",
            f"This key may come {allowance.limit} times a minute.",
            headers={"Retry-After": str(allowance.wait_seconds)},
        )


def require(*scopes: str) -> Callable[[ApiKey], ApiKey]:
    """Return a dependency that needs a key with one of these scopes."""

    def check(key: Annotated[ApiKey, Depends(caller)]) -> ApiKey:
        if not any(key.may(scope) for scope in scopes):
            raise Problem("missing_scope", f"This needs a key with the scope {' or '.join(scopes)}.")
        return key

    _SCOPES[check] = scopes
    return check


def scopes_of(dependency: object) -> tuple[str, ...]:
    """Return the scopes that a dependency made by ``require`` needs one of; none for any other."""
    return _SCOPES.get(dependency, ())


def _headers(allowance: Allowance) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(allowance.limit),
        "RateLimit-Remaining": str(allowance.left),
        "RateLimit-Reset": str(allowance.full_seconds),
    }
