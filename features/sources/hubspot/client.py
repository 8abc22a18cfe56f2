"""The HTTP client that both the extract and the write-back use: patient, within the limits, silent about secrets."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from features.errors import LeadScoringError
from features.sources.hubspot.pace import Clock, MonotonicClock, Pace, PaceSettings
from features.sources.hubspot.paths import API_VERSION, Paths, Version

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

_PATIENT: Final = frozenset({423, 429, 477, 500, 502, 503, 504, 524})
_WAITS: Final = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}
_LOCKED_SECONDS: Final = 2.0
_LONGEST_WAIT: Final = 600.0
_LONGEST_QUOTE: Final = 300
_ADDRESS: Final = re.compile(r"[^\s@'\"<>]+@[^\s@'\"<>]+")
_PHONE: Final = re.compile(r"\+\d[\d\s().-]{5,}\d")


class HubSpotError(LeadScoringError):
    """HubSpot could not be asked, or refused."""


class TokenRefusedError(HubSpotError):
    """HubSpot does not accept the token."""


class MissingScopeError(HubSpotError):
    """The token may not do this, or the account's tier does not have it."""


class DailyLimitError(HubSpotError):
    """The requests of the day are used up; all that was read is kept."""


class UnavailableError(HubSpotError):
    """HubSpot kept failing; all that was read is kept."""


class StoppedError(HubSpotError):
    """Another part of the reading has failed, so this one was given up."""


class RefusedRequestError(HubSpotError):
    """HubSpot refuses a request as it stands; ``said`` is its reason without personal data."""

    def __init__(self, *, status: int, path: str, category: str, said: str) -> None:
        self.status, self.path, self.category, self.said = status, path, category, said
        super().__init__(f"HubSpot must accept {path}; it answered {status} {category}: {said or 'without a reason'}.")


class ConnectionSettings(BaseModel):
    """Which HubSpot is asked, in which version of its API, and how patiently."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_version: Version = Field(default=API_VERSION, description="2026-09, 2026-03 or v3 (unsupported from 2027-09).")
    base_url: str = Field(default="https://api.hubapi.com", description="Where the API answers.")
    attempts: int = Field(default=8, ge=1, le=20, description="Tries of one request before a run gives up.")
    timeout_seconds: float = Field(default=60.0, gt=0, description="How long one answer may take.")
    pace: PaceSettings = PaceSettings()

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        parts = urlsplit(url)
        loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not (parts.scheme == "https" or loopback):
            raise ValueError("must begin with https://, so that nobody on the way reads the token")
        return url.rstrip("/")


@dataclass(frozen=True)
class Credentials:
    """A token (of a service key or a private app), or what a public app refreshes its own with."""

    token: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    refresh_token: SecretStr | None = None

    @property
    def can_refresh(self) -> bool:
        """Say whether a new token can be asked for."""
        return bool(self.client_id and self.client_secret and self.refresh_token)


@dataclass(frozen=True)
class Answer:
    """What HubSpot answered; 207 means that a part of a batch failed."""

    status: int
    body: Any


class _TryAgain(Exception):  # noqa: N818 - caught here, never seen outside
    """A request may work later; ``wait`` is how much later, if HubSpot says so."""

    def __init__(self, reason: str, *, wait: float | None = None) -> None:
        self.reason, self.wait = reason, wait
        super().__init__(reason)


class HubSpotClient:
    """Asks HubSpot within its limits, from several threads if need be.

    Making one connects to nothing; ``close`` it at the end.
    """

    def __init__(self, *, settings: ConnectionSettings, credentials: Credentials, clock: Clock | None = None) -> None:
        self.paths = Paths(settings.api_version)
        self.requests = 0
        self._settings = settings
        self._credentials = credentials
        self._clock = clock or MonotonicClock()
        self.pace = Pace(settings.pace, self._clock)
        self._token = credentials.token
        self._http: httpx.Client | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def close(self) -> None:
        """Give back all connections."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def stop(self) -> None:
        """Ask nothing more: whoever tries gets a ``StoppedError``."""
        self._stopped = True

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Return the body of an answer."""
        return self.ask("GET", path, parameters=parameters).body

    def pages(self, path: str, parameters: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Return what all pages of a short list hold."""
        found: list[Mapping[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            body = self.get(path, {"limit": "100", **parameters, **after})
            found += body["results"]
            following = next_cursor(body)
            if following is None:
                return found
            after = {"after": following}

    def post(self, path: str, body: Any) -> Answer:
        """Send a body; whatever is sent must be safe to send twice, since a lost answer is asked for again."""
        return self.ask("POST", path, body=body)

    def ask(self, method: str, path: str, *, parameters: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Ask until there is a whole answer; raise a ``HubSpotError`` if there is none to be had."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        retrying = Retrying(
            sleep=self._clock.sleep,
            stop=stop_after_attempt(self._settings.attempts),
            retry=retry_if_exception_type(_TryAgain),
            wait=_pause,
            reraise=True,
        )
        try:
            return retrying(self._ask_once, method, path, parameters, body)
        except _TryAgain as failure:
            raise UnavailableError(
                f"HubSpot must answer {path}; after {self._settings.attempts} tries: {failure.reason}. All that was "
                "read before is kept; run again later and it goes on from there."
            ) from failure

    def _ask_once(self, method: str, path: str, parameters: Mapping[str, str] | None, body: Any) -> Answer:
        if self._stopped:
            raise StoppedError("the reading of HubSpot was given up, as another part of it has failed.")
        token = self._present_token()
        response = self._send(method, path, parameters, body, token)
        if response.status_code == 401 and self._renew(instead_of=token):
            response = self._send(method, path, parameters, body, self._present_token())
        return self._understood(path, response)

    def _present_token(self) -> SecretStr:
        if self._token is None:
            self._renew(instead_of=None)
        if self._token is None:
            raise TokenRefusedError(
                "HubSpot needs a token; found none in the environment. Make a service key in HubSpot and set "
                "LEADLINE_HUBSPOT_TOKEN to it."
            )
        return self._token

    def _send(
        self, method: str, path: str, parameters: Mapping[str, str] | None, body: Any, token: SecretStr
    ) -> httpx.Response:
        import httpx

        search = path.endswith("/search")
        if not self.pace.wait_turn(search=search):
            raise self._day_over()
        with self._lock:
            if self._http is None:
                self._http = httpx.Client(base_url=self._settings.base_url, timeout=self._settings.timeout_seconds)
            self.requests += 1
        try:
            response = self._http.request(
                method,
                path,
                params=dict(parameters or {}),
                json=body,
                headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            )
        except httpx.TransportError as error:
            raise _TryAgain(f"the connection failed ({type(error).__name__})") from error
        finally:
            self.pace.sent(search=search)
        self.pace.learn(response.headers)
        return response

    def _understood(self, path: str, response: httpx.Response) -> Answer:
        status = response.status_code
        body = _json(response)
        if status < 300:
            if body is None:
                raise _TryAgain("the answer was no JSON")
            return Answer(status, body)
        plain = body if isinstance(body, dict) else {}
        said = spoken(plain)
        if status == 429:
            policy = str(plain.get("policyName") or ("SECONDLY" if "secondly limit" in said else ""))
            if policy == "DAILY" or "daily" in said:
                raise self._day_over()
            fallback = _WAITS.get("TEN_SECONDLY_ROLLING" if "ten_secondly" in said else policy, 10.0)
            pause = min(_told_wait(response) or fallback, _LONGEST_WAIT)
            self.pace.hold(pause)
            raise _TryAgain("its limit of requests is reached", wait=pause)
        if status == 423:
            raise _TryAgain("the record is locked", wait=max(_LOCKED_SECONDS, _told_wait(response) or 0.0))
        if status in _PATIENT:
            raise _TryAgain(f"status {status}", wait=_told_wait(response))
        if status in (401, 530):
            raise TokenRefusedError(
                f"HubSpot must accept the token; it answered {status} to {path}. Check that LEADLINE_HUBSPOT_TOKEN "
                "holds a whole, valid key; all that was read before is kept."
            )
        if status == 403:
            raise MissingScopeError(f"the token must be allowed to use {path}; HubSpot answered 403: {said}.")
        raise RefusedRequestError(status=status, path=path, category=str(plain.get("category") or ""), said=said)

    def _renew(self, *, instead_of: SecretStr | None) -> bool:
        """Get another token if that is possible; without it, one more try tells a hiccup from a refusal."""
        if not self._credentials.can_refresh:
            return self._token is not None
        with self._lock:
            # Another thread may have met the same refusal before.
            if self._token is instead_of:
                self._token = self._new_token()
        return True

    def _new_token(self) -> SecretStr:
        import httpx

        secret, refresh = self._credentials.client_secret, self._credentials.refresh_token
        assert secret is not None
        assert refresh is not None
        form = {
            "grant_type": "refresh_token",
            "client_id": self._credentials.client_id or "",
            "client_secret": secret.get_secret_value(),
            "refresh_token": refresh.get_secret_value(),
        }
        try:
            response = httpx.post(
                self._settings.base_url + self.paths.token(), data=form, timeout=self._settings.timeout_seconds
            )
        except httpx.TransportError as error:
            raise _TryAgain(f"the connection failed ({type(error).__name__})") from error
        body = _json(response)
        if response.status_code in _PATIENT or (response.status_code < 300 and body is None):
            raise _TryAgain(f"status {response.status_code}", wait=_told_wait(response))
        if response.status_code >= 300 or "access_token" not in body:
            raise TokenRefusedError(
                f"HubSpot must renew the token; it answered {response.status_code}. Check "
                "LEADLINE_HUBSPOT_CLIENT_ID, LEADLINE_HUBSPOT_CLIENT_SECRET and LEADLINE_HUBSPOT_REFRESH_TOKEN."
            )
        return SecretStr(body["access_token"])

    def _day_over(self) -> DailyLimitError:
        kept = self._settings.pace.keep_daily
        return DailyLimitError(
            f"the day's requests to HubSpot are used up but for {kept:,} that are left to other apps "
            "(source.pace.keep_daily). All that was read is kept; run again after midnight in the account's time zone "
            "and it goes on from there."
        )


def next_cursor(body: Mapping[str, Any]) -> str | None:
    """Return where the next page of an answer begins; None after the last one."""
    following = (body.get("paging") or {}).get("next") or {}
    return following.get("after")


def spoken(body: Mapping[str, Any]) -> str:
    """Return HubSpot's reason, at most 300 characters long and without addresses and phone numbers.

    >>> spoken({"message": "ada@example.org is not allowed, nor +49 170 1234567"})
    '(an address) is not allowed, nor (a phone number)'
    """
    said = str(body.get("message") or "").strip().rstrip(".")
    said = _PHONE.sub("(a phone number)", _ADDRESS.sub("(an address)", said))
    return said if len(said) <= _LONGEST_QUOTE else said[:_LONGEST_QUOTE] + "..."


def _pause(state: RetryCallState) -> float:
    from tenacity import wait_exponential_jitter

    failure = state.outcome.exception() if state.outcome is not None else None
    told = failure.wait if isinstance(failure, _TryAgain) else None
    return wait_exponential_jitter(initial=1, max=60)(state) if told is None else min(told, _LONGEST_WAIT)


def _told_wait(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None


def _json(response: httpx.Response) -> Any:
    if "json" not in response.headers.get("Content-Type", ""):
        return None
    try:
        return response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
