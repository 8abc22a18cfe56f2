"""The sentences of the report that are computed from its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.report_numbers import count, finite, inert, number, percent, percent_range, plural, points, span
from serving.report_words import NOUNS, PUBLISHED, SPOKEN

Row = Mapping[str, Any]


def headline(question: str, published: str, *, tested: bool) -> str:
    """Answer "can I use it today?" in one sentence."""
    many = NOUNS[question][1]
    if not tested:
        return {
            "model": f"With care: the model’s probabilities for {many} are published without a test.",
            "rules": f"Keep the rule for {many}: there are too few outcomes to test a model.",
            "stage_rate": f"Use the observed stage rate for {many}: there are too few outcomes to test a model.",
            "base_rate": f"Use the average rate for {many}: there are too few outcomes to rank them.",
            "none": f"Too few outcomes to score {many} yet.",
        }[published]
    return {
        "model": f"Yes: use the model’s probabilities for {many}.",
        "rules": f"Keep the rule: use your point rules for {many}.",
        "stage_rate": f"Use the observed stage rate for {many}.",
        "base_rate": f"Use the average rate for {many}: no order of them can be relied on.",
        "none": f"No probability is published for {many} today.",
    }[published]


def what_it_means(published: str, *, tested: bool) -> str:
    """Say what the reader does with this verdict."""
    if published == "model" and not tested:
        return "No outcome that the model had not seen could be set against its probabilities."
    return {
        "model": "Each probability in this batch comes from the model, which was tested on outcomes it had not seen.",
        "rules": "This is a result, not a failure: the rules stay, and each score is now written as a probability.",
        "stage_rate": "This is a result, not a failure: a deal’s probability is how often past deals in its stage "
        "were won.",
        "base_rate": "This is a result, not a failure: one honest average is better than an order that chance made.",
        "none": "A guess would look like knowledge, so the scores stay empty.",
    }[published]


def rank_only_headline(question: str, published: str, *, ordered: bool) -> str:
    """Answer "can I use it today?" where the percentages failed their test."""
    many = NOUNS[question][1]
    if not ordered:
        return f"Use no percentage for {many} today: none is published."
    if published == "model":
        return f"Use the model’s order for {many}, not its percentages."
    return f"Use the order of your point rules for {many}, not their percentages."


def rank_only_meaning(question: str, published: str, *, ordered: bool) -> str:
    """Say what was good enough to publish, and what was not."""
    many = NOUNS[question][1]
    found = {
        "model": "The model beat every alternative it was tested against, but its percentages failed their test.",
        "base_rate": "Nothing beat one average for all, and even that percentage failed its test.",
    }.get(published, "The best that could be published is the old way, but its percentages failed their test.")
    if ordered:
        return f"{found} So this batch puts {many} into tiers, from very high to low, and gives no probability."
    return f"{found} A wrong percentage is worse than none, so this batch gives none."


def percentages_failed(label: str) -> str:
    """Answer "does 30 % mean 30 %?" where it does not."""
    return (
        f"No. The percentages of {label} failed this test, so none is published. The picture shows how far what was "
        "said and what came lie apart."
    )


def no_test(row: Row, question: str) -> str:
    """Say that nothing could be tested, and what there was."""
    positives: Any = row.get("positive_objects")
    found = f"; the history holds {plural(positives, 'win', 'wins')} to learn from" if finite(positives) else ""
    return f"No test was possible for {NOUNS[question][1]}{found}. Without a test there are no figures to show here."


def spoken(scorer: str, label: object) -> str:
    """Name a scorer in the middle of a sentence."""
    return SPOKEN.get(scorer) or inert(label, longest=60)


def titled(scorer: str, label: object) -> str:
    """Name a scorer at the head of a column."""
    name = spoken(scorer, label).removeprefix("the ")
    return f"{name[:1].upper()}{name[1:]}"


def compared(
    difference: Row,
    *,
    model: float,
    baseline: float,
    name: str,
    yardstick: bool,
    rows: int,
    objects: int,
    noun: str,
) -> str:
    """Compare the model's log loss with the lowest of all others, that of ``name``, on the same rows.

    A ``yardstick`` is only compared with; it is never published itself.
    """
    value, low, high = difference.get("value"), difference.get("low"), difference.get("high")
    best = f"{name}, the best of everything it was compared with"
    best = f"{best} (a yardstick that is never published itself)" if yardstick else best
    if value is None or low is None or high is None or not (finite(value) and finite(low) and finite(high)):
        return f"The model could not be compared with {best}."
    on = f"On {count(rows)} later snapshots of {count(objects)} {noun}, the error (log loss) of the model"
    figures = f"{number(model, 4)} against {number(baseline, 4)}"
    if low <= 0.0 <= high:
        return (
            f"{on} cannot be told apart from that of {best}: {figures}, and the 95 % interval of the difference "
            f"({number(low, 4)} to {number(high, 4)}) includes zero."
        )
    word, ends = ("lower", (-high, -low)) if high < 0.0 else ("higher", (low, high))
    return (
        f"{on} was {percent(abs(value) / baseline)} {word} than that of {best}: {figures}; the difference lies "
        f"between {number(ends[0], 4)} and {number(ends[1], 4)} (95 % interval)."
    )


def compared_in_words(difference: Row | None, *, higher_is_better: bool) -> str:
    """Name who is better, if the interval says so."""
    if not difference or not (finite(difference["low"]) and finite(difference["high"])):
        return "not known"
    if difference["low"] <= 0.0 <= difference["high"]:
        return "no clear difference"
    return "model better" if (difference["low"] > 0.0) == higher_is_better else "model worse"


def predicted_and_observed(estimate: Row | None, *, label: str) -> str:
    """Set the number of wins predicted against those that came."""
    if not estimate or not finite(estimate["value"]):
        return f"How many wins {label} predicts cannot be set against those that came: no win in the test."
    ends = (
        f" (95 % interval {count(100 * estimate['low'])} to {count(100 * estimate['high'])})"
        if finite(estimate["low"]) and finite(estimate["high"])
        else ""
    )
    return f"For every 100 wins that came, {label} had predicted {count(100 * estimate['value'])}{ends}."


def counted(total: int, missing: Mapping[str, int], question: str, *, rank_only: bool) -> str:
    """Count what got a score (or, without percentages, a tier) and what did not, with the reasons."""
    one, many = NOUNS[question]
    left = sum(missing.values())
    if not total:
        return f"There were no {many} to score."
    what, without = ("a tier", "Not ranked") if rank_only else ("a score", "Not scored")
    given = f"{count(total - left)} of {plural(total, one, many)} got {what}."
    why = ", ".join(f"{count(rows)} ({inert(reason, longest=120)})" for reason, rows in missing.items())
    return f"{given} {without}: {why}." if left else f"{given} None was left out."


def age(days: float) -> str:
    """Say how old the data was when it was scored."""
    if days <= 0:
        return "right up to the scoring"
    return f"{count(days / 365.25)} years before the scoring" if days >= 730 else f"{span(days)} before the scoring"


def disagreement(published: str, recommended: str) -> str:
    """Say that what is published is not what the latest test recommends."""
    return (
        f"The latest test recommends {PUBLISHED.get(recommended, recommended)}; this batch still holds "
        f"{PUBLISHED[published]}."
    )


def family_sentence(shown: Sequence[Row], others: Sequence[Row], question: str) -> str:
    """Name the families that move probabilities most, and bound what the ones not shown do."""
    first = shown[0]
    rest = " and ".join(
        f"“{inert(each['words'], longest=80)}” ({points(each['mean_abs_effect'], signed=False)})" for each in shown[1:3]
    )
    tail = f", followed by {rest}" if rest else ""
    return (
        f"Here “{inert(first['words'], longest=80)}” matters most: it moves a {NOUNS[question][0]}’s probability by "
        f"{points(first['mean_abs_effect'], signed=False)} on average, up or down{tail}.{_the_others(others)}"
    )


def _the_others(others: Sequence[Row]) -> str:
    if not others:
        return ""
    most = max(float(each["mean_abs_effect"]) for each in others)
    bound = next((step for step in (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1) if most < step), 1.0)
    named = ", ".join(f"“{inert(each['words'], longest=80)}”" for each in others[:3])
    who = f"Not drawn: {named}" if len(others) <= 3 else f"Not drawn: {count(len(others))} further groups"
    move, each = ("moves", "") if len(others) == 1 else ("move", " each")
    return f" {who}, which {move} it by less than {points(bound, signed=False)}{each}."


def feature_sentence(bins: Sequence[Row]) -> str:
    """Say where a feature lifts the probability most and where it lowers it most."""
    high = max(bins, key=lambda each: each["effect"])
    low = min(bins, key=lambda each: each["effect"])
    if high is low or points(high["effect"]) == points(low["effect"]):
        return "Here it makes no visible difference."
    return (
        f"Highest at “{inert(high['label'], longest=60)}” ({points(high['effect'])}), "
        f"lowest at “{inert(low['label'], longest=60)}” ({points(low['effect'])})."
    )


def capture_sentence(label: str, capture: Row | None) -> str:
    """Say how many wins the top fifth of the list holds."""
    if not capture or not finite(capture["value"]):
        return f"How many wins the top of the list by {label} holds is not known: no win in the test."
    return (
        f"By {label}, the top 20 % of the list holds {percent(capture['value'])} of the wins "
        f"[95 %: {percent_range(capture['low'], capture['high'])}]."
    )


def reach_sentence(gains: Sequence[Row], label: str) -> str:
    """Say how far down the list four of five wins are reached."""
    reached = [point["share"] for point in gains if finite(point["captured"]) and point["captured"] >= 0.8]
    return f"By {label}, four of five wins lie in the first {percent(min(reached))} of the list." if reached else ""


def reliability_sentence(bins: Sequence[Row]) -> str:
    """Take the group nearest to 30 % and say what came of it."""
    near = min(bins, key=lambda each: abs(each["predicted"] - 0.3))
    return (
        f"Here: where it said {percent(near['predicted'])} on average, {percent(near['observed'])} were won "
        f"(95 %: {percent_range(near['low'], near['high'])}; {plural(near['rows'], 'row', 'rows')})."
    )


def null_sentence(name: str, value: float | None, band: float | None, *, passed: bool = False) -> str:
    """Set a calibration error beside what chance alone makes of it, and say if it ``passed`` the test all the same."""
    if not (finite(value) and finite(band)) or value is None or band is None:
        return f"{name} is not available: it needs both won and not won in the test."
    verdict = "within what chance explains" if value <= band else "more than chance explains"
    if passed and value > band:
        verdict = f"{verdict}, yet within the small margin that the test allows on top"
    return (
        f"{name}: {points(value, signed=False)}. Perfectly right probabilities would show up to "
        f"{points(band, signed=False)} by chance (in 95 of 100 cases), so this is {verdict}."
    )


def stage_sentence(stages: Sequence[Row]) -> str:
    """Name the stage whose manual probability is furthest from what was observed."""
    known = [each for each in stages if finite(each["manual"]) and finite(each["observed"])]
    if not known:
        return "No stage has both a manual probability and an observed rate, so nothing can be compared here."
    worst = max(known, key=lambda each: abs(each["manual"] - each["observed"]))
    gap = worst["manual"] - worst["observed"]
    name = inert(worst["stage"], longest=60)
    if abs(gap) < 0.01:
        return "Here every manual probability is within one percentage point of the observed rate."
    return (
        f"Here the largest gap is at “{name}”: set by hand to {percent(worst['manual'])}, observed "
        f"{percent(worst['observed'])}; the hand-set value is {points(abs(gap), signed=False)} too "
        f"{'high' if gap > 0 else 'low'}."
    )


def value_sentence(deals: int, amount: float, expected: float, named: int) -> str:
    """Weigh the open amounts by their probabilities."""
    if not named:
        return "None of the scored deals names an amount, so there is no expected value."
    names = "names" if named == 1 else "name"
    without = f" {plural(deals - named, 'deal names', 'deals name')} no amount." if deals > named else ""
    return (
        f"The {plural(named, 'scored deal', 'scored deals')} that {names} an amount would bring {count(amount)} if all "
        f"were won; weighed by probability, {count(expected)}.{without} Amounts are added up as the CRM states them: "
        "where deals are in several currencies, nothing was converted, so compare such sums with care."
    )
