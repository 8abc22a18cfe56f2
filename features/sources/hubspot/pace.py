"""How fast HubSpot may be asked: rolling windows that never hold more than the limit, lowered by what it tells."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

_A_MOMENT: Final = 0.01
_NEW_DAY: Final = 100


class Clock(Protocol):
    """Seconds that pass, and a way to let them pass."""

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class MonotonicClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class PaceSettings(BaseModel):
    """How much of HubSpot's limits Leadline may use; other apps of the account need some too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_10_seconds: int = Field(
        default=90, ge=1, description="The limit is 100 on Free and Starter, 190 on Professional and Enterprise."
    )
    searches_per_second: int = Field(default=4, ge=1, le=5, description="The limit is 5, shared by all apps.")
    keep_daily: int = Field(default=1000, ge=0, description="Requests of the day that are left to others.")


@dataclass
class Window:
    """At most ``most`` requests in any ``seconds``, those still ``under_way`` among them, and those of others.

    ``foreign`` are the requests of others that HubSpot tells of.
    """

    most: int
    seconds: float
    under_way: int = 0
    _sent: deque[float] = field(default_factory=deque)
    _foreign: int = 0
    _foreign_until: float = 0.0

    def wait(self, moment: float) -> float:
        """Return how long to wait before one more request may be sent; 0 if it may be sent now."""
        self._forget(moment)
        room = max(1, self.most - self._foreign)
        beyond = len(self._sent) + self.under_way - room
        if beyond < 0:
            return 0.0
        # Where all room is taken by requests under way, the next answer may make some.
        return max(0.0, self._sent[beyond] + self.seconds - moment) if beyond < len(self._sent) else _A_MOMENT

    def note(self, moment: float) -> None:
        """Remember a request as of its answer: from when it was sent until then HubSpot may have counted it."""
        self.under_way -= 1
        self._sent.append(moment)

    def learn(self, *, limit: int, left: int, moment: float) -> None:
        """Take in what HubSpot says is left of its limit: what we did not use, others did."""
        self._forget(moment)
        self.most = min(self.most, max(1, limit))
        others = max(0, limit - left - len(self._sent))
        spare = limit - self.most
        self._foreign = max(0, others - spare)
        self._foreign_until = moment + self.seconds

    def _forget(self, moment: float) -> None:
        while self._sent and self._sent[0] <= moment - self.seconds:
            self._sent.popleft()
        if self._foreign and moment >= self._foreign_until:
            self._foreign = 0


@dataclass
class Pace:
    """The windows of one account, and what is left of its day."""

    settings: PaceSettings
    clock: Clock
    daily: int | None = None
    daily_left: int | None = None

    def __post_init__(self) -> None:
        self._burst = Window(self.settings.requests_per_10_seconds, 10.0)
        self._searches = Window(self.settings.searches_per_second, 1.0)
        self._held_until = self.clock.monotonic()
        self._lock = threading.Lock()

    def wait_turn(self, *, search: bool) -> bool:
        """Wait until one more request may be sent, and take its place; false if only what is others' is left today."""
        windows = self._windows(search=search)
        while True:
            with self._lock:
                if self.day_is_spent:
                    return False
                moment = self.clock.monotonic()
                wait = max(self._held_until - moment, *(window.wait(moment) for window in windows))
                if wait <= 0:
                    for window in windows:
                        window.under_way += 1
                    if self.daily_left is not None:
                        self.daily_left -= 1
                    return True
            # Clocks are not exact: less than a millisecond might never pass.
            self.clock.sleep(max(wait, 0.001))

    def sent(self, *, search: bool) -> None:
        """Count a request, once its answer is there."""
        with self._lock:
            moment = self.clock.monotonic()
            for window in self._windows(search=search):
                window.note(moment)

    def hold(self, seconds: float) -> None:
        """Let nobody send anything for some time: HubSpot has asked for a pause."""
        with self._lock:
            self._held_until = max(self._held_until, self.clock.monotonic() + seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take in the limits that an answer tells."""
        limit, left = (_number(headers, name) for name in ("Max", "Remaining"))
        daily, daily_left = (_number(headers, name) for name in ("Daily", "Daily-Remaining"))
        with self._lock:
            if limit is not None and left is not None:
                self._burst.learn(limit=limit, left=left, moment=self.clock.monotonic())
            if daily_left is not None:
                left = daily_left - self._burst.under_way
                # Answers may overtake each other: what is left shrinks, until another day begins.
                if self.daily_left is not None and left - self.daily_left < _NEW_DAY:
                    left = min(left, self.daily_left)
                self.daily, self.daily_left = daily, left

    def _windows(self, *, search: bool) -> list[Window]:
        return [self._burst, self._searches] if search else [self._burst]

    @property
    def day_is_spent(self) -> bool:
        """Say whether only what belongs to others is left of the day."""
        return self.daily_left is not None and self.daily_left <= self.settings.keep_daily


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(f"X-HubSpot-RateLimit-{name}", "")
    return int(text) if text.isdigit() else None
