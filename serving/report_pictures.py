"""Which pictures the report shows for a question, and from which of its numbers they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from serving import charts
from serving.report_language import Language
from serving.report_numbers import finite
from serving.report_rules import RuleLine
from serving.report_sentences import titled

Row = Mapping[str, Any]

MOST_STAGES: Final = 40
TOP_FACTS: Final = 6
MOST_DRAWN_RULES: Final = 20
_MOST_BINS: Final = 12
_LEAST_SHARE: Final = 0.02
_LEAST_EFFECT: Final = 0.00005


def split_families(drivers: Sequence[Row]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Divide the families, largest first, into those worth a bar and those that move next to nothing."""
    most = max((float(each["mean_abs_effect"]) for each in drivers), default=0.0)
    least = max(_LEAST_EFFECT, _LEAST_SHARE * most)
    shown = tuple(each for each in drivers if each["mean_abs_effect"] >= least)[:_MOST_BINS]
    return shown, tuple(each for each in drivers if not any(each is other for other in shown))


def question_pictures(
    lang: Language,
    *,
    question: str,
    families: Sequence[Row],
    scorers: Mapping[str, Row],
    lead: str,
    stages: Sequence[Row],
    rules: Sequence[RuleLine],
    mark: float,
) -> Mapping[str, Markup]:
    """Draw what there is data for; a picture that is not in the result is replaced by a sentence."""
    many, pictures = lang.name("questions", question), {}
    if families:
        pictures["families"] = charts.family_chart(
            name=f"{question}-families",
            title=f"{lang.texts['drives']}: {many}",
            families=[
                charts.Bar(
                    lang.phrase(str(each["words"])), float(each["mean_abs_effect"]), each.get("low"), each.get("high")
                )
                for each in families
            ],
            numbers=lang.numbers,
        )
    lines = [
        charts.Gains(scorer=scorer, label=titled(lang, scorer, part["label"]), points=part["gains"])
        for scorer, part in scorers.items()
        if scorer != "base_rate" and any(finite(point["captured"]) for point in part["gains"])
    ]
    if lines:
        pictures["gains"] = charts.gains_chart(
            name=f"{question}-gains", title=f"{lang.texts['gains']}: {many}", gains=lines, lang=lang, mark=mark
        )
    if lead in scorers and scorers[lead]["reliability"]:
        pictures["reliability"] = charts.reliability_chart(
            name=f"{question}-reliability",
            title=f"{lang.texts['reliability']}: {many}",
            bins=scorers[lead]["reliability"],
            scorer=lead,
            lang=lang,
        )
    if stages:
        pictures["stages"] = charts.stage_chart(
            name=f"{question}-stages", title=lang.texts["stages"], stages=stages[:MOST_STAGES], lang=lang
        )
    if rules:
        pictures["rules"] = charts.points_chart(
            name=f"{question}-rules",
            title=lang.texts["rules"],
            rules=[
                charts.RulePoints(each.name, each.manual, each.learned, each.low, each.high)
                for each in rules[:MOST_DRAWN_RULES]
            ],
            lang=lang,
        )
    return {key: Markup(svg) for key, svg in pictures.items()}  # noqa: S704 - matplotlib escaped every text in it


def fact_pictures(lang: Language, *, question: str, drivers: Sequence[Row]) -> list[tuple[Row, Markup]]:
    """Draw the facts that move most, each to its own scale and beside what the picture was drawn from."""
    facts = [
        {**fact, "refits": family.get("refits"), "bins": _largest_bins(lang, fact["bins"])}
        for family in drivers
        for fact in family["features"]
        if fact["bins"] and fact["mean_abs_effect"] >= _LEAST_EFFECT
    ]
    facts = sorted(facts, key=lambda each: -each["mean_abs_effect"])[:TOP_FACTS]
    return [
        (
            fact,
            Markup(  # noqa: S704 - matplotlib escaped every text in it
                charts.effect_chart(
                    name=f"{question}-fact-{place}",
                    title=lang.phrase(str(fact["words"])),
                    bins=fact["bins"],
                    reach=1.3 * max(abs(each["effect"]) for each in fact["bins"]),
                    lang=lang,
                    noun=lang.noun(question),
                )
            ),
        )
        for place, fact in enumerate(facts, start=1)
    ]


def _largest_bins(lang: Language, bins: Sequence[Row]) -> list[Row]:
    """Keep the bins with most rows, in the order they were given."""
    fewest = sorted((each["rows"] for each in bins), reverse=True)[:_MOST_BINS][-1]
    kept = [each for each in bins if each["rows"] >= fewest][:_MOST_BINS]
    return [{**each, "label": bin_words(lang, str(each["label"]))} for each in kept]


def bin_words(lang: Language, label: str) -> str:
    """Write the values of a bin as this language does."""
    written = lang.numbers.bin_label(label)
    return lang.phrase(label) if written == label else written
