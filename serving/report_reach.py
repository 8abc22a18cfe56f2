"""How far down a list to work: what the team's capacity reaches, and how many hold most of the wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

from serving.report_language import Language
from serving.report_numbers import finite

Row = Mapping[str, Any]

WEEKS_A_MONTH: Final = 365.25 / 12 / 7


def capacity_share(calls_a_week: float | None, *, total: int) -> float | None:
    """Return which share of today's list the team works in a month, which is how often a contact is looked at."""
    if calls_a_week is None or not total:
        return None
    return min(1.0, calls_a_week * WEEKS_A_MONTH / total)


def held_by(gains: Sequence[Row], share: float) -> float | None:
    """Return the share of the wins in the first ``share`` of the list, linear between the points that were measured.

    >>> held_by([{"share": 0.5, "captured": 0.8}, {"share": 1.0, "captured": 1.0}], 0.25)
    0.4
    """
    before = (0.0, 0.0)
    for point in gains:
        if not finite(point["captured"]):
            return None
        here = (float(point["share"]), float(point["captured"]))
        if here[0] >= share:
            part = (share - before[0]) / (here[0] - before[0])
            return before[1] + part * (here[1] - before[1])
        before = here
    return before[1] if gains else None


def capture_sentence(lang: Language, label: str, capture: Row | None) -> str:
    """Say how many wins the top fifth of the list holds."""
    n = lang.numbers
    if not capture or not finite(capture["value"]):
        return lang.say("capture_unknown", label=label)
    return lang.say(
        "capture",
        label=label,
        percent=n.percent(capture["value"]),
        range=n.percent_range(capture["low"], capture["high"]),
    )


def capacity_sentence(lang: Language, *, calls_a_week: float | None, total: int, gains: Sequence[Row]) -> str:
    """Say what the team's calls reach; of contacts only, as nobody calls deals from a list."""
    share, n = capacity_share(calls_a_week, total=total), lang.numbers
    if share is None or calls_a_week is None:
        return lang.say("capacity_none")
    told = {
        "calls": n.count(calls_a_week),
        "month": n.count(calls_a_week * WEEKS_A_MONTH),
        "total": f"{n.count(total)} {lang.noun('contacts', total)}",
    }
    held = held_by(gains, share)
    if share >= 1.0 or held is None:
        return lang.say("capacity_all", **told)
    return lang.say("capacity", **told, share=n.percent(share), captured=n.percent(held), random=n.percent(share))


def reach_sentence(lang: Language, gains: Sequence[Row], label: str) -> str:
    """Say how far down the list four of five wins are reached."""
    reached = [point["share"] for point in gains if finite(point["captured"]) and point["captured"] >= 0.8]
    return lang.say("reach", label=label, share=lang.numbers.percent(min(reached))) if reached else ""


def sixty_sentence(lang: Language, estimate: Row | None, *, total: int, question: str, why_not: str) -> str:
    """Say how many of today's list must be worked through for 60 % of the wins; ``why_not`` says why nobody knows."""
    n = lang.numbers
    if why_not or not estimate or not finite(estimate["value"]):
        return lang.say("short_reach_none", why=why_not or lang.say("short_reach_no_test"))

    def many(share: float) -> str:
        return n.count(ceil(share * total - 1e-9))

    told = {
        "share": n.percent(estimate["value"]),
        "count": many(estimate["value"]),
        "total": f"{n.count(total)} {lang.noun(question, total)}",
    }
    if not (finite(estimate["low"]) and finite(estimate["high"])):
        return lang.say("short_reach", **told)
    return lang.say("short_reach_range", **told, low=many(estimate["low"]), high=many(estimate["high"]))
