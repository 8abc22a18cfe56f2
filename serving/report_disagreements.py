"""Whom model and rule judge most differently: contacts by rank, deals against the hand-set probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from serving.contract import read_reasons
from serving.report_language import Language
from serving.report_numbers import inert

Reason = Mapping[str, Any]

MOST_EACH_WAY: Final = 10
_SMALLEST_SHOWN: Final = 0.0005
_LEAST_SHARE: Final = 0.05
"""A reason smaller than this share of the largest is not told."""
_REASONS: Final = 2


@dataclass(frozen=True)
class Disputed:
    """One contact or deal: what the model says and its place, what the rule says and its place, and the model's why."""

    id: str
    probability: float
    place: int | None
    points: float | None
    points_place: int | None
    rule: float | None
    parts: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Disputes:
    """Those that the model puts higher, and those that the rule does; ``said`` counts them all."""

    said: str
    above: tuple[Disputed, ...]
    below: tuple[Disputed, ...]


def disputes_of_contacts(lang: Language, rows: pd.DataFrame) -> Disputes | None:
    """Take contacts that one of both ranks high and the other does not, by their gap in rank; None without points."""
    known = rows.loc[rows["close_likelihood"].notna() & rows["points"].notna() & rows["agreement"].notna()]
    if known.empty:
        return None
    ranked = known.assign(
        place=known["close_likelihood"].rank(ascending=False, method="min"),
        points_place=known["points"].rank(ascending=False, method="min"),
    )
    counts = {name: int((ranked["agreement"] == name).sum()) for name in lang.names["agreements"]}
    gap = ranked["points_place"] - ranked["place"]
    chosen = []
    for name, size in (("model_only", gap), ("points_only", -gap)):
        part = ranked.assign(gap=size).loc[(ranked["agreement"] == name) & (size > 0)]
        chosen.append(part.sort_values(["gap", "contact_id"], ascending=[False, True], kind="stable"))
    return Disputes(
        said=lang.say("disagree_counts", **{name: lang.numbers.count(count) for name, count in counts.items()}),
        above=tuple(_contact(lang, row) for row in chosen[0].head(MOST_EACH_WAY).to_dict("records")),
        below=tuple(_contact(lang, row) for row in chosen[1].head(MOST_EACH_WAY).to_dict("records")),
    )


def disputes_of_deals(lang: Language, rows: pd.DataFrame) -> Disputes | None:
    """Take the deals whose probability lies farthest from the one set by hand for their stage; None without these."""
    known = rows.loc[rows["win_probability"].notna() & rows["stage_probability_manual"].notna()]
    if known.empty:
        return None
    gap = known["win_probability"] - known["stage_probability_manual"]
    chosen = [
        known.assign(gap=size).loc[size > 0].sort_values(["gap", "deal_id"], ascending=[False, True], kind="stable")
        for size in (gap, -gap)
    ]
    return Disputes(
        said=lang.say("disagree_deals"),
        above=tuple(_deal(lang, row) for row in chosen[0].head(MOST_EACH_WAY).to_dict("records")),
        below=tuple(_deal(lang, row) for row in chosen[1].head(MOST_EACH_WAY).to_dict("records")),
    )


def told_reasons(lang: Language, reasons: Any, *, each_way: int = _REASONS) -> tuple[Reason, ...]:
    """Return what speaks most for one, then what speaks most against it, in words and with their effects."""
    told = read_reasons(reasons) if isinstance(reasons, str) else []
    least = max([_SMALLEST_SHOWN, *(_LEAST_SHARE * abs(one["effect"]) for one in told)])
    shown = []
    for sign in (1, -1):
        found = [one for one in told if sign * one["effect"] >= least][:each_way]
        shown += [{"effect": one["effect"], "words": lang.phrase(inert(one["words"], longest=200))} for one in found]
    return tuple(shown)


def _contact(lang: Language, row: Mapping[Any, Any]) -> Disputed:
    n, fit, engagement = lang.numbers, row["points_fit"], row["points_engagement"]
    parts = ""
    if not pd.isna(fit) and not pd.isna(engagement):
        parts = lang.say("points_parts", fit=n.number(fit, 0), engagement=n.number(engagement, 0))
    return Disputed(
        id=inert(row["contact_id"], longest=60),
        probability=float(row["close_likelihood"]),
        place=int(row["place"]),
        points=float(row["points"]),
        points_place=int(row["points_place"]),
        rule=None if pd.isna(row["points_likelihood"]) else float(row["points_likelihood"]),
        parts=parts,
        reasons=told_reasons(lang, row["reasons"]),
    )


def _deal(lang: Language, row: Mapping[Any, Any]) -> Disputed:
    return Disputed(
        id=inert(row["deal_id"], longest=60),
        probability=float(row["win_probability"]),
        place=None,
        points=None,
        points_place=None,
        rule=float(row["stage_probability_manual"]),
        parts="",
        reasons=told_reasons(lang, row["reasons"]),
    )
