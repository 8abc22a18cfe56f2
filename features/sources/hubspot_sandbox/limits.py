"""HubSpot's limits as the sandbox keeps them: rolling windows, a daily quota, and the headers that tell of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

TEN_SECONDS: Final = timedelta(seconds=10)
ONE_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Plan:
    """What an account may ask: requests in ten seconds, searches in one, requests in a day of its own time zone."""

    burst: int = 100
    searches: int = 5
    daily: int = 250_000
    zone: str = "UTC"
    tells_when: bool = True


@dataclass
class Meter:
    """Counts requests against a plan; ``over`` counts those that came too soon."""

    plan: Plan
    now: Callable[[], datetime]
    over: int = 0
    used_today: int = 0
    _day: str = ""
    _recent: deque[datetime] = field(default_factory=deque)
    _searches: deque[datetime] = field(default_factory=deque)

    def count(self, *, search: bool) -> tuple[dict[str, Any], dict[str, str]] | None:
        """Count a request; return the body and headers of the 429 that it earns, if it does."""
        moment = self.now()
        day = f"{moment.astimezone(ZoneInfo(self.plan.zone)):%Y-%m-%d}"
        if day != self._day:
            self._day, self.used_today = day, 0
        _forget(self._recent, moment - TEN_SECONDS)
        _forget(self._searches, moment - ONE_SECOND)
        if self.used_today >= self.plan.daily:
            return self._refusal("DAILY", "daily", None)
        if search and len(self._searches) >= self.plan.searches:
            return self._refusal("SECONDLY", "secondly", 1)
        if len(self._recent) >= self.plan.burst:
            return self._refusal("TEN_SECONDLY_ROLLING", "ten_secondly_rolling", 10)
        self.used_today += 1
        self._recent.append(moment)
        if search:
            self._searches.append(moment)
        return None

    def headers(self) -> dict[str, str]:
        """Return the headers of an answer to anything but a search."""
        left = self.plan.burst - len(self._recent)
        return {
            "X-HubSpot-RateLimit-Max": str(self.plan.burst),
            "X-HubSpot-RateLimit-Remaining": str(left),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Daily": str(self.plan.daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(self.plan.daily - self.used_today),
        }

    def spend(self, requests: int) -> None:
        """Count requests that another app of the account has made."""
        self._recent.extend([self.now()] * requests)
        self.used_today += requests

    def _refusal(self, policy: str, words: str, wait: int | None) -> tuple[dict[str, Any], dict[str, str]]:
        self.over += 1
        body = {
            "status": "error",
            "message": f"You have reached your {words} limit.",
            "errorType": "RATE_LIMIT",
            "policyName": policy,
        }
        return body, {"Retry-After": str(wait)} if wait is not None and self.plan.tells_when else {}


def _forget(moments: deque[datetime], before: datetime) -> None:
    while moments and moments[0] <= before:
        moments.popleft()
