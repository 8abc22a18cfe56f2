"""How often somebody may come: a bucket that fills steadily, one for each caller."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST_CALLERS: Final = 10_000


@dataclass(frozen=True)
class Allowance:
    """What a caller has left; ``wait_seconds`` is 0 where the call is allowed."""

    limit: int
    left: int
    wait_seconds: int
    full_seconds: int


class RateLimit:
    """At most ``per_minute`` calls by each caller, who may save up as many for a burst."""

    def __init__(self, *, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = per_minute
        self._per_second = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, *, cost: int = 1) -> Allowance:
        """Take ``cost`` calls from a caller's bucket, if they are in it; a cost of 0 only looks."""
        with self._lock:
            now = self._clock()
            held, at = self._buckets.pop(caller, (float(self._capacity), now))
            held = min(self._capacity, held + (now - at) * self._per_second)
            allowed = held >= max(cost, 1)
            held -= cost if allowed else 0
            self._buckets[caller] = (held, now)
            if len(self._buckets) > _MOST_CALLERS:
                self._buckets.popitem(last=False)
        wait = 0 if allowed else max(1, math.ceil((max(cost, 1) - held) / self._per_second))
        return Allowance(
            limit=self._capacity,
            left=int(held),
            wait_seconds=wait,
            full_seconds=math.ceil((self._capacity - held) / self._per_second),
        )
