"""What the report says of what drives winning: families and facts, how sure that is, and what changed since last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serving.report_language import Language
from serving.report_numbers import finite, inert

Row = Mapping[str, Any]

MOST_TOGETHER: Final = 4
_STEPS: Final = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True)
class FamilyLine:
    """One family in the table behind the picture; ``change`` is None where the model before told nothing of it."""

    words: str
    size: float
    low: float | None
    high: float | None
    lifts: str
    lowers: str
    top_three: str
    change: float | None
    is_sure: bool


def family_lines(lang: Language, drivers: Sequence[Row], before: Row | None) -> tuple[FamilyLine, ...]:
    """Return the families as the table tells them, largest first."""
    earlier = {each["family"]: each for each in (before or {}).get("families", ())}
    lines = []
    for each in drivers:
        then = earlier.get(each["family"])
        refits = each.get("refits") or 0
        lines.append(
            FamilyLine(
                words=lang.phrase(str(each["words"])),
                size=float(each["mean_abs_effect"]),
                low=each.get("low"),
                high=each.get("high"),
                lifts=_side(lang, each.get("lifts")),
                lowers=_side(lang, each.get("lowers")),
                top_three=f"{each['in_top_three']} / {refits}" if refits else "–",
                change=None if then is None else float(each["mean_abs_effect"]) - float(then["mean_abs_effect"]),
                is_sure=then is not None and apart(each, then),
            )
        )
    return tuple(lines)


def apart(now: Row, then: Row) -> bool:
    """Say whether the ranges of two sizes have nothing in common; without ranges nobody can say."""
    ends = [now.get("low"), now.get("high"), then.get("low"), then.get("high")]
    if not all(finite(end) for end in ends):
        return False
    low, high, then_low, then_high = (float(end) for end in ends if end is not None)
    return low > then_high or high < then_low


def family_sentences(
    lang: Language, shown: Sequence[Row], others: Sequence[Row], question: str, *, population: Row | None
) -> list[str]:
    """Name the families that move probabilities most, how sure that order is, and bound what is not shown."""
    n, first = lang.numbers, shown[0]
    told = {
        "family": _named(lang, first),
        "one": lang.noun(question, 1),
        "points": n.points(first["mean_abs_effect"], signed=False),
    }
    if finite(first.get("low")) and finite(first.get("high")):
        ends = {end: n.points(first[end], signed=False) for end in ("low", "high")}
        sentences = [lang.say("family_first_range", **told, **ends)]
    else:
        sentences = [lang.say("family_first", **told)]
    after = [
        lang.say("family_next_part", family=_named(lang, each), points=n.points(each["mean_abs_effect"], signed=False))
        for each in shown[1:3]
    ]
    if after:
        listed = after[0] if len(after) == 1 else lang.say("family_and", first=after[0], second=after[1])
        sentences[0] = f"{sentences[0]} {lang.say('family_next', list=listed)}"
    refits = first.get("refits") or 0
    if refits:
        stable = first["in_top_three"] >= 0.8 * refits
        sentences.append(
            lang.say("family_stable" if stable else "family_shaky", count=first["in_top_three"], refits=refits)
        )
    if others:
        sentences.append(_not_drawn(lang, others))
    if population:
        objects = population["objects"]
        sentences.append(
            lang.say(
                "family_counts",
                objects=f"{n.count(objects)} {lang.noun(question, objects)}",
                rows=n.count(population["rows"]),
            )
        )
    return sentences


def since_sentence(lang: Language, drivers: Sequence[Row], before: Row | None) -> str:
    """Say what changed since the model before."""
    if before is None:
        return lang.say("since_none")
    if before.get("same_model"):
        return lang.say("since_same")
    earlier = {each["family"]: each for each in before["families"]}
    trained = lang.numbers.day(before["trained_as_of"])
    moved = [
        (each, then) for each in drivers if (then := earlier.get(each["family"])) is not None and apart(each, then)
    ]
    if not moved:
        return lang.say("since_steady", trained=trained)
    now, then = max(moved, key=lambda pair: abs(pair[0]["mean_abs_effect"] - pair[1]["mean_abs_effect"]))
    return lang.say(
        "since_grew",
        trained=trained,
        family=_named(lang, now),
        before=lang.numbers.points(then["mean_abs_effect"], signed=False),
        now=lang.numbers.points(now["mean_abs_effect"], signed=False),
    )


def fact_sentences(lang: Language, fact: Row) -> list[str]:
    """Say which way a fact pulls, how sure that is, where its ends lie, and what goes with it."""
    bins, n = fact["bins"], lang.numbers
    high, low = (choose(bins, key=lambda each: each["effect"]) for choose in (max, min))
    level = high is low or n.points(high["effect"]) == n.points(low["effect"])
    direction = "none" if level else fact.get("direction")
    told = [lang.say(f"fact_{direction}")] if direction else []
    if not level:
        told.append(
            lang.say(
                "fact_ends",
                high=_label(lang, high),
                high_points=n.points(high["effect"]),
                low=_label(lang, low),
                low_points=n.points(low["effect"]),
            )
        )
    agree, refits = fact.get("agree"), fact.get("refits")
    if agree is not None and refits and direction not in ("none", "unclear"):
        told.append(lang.say("fact_agree" if agree == refits else "fact_agree_most", count=agree, refits=refits))
    together = [lang.phrase(inert(each["words"], longest=90)) for each in fact.get("together", ())]
    if together:
        shown = [lang.quoted(each) for each in together[:MOST_TOGETHER]]
        if len(together) > MOST_TOGETHER:
            shown.append(lang.texts["and_more"].format(more=len(together) - MOST_TOGETHER))
        told.append(lang.say("fact_together", list=", ".join(shown)))
    return [" ".join(told[:-1]), told[-1]] if together else [" ".join(told)]


def short_families(lang: Language, shown: Sequence[Row]) -> str:
    """Name the three families that matter most, in one plain sentence."""
    names = [lang.quoted(_named(lang, each)) for each in shown[:3]]
    if not names:
        return lang.say("short_families_none")
    if len(names) < 3:
        return lang.say(
            "short_families_one" if len(names) == 1 else "short_families_two",
            **dict(zip(("first", "second"), names, strict=False)),
        )
    return lang.say("short_families", first=names[0], second=names[1], third=names[2])


def _side(lang: Language, side: Row | None) -> str:
    if not side or not side["share"]:
        return "–"
    return lang.say(
        "family_moves_to", share=lang.numbers.percent(side["share"]), points=lang.numbers.points(side["effect"])
    )


def _not_drawn(lang: Language, others: Sequence[Row]) -> str:
    most = max(float(each["mean_abs_effect"]) for each in others)
    bound = lang.numbers.points(next((step for step in _STEPS if most < step), 1.0), signed=False)
    listed = (
        ", ".join(lang.quoted(_named(lang, each)) for each in others)
        if len(others) <= 3
        else lang.say("family_further", count=lang.numbers.count(len(others)))
    )
    return lang.say("family_not_drawn" if len(others) == 1 else "family_not_drawn_each", list=listed, points=bound)


def _named(lang: Language, family: Row) -> str:
    return lang.phrase(inert(family["words"], longest=80))


def _label(lang: Language, each: Row) -> str:
    return lang.phrase(inert(each["label"], longest=60))
