"""What the report says of the rule sheet: each rule priced, which is worth least, and whether to keep the sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from serving.report_language import Language
from serving.report_numbers import finite, inert

Row = Mapping[str, Any]

MOST_RULES: Final = 40
_LONGEST_NAME: Final = 80
_LISTS: Final = ("manual", "learned", "model")


@dataclass(frozen=True)
class RuleLine:
    """One rule as the table tells it; numbers are None where the past says nothing."""

    name: str
    group: str
    manual: float
    learned: float | None
    low: float | None
    high: float | None
    held: int
    won: float | None
    lift: float | None
    remark: str


@dataclass(frozen=True)
class RulesView:
    """The section on the rules: what it says, its lines, and the test; only ``why_not`` where there is nothing."""

    why_not: str
    said: tuple[str, ...] = ()
    least: str = ""
    lines: tuple[RuleLine, ...] = ()
    more: int = 0
    learnt_from: str = ""
    tested: str = ""
    share: float = 0.0
    orders: tuple[tuple[str, Mapping[str, Row]], ...] = ()


def rules_view(lang: Language, evaluation: Row, *, published: str) -> RulesView:
    """Read what a training kept of the sheet."""
    evidence = evaluation.get("rules")
    if evidence is None:
        return RulesView(why_not=lang.texts["rules_not_run" if "rules" not in evaluation else "rules_none"])
    if evidence["why_not"]:
        return RulesView(why_not=lang.say("rules_untested", why=inert(evidence["why_not"])))
    criteria = evidence["criteria"]
    lines = [_line(lang, each) for each in criteria]
    return RulesView(
        why_not="",
        said=(*_verdict(lang, evidence, published=published), *_priced(lang, criteria)),
        least=least_sentence(lang, criteria),
        lines=tuple(lines[:MOST_RULES]),
        more=max(0, len(lines) - MOST_RULES),
        learnt_from=_learnt_from(lang, evidence),
        tested=_tested(lang, evidence["test"]),
        share=float(evidence["test"]["share"]) if evidence["test"] else 0.0,
        orders=tuple(
            (lang.texts[f"order_{name}"], evidence["test"]["metrics"][name])
            for name in _LISTS
            if evidence["test"] and name in evidence["test"]["metrics"]
        ),
    )


def least_sentence(lang: Language, criteria: Sequence[Row]) -> str:
    """Name the rule that is worth least: whose points the past supports least, and of equals the one given most.

    A rule that never fired is worth nothing, but it does no harm either: it is named only where no other is left.
    """
    priced = [each for each in criteria if not each["why_not"]]
    rest = [each for each in criteria if each["why_not"]]
    n = lang.numbers
    if priced:
        least = min(priced, key=lambda each: (_worth(each), -abs(each["manual"])))
        return lang.say(
            "rules_least",
            name=_name(least),
            manual=_points(lang, least["manual"]),
            learned=n.number(least["learned"]["value"], 0),
            low=n.number(least["learned"]["low"], 0),
            high=n.number(least["learned"]["high"], 0),
        )
    if rest:
        least = max(rest, key=lambda each: abs(each["manual"]))
        why = lang.say("rules_least_cannot" if least["held"] else "rules_least_never")
        return lang.say("rules_least_nothing", name=_name(least), manual=_points(lang, least["manual"]), why=why)
    return lang.say("rules_least_none")


def _worth(each: Row) -> float:
    """Say how much of what is given the past supports."""
    return abs(each["learned"]["value"]) / abs(each["manual"]) if each["manual"] else 0.0


def _line(lang: Language, each: Row) -> RuleLine:
    remarks = []
    if each["why_not"]:
        remarks.append(lang.texts["never_held" if not each["held"] and _never(each) else "cannot"])
    elif each["mispriced"]:
        remarks.append(lang.texts["too_many" if each["mispriced"] > 0 else "too_few"])
    else:
        remarks.append(lang.texts["fits"])
    if each["same_as"]:
        names = ", ".join(lang.quoted(inert(one, longest=_LONGEST_NAME)) for one in each["same_as"][:3])
        remarks.append(lang.texts["same_as"].format(names=names))
    return RuleLine(
        name=_name(each),
        group=inert(each["group"], longest=40),
        manual=float(each["manual"]),
        learned=each["learned"]["value"],
        low=each["learned"]["low"],
        high=each["learned"]["high"],
        held=int(each["held"]),
        won=each["rate_held"],
        lift=each["lift"],
        remark="; ".join(remarks),
    )


def _never(each: Row) -> bool:
    return "never" in str(each["why_not"])


def _verdict(lang: Language, evidence: Row, *, published: str) -> list[str]:
    """Say whether the rules stay, and how good their order is."""
    advice = evidence["advice"]
    why = lang.phrase(inert(evidence["not_tested"], longest=200))
    told = [lang.say("rules_untested", why=why) if advice == "untested" else lang.say(f"rules_{advice}")]
    if published == "rules":
        told.append(lang.say("rules_published"))
    elif advice == "keep" and published != "none":
        told.append(lang.say("rules_not_published", published=lang.name("published", published)))
    test = evidence["test"]
    auc = test and test["metrics"].get("manual", {}).get("auc")
    if auc and all(finite(auc[end]) for end in ("value", "low", "high")):
        key = "rules_good" if auc["low"] > 0.5 else "rules_worse" if auc["high"] < 0.5 else "rules_chance"
        n = lang.numbers
        told.append(
            lang.say(
                key,
                auc=n.count(100 * auc["value"]),
                low=n.count(100 * auc["low"]),
                high=n.count(100 * auc["high"]),
            )
        )
    return told


def _priced(lang: Language, criteria: Sequence[Row]) -> list[str]:
    """Say which rules are mis-priced, which never fired, and which could not be priced."""
    priced = [each for each in criteria if not each["why_not"]]
    off = [each for each in priced if each["mispriced"]]
    told = []
    if priced and not off:
        told.append(lang.say("rules_priced_all", count=len(priced)))
    if off:
        named = [
            f"{lang.quoted(_name(each))} ({lang.texts['too_many' if each['mispriced'] > 0 else 'too_few']})"
            for each in off[:6]
        ]
        told.append(lang.say("rules_mispriced", off=len(off), count=len(priced), list=_listed(lang, named, len(off))))
    for key, chosen in (
        ("rules_never", [each for each in criteria if each["why_not"] and _never(each)]),
        ("rules_cannot", [each for each in criteria if each["why_not"] and not _never(each)]),
    ):
        if chosen:
            named = [lang.quoted(_name(each)) for each in chosen[:6]]
            told.append(lang.say(key, list=_listed(lang, named, len(chosen))))
    return told


def _learnt_from(lang: Language, evidence: Row) -> str:
    contacts = evidence["contacts"]
    return lang.say(
        "rules_learnt_from",
        contacts=f"{lang.numbers.count(contacts)} {lang.noun('contacts', contacts)}",
        winners=lang.numbers.count(evidence["winners"]),
    )


def _tested(lang: Language, test: Row | None) -> str:
    if not test:
        return ""
    n = lang.numbers
    return lang.say(
        "rules_tested",
        rows=n.count(test["rows"]),
        since=n.day(test["since"]),
        until=n.day(test["until"]),
        winners=n.count(test["winners"]),
    )


def _listed(lang: Language, named: Sequence[str], count: int) -> str:
    more = [lang.texts["and_more"].format(more=count - len(named))] if count > len(named) else []
    return ", ".join([*named, *more])


def _name(each: Row) -> str:
    return inert(each["name"], longest=_LONGEST_NAME)


def _points(lang: Language, value: float) -> str:
    return lang.numbers.number(value, 0 if float(value).is_integer() else 1)
