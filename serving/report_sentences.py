"""The sentences of the report that are computed from the numbers of the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.report_language import Language
from serving.report_numbers import finite, inert

Row = Mapping[str, Any]


def headline(lang: Language, question: str, published: str, *, tested: bool) -> str:
    """Answer "can I use it today?" in one sentence."""
    return lang.say(f"{'headline' if tested else 'untested'}_{published}", many=lang.noun(question))


def what_it_means(lang: Language, published: str, *, tested: bool) -> str:
    """Say what the reader does with this verdict."""
    return lang.say("means_model_untested" if published == "model" and not tested else f"means_{published}")


def rank_only_headline(lang: Language, question: str, published: str, *, ordered: bool) -> str:
    """Answer "can I use it today?" where the percentages failed their test."""
    if not ordered:
        return lang.say("no_percentage", many=lang.noun(question))
    return lang.say("order_of_model" if published == "model" else "order_of_rules", many=lang.noun(question))


def rank_only_meaning(lang: Language, question: str, published: str, *, ordered: bool) -> str:
    """Say what was good enough to publish, and what was not."""
    found = lang.say(f"failed_{published if published in ('model', 'base_rate') else 'other'}")
    return f"{found} {lang.say('only_tiers' if ordered else 'only_nothing', many=lang.noun(question))}"


def tried(lang: Language, evaluation: Row, scorers: Mapping[str, Row]) -> str:
    """Say on how many it was tried, and what the best fifth of each list held."""
    n, objects, winners = lang.numbers, evaluation["objects"], evaluation["positive_objects"]
    question = evaluation["question"]
    told = lang.say("tried", objects=f"{n.count(objects)} {lang.noun(question, objects)}", winners=n.count(winners))
    lists = [
        lang.say("tried_list", percent=n.percent(held["value"]), scorer=spoken(lang, name, scorer["label"]))
        for name, scorer in scorers.items()
        if name in ("model", "point_rules", "stage_manual")
        and (held := scorer["metrics"].get("capture_20"))
        and finite(held["value"])
    ]
    return lang.say("tried_lists", tried=told, lists=", ".join(lists)) if lists else told


def no_test(lang: Language, evaluation: Row, question: str) -> str:
    """Say that nothing could be tested, and what there was."""
    wins: Any = evaluation.get("positive_objects")
    if not finite(wins):
        return lang.say("no_test", many=lang.noun(question))
    told = lang.numbers.plural(wins, lang.say("one_win"), lang.say("wins"))
    return lang.say("no_test_found", many=lang.noun(question), wins=told)


def spoken(lang: Language, scorer: str, label: object) -> str:
    """Name a scorer in the middle of a sentence."""
    known = lang.names["scorers"].get(scorer)
    return str(known) if known else inert(label, longest=60)


def titled(lang: Language, scorer: str, label: object) -> str:
    """Name a scorer at the head of a column."""
    known = lang.names["titles"].get(scorer)
    name = str(known) if known else inert(label, longest=60)
    return f"{name[:1].upper()}{name[1:]}"


def compared(
    lang: Language,
    difference: Row,
    *,
    model: float,
    baseline: float,
    name: str,
    yardstick: bool,
    rows: int,
    objects: int,
    question: str,
) -> str:
    """Compare the model's log loss with the lowest of all others, that of ``name``, on the same rows.

    A ``yardstick`` is only compared with; it is never published itself.
    """
    n = lang.numbers
    value, low, high = difference.get("value"), difference.get("low"), difference.get("high")
    best = lang.say("compared_yardstick" if yardstick else "compared_best", name=name)
    if value is None or low is None or high is None or not (finite(value) and finite(low) and finite(high)):
        return lang.say("compared_not", best=best)
    key, ends = "compared_zero", (low, high)
    if high < 0.0:
        key, ends = "compared_lower", (-high, -low)
    elif low > 0.0:
        key = "compared_higher"
    return lang.say(
        key,
        rows=n.count(rows),
        objects=f"{n.count(objects)} {lang.noun(question, objects)}",
        percent=n.percent(abs(value) / baseline) if baseline else n.not_available,
        best=best,
        model=n.number(model, 4),
        baseline=n.number(baseline, 4),
        low=n.number(ends[0], 4),
        high=n.number(ends[1], 4),
    )


def compared_in_words(lang: Language, difference: Row | None, *, higher_is_better: bool) -> str:
    """Name who is better, if the interval says so."""
    if not difference or not (finite(difference["low"]) and finite(difference["high"])):
        return lang.say("unknown")
    if difference["low"] <= 0.0 <= difference["high"]:
        return lang.say("alike")
    return lang.say("better" if (difference["low"] > 0.0) == higher_is_better else "worse")


def predicted_and_observed(lang: Language, estimate: Row | None, *, label: str) -> str:
    """Set the number of wins predicted against those that came."""
    n = lang.numbers
    if not estimate or not finite(estimate["value"]):
        return lang.say("predicted_unknown", label=label)
    told = {"label": label, "predicted": n.count(100 * estimate["value"])}
    if not (finite(estimate["low"]) and finite(estimate["high"])):
        return lang.say("predicted_observed", **told)
    ends = {"low": n.count(100 * estimate["low"]), "high": n.count(100 * estimate["high"])}
    return lang.say("predicted_observed_range", **told, **ends)


def counted(lang: Language, total: int, missing: Mapping[str, int], question: str, *, rank_only: bool) -> str:
    """Count what got a score (or, without percentages, a tier) and what did not, with the reasons."""
    n, left = lang.numbers, sum(missing.values())
    if not total:
        return lang.say("counted_nothing", many=lang.noun(question))
    why = ", ".join(
        lang.say("counted_reason", rows=n.count(rows), reason=_why_not_scored(lang, reason))
        for reason, rows in missing.items()
    )
    key = f"counted_{'ranked' if rank_only else 'scored'}{'_left' if left else ''}"
    return lang.say(key, got=n.count(total - left), total=f"{n.count(total)} {lang.noun(question, total)}", why=why)


def _why_not_scored(lang: Language, reason: str) -> str:
    known = lang.names["not_scored"].get(reason)
    return str(known) if known else lang.phrase(inert(reason, longest=160))


def disagreement(lang: Language, published: str, recommended: str) -> str:
    """Say that what is published is not what the latest test recommends."""
    return lang.say(
        "published_else",
        recommended=lang.name("published", recommended),
        published=lang.name("published", published),
    )


def reliability_sentence(lang: Language, bins: Sequence[Row]) -> str:
    """Take the group nearest to 30 % and say what came of it."""
    n = lang.numbers
    near = min(bins, key=lambda each: abs(each["predicted"] - 0.3))
    return lang.say(
        "near_thirty",
        predicted=n.percent(near["predicted"]),
        observed=n.percent(near["observed"]),
        range=n.percent_range(near["low"], near["high"]),
        rows=n.plural(near["rows"], lang.say("one_row"), lang.say("rows")),
    )


def null_sentence(lang: Language, name: str, value: float | None, band: float | None, *, passed: bool = False) -> str:
    """Set a calibration error beside what chance alone makes of it, and say if it ``passed`` the test all the same."""
    if not (finite(value) and finite(band)) or value is None or band is None:
        return lang.say("null_missing", name=name)
    key = "null_within" if value <= band else "null_margin" if passed else "null_beyond"
    n = lang.numbers
    return lang.say(key, name=name, value=n.points(value, signed=False), band=n.points(band, signed=False))


def stage_sentence(lang: Language, stages: Sequence[Row]) -> str:
    """Name the stage whose manual probability is furthest from what was observed."""
    known = [each for each in stages if finite(each["manual"]) and finite(each["observed"])]
    if not known:
        return lang.say("stage_unknown")
    worst = max(known, key=lambda each: abs(each["manual"] - each["observed"]))
    gap, n = worst["manual"] - worst["observed"], lang.numbers
    if abs(gap) < 0.01:
        return lang.say("stage_close")
    return lang.say(
        "stage_high" if gap > 0 else "stage_low",
        stage=inert(worst["stage"], longest=60),
        manual=n.percent(worst["manual"]),
        observed=n.percent(worst["observed"]),
        gap=n.points(abs(gap), signed=False),
    )


def value_sentence(lang: Language, *, deals: int, amount: float, expected: float, named: int) -> str:
    """Weigh the open amounts by their probabilities."""
    if not named:
        return lang.say("value_none")
    n = lang.numbers
    told = [
        lang.say(
            "value",
            deals=n.plural(named, lang.say("value_deal"), lang.say("value_deals")),
            amount=n.count(amount),
            expected=n.count(expected),
        )
    ]
    if deals > named:
        told.append(lang.say("value_without", count=n.plural(deals - named, *lang.names["nouns"]["deals"])))
    return " ".join([*told, lang.say("value_currency")])


def support_sentence(lang: Language, support: Row) -> str:
    """Say what a win is, and how far ahead the history allows to speak; nothing where that is not known."""
    n = lang.numbers
    if support.get("horizon_days") is not None:
        return lang.say("support_contacts", days=n.span(support["horizon_days"]))
    reach = {name: n.plural(round(days), *n.days) for name, days in sorted((support.get("pipelines") or {}).items())}
    if not reach:
        return ""
    if len(set(reach.values())) == 1:
        return lang.say("support_deals", days=next(iter(reach.values())))
    told = [lang.say("support_pipeline", days=days, pipeline=inert(name, longest=60)) for name, days in reach.items()]
    return lang.say("support_pipelines", list=", ".join(told))


def why_not_available(lang: Language, metric: str) -> str:
    """Say why a metric has no value."""
    keys = {"auc_within_stage": "needs_stage", "auc_no_open_deal": "needs_cold", "auc": "needs_both"}
    return lang.say(keys.get(metric, "needs_both" if metric == "brier_skill" else "needs_win"))
