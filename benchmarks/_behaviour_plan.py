"""What ``benchmarks.behaviour`` and ``benchmarks.nightly`` compute: 60 features of 10 kinds of activity."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.behaviour_plan import BehaviourPlan

KINDS = ("call", "chat", "download", "email_click", "email_open", "form", "meeting", "note", "page_view", "webinar")
WINDOWS = (1, 7, 28, 90)
COUNTS = [f"{kind}_{days}d" for kind in KINDS for days in WINDOWS] + [f"{kind}_total" for kind in KINDS]
NAMES = [*COUNTS, *(f"days_since_{kind}" for kind in KINDS)]


def plan() -> BehaviourPlan:
    """Return them as our engine is told."""
    from features.behaviour_plan import BehaviourPlan
    from features.series import SeriesPlan

    return BehaviourPlan(SeriesPlan(KINDS), windows_days=WINDOWS)
