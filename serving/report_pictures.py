"""Which pictures the report shows for a question, and from which of its numbers they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from serving import charts, report_numbers
from serving import report_sentences as sentences
from serving import report_words as words

Row = Mapping[str, Any]

MOST_STAGES: Final = 40
TOP_FEATURES: Final = 6
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
    *, question: str, families: Sequence[Row], scorers: Mapping[str, Row], lead: str, stages: Sequence[Row]
) -> Mapping[str, Markup]:
    """Draw what there is data for; a picture that is not in the result is replaced by a sentence."""
    many = words.NAMES[question]
    pictures = {}
    if families:
        pictures["families"] = charts.family_chart(
            name=f"{question}-families",
            title=f"{words.TEXTS['drives']}: {many}",
            words=[str(each["words"]) for each in families],
            sizes=[float(each["mean_abs_effect"]) for each in families],
        )
    lines = [
        charts.Gains(scorer=scorer, label=sentences.titled(scorer, part["label"]), points=part["gains"])
        for scorer, part in scorers.items()
        if scorer != "base_rate" and any(report_numbers.finite(point["captured"]) for point in part["gains"])
    ]
    if lines:
        pictures["gains"] = charts.gains_chart(
            name=f"{question}-gains", title=f"{words.TEXTS['gains']}: {many}", gains=lines
        )
    if lead in scorers and scorers[lead]["reliability"]:
        pictures["reliability"] = charts.reliability_chart(
            name=f"{question}-reliability",
            title=f"{words.TEXTS['reliability']}: {many}",
            bins=scorers[lead]["reliability"],
            scorer=lead,
        )
    if stages:
        pictures["stages"] = charts.stage_chart(
            name=f"{question}-stages", title=words.TEXTS["stages"], stages=stages[:MOST_STAGES]
        )
    return {key: Markup(svg) for key, svg in pictures.items()}  # noqa: S704 - matplotlib escaped every text in it


def feature_pictures(*, question: str, drivers: Sequence[Row]) -> list[tuple[Row, Markup]]:
    """Draw the features that move most, all to one scale, each beside what the picture was drawn from."""
    features = [
        {**feature, "bins": _largest_bins(feature["bins"])}
        for family in drivers
        for feature in family["features"]
        if feature["bins"] and feature["mean_abs_effect"] >= _LEAST_EFFECT
    ]
    features = sorted(features, key=lambda each: -each["mean_abs_effect"])[:TOP_FEATURES]
    reach = max((abs(each["effect"]) for feature in features for each in feature["bins"]), default=0.0)
    return [
        (
            feature,
            Markup(  # noqa: S704 - matplotlib escaped every text in it
                charts.effect_chart(
                    name=f"{question}-feature-{place}",
                    title=str(feature["words"]),
                    bins=feature["bins"],
                    reach=reach,
                )
            ),
        )
        for place, feature in enumerate(features, start=1)
    ]


def _largest_bins(bins: Sequence[Row]) -> list[Row]:
    """Keep the bins with most rows, in the order they were given."""
    fewest = sorted((each["rows"] for each in bins), reverse=True)[:_MOST_BINS][-1]
    kept = [each for each in bins if each["rows"] >= fewest][:_MOST_BINS]
    return [{**each, "label": report_numbers.bin_label(str(each["label"]))} for each in kept]
