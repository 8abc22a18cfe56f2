"""What the test of one question came to, as the page says it: verdict, list, percentages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from serving import report_reach
from serving import report_sentences as sentences
from serving.report_groups import known_number
from serving.report_language import Language
from serving.report_numbers import finite

if TYPE_CHECKING:
    from serving.report_input import QuestionReport

Row = Mapping[str, Any]

SCORER_OF: Final[Mapping[str, str]] = {
    "model": "model",
    "rules": "point_rules",
    "stage_rate": "stage_observed",
    "base_rate": "base_rate",
}
_ORDER: Final = ("model", "point_rules", "stage_observed", "stage_manual", "naive_bayes", "base_rate")


@dataclass(frozen=True)
class Judged:
    """What the test says of one question: the input, and what was worked out from it."""

    lang: Language
    given: QuestionReport
    as_of: datetime
    calls_a_week: float | None
    scorers: Mapping[str, Row]
    lead: str
    known: pd.DataFrame
    not_counted: Mapping[str, int]

    @property
    def question(self) -> str:
        """The question's word."""
        return self.given.question

    @property
    def noun(self) -> str:
        """The word for many of them."""
        return self.lang.noun(self.question)

    @property
    def counted(self) -> int:
        """How many got a score, or without percentages a tier."""
        return len(self.known)

    @property
    def rank_only(self) -> bool:
        """Whether the percentages failed their test, so that none are published."""
        return not self.given.calibrated and self.given.published != "none"

    @property
    def one_rate(self) -> bool:
        """Whether all have the same probability."""
        return self.given.published == "base_rate"

    @property
    def has_order(self) -> bool:
        """Whether anybody is ranked: deals have no tiers, and one rate for all ranks only where there are points."""
        return has_order(self.given)

    @property
    def passed(self) -> bool:
        """Whether what is published passed its calibration test."""
        return self.given.calibrated and self.lead == SCORER_OF.get(self.given.published)

    @property
    def lead_scorer(self) -> Row | None:
        """The scorer whose probabilities are published, or else the model, if it was tested."""
        return self.scorers.get(self.lead)

    @cached_property
    def lead_label(self) -> str:
        """The name of that scorer in the middle of a sentence."""
        return sentences.spoken(self.lang, self.lead, self.scorers[self.lead]["label"]) if self.lead_scorer else ""

    @property
    def verdict(self) -> Row:
        """The gate's verdict."""
        return self.given.evaluation.get("verdict") or {}

    @property
    def differences(self) -> Mapping[str, Row]:
        """The model against each alternative, in the order of the scorers."""
        return in_order(self.given.evaluation.get("differences") or {})

    @cached_property
    def headline(self) -> str:
        """The answer to "can I use it today?"."""
        if self.rank_only:
            return sentences.rank_only_headline(self.lang, self.question, self.given.published, ordered=self.has_order)
        return sentences.headline(self.lang, self.question, self.given.published, tested=bool(self.scorers))

    @cached_property
    def explained(self) -> tuple[str, ...]:
        """What the verdict means, on what it rests, and how far ahead it speaks."""
        lang, evaluation, published = self.lang, self.given.evaluation, self.given.published
        if self.rank_only:
            told = [sentences.rank_only_meaning(lang, self.question, published, ordered=self.has_order)]
        else:
            told = [sentences.what_it_means(lang, published, tested=bool(self.scorers))]
        if self.scorers:
            told.append(sentences.tried(lang, evaluation, self.scorers))
        else:
            told.append(sentences.no_test(lang, evaluation, self.question))
        recommended = self.verdict.get("use", published)
        if recommended != published and published != "none":
            told.append(sentences.disagreement(lang, published, str(recommended)))
        support = sentences.support_sentence(lang, self.given.support or {})
        return (*told, *([support] if support else []))

    @cached_property
    def counted_sentence(self) -> str:
        """How many got a score, and why the others did not."""
        total = self.counted + sum(self.not_counted.values())
        return sentences.counted(self.lang, total, self.not_counted, self.question, rank_only=self.rank_only)

    @property
    def base_rate(self) -> float | None:
        """The average that reasons are told against."""
        return None if self.rank_only or self.known.empty else known_number(self.known["base_rate"].mean())

    @cached_property
    def mark(self) -> float:
        """The share of the list that the gains picture marks: the team's capacity, else a fifth."""
        share = report_reach.capacity_share(self.calls_a_week, total=self.counted)
        return share if share is not None and share < 1.0 and self.question == "contacts" else 0.2

    @cached_property
    def gains_said(self) -> list[str]:
        """What the gains picture says here."""
        lang = self.lang
        told = [
            sentences_of
            for name, scorer in self.scorers.items()
            if name in (self.lead, "model", "point_rules")
            and (
                sentences_of := report_reach.capture_sentence(
                    lang, sentences.spoken(lang, name, scorer["label"]), scorer["metrics"].get("capture_20")
                )
            )
        ]
        if self.lead_scorer:
            gains = self.lead_scorer["gains"]
            if self.question == "contacts":
                told.insert(
                    0,
                    report_reach.capacity_sentence(
                        lang, calls_a_week=self.calls_a_week, total=self.counted, gains=gains
                    ),
                )
            told.insert(0, self.sixty())
            told.append(report_reach.reach_sentence(lang, gains, self.lead_label))
        return told

    @cached_property
    def reliability_said(self) -> list[str]:
        """What the reliability picture says here."""
        lang, scorer = self.lang, self.lead_scorer
        if scorer is None or not scorer["reliability"]:
            return []
        metrics, nulls = scorer["metrics"], scorer["calibration_null"]
        told = [lang.say("percentages_failed", label=self.lead_label)] if self.rank_only else []
        told.append(sentences.reliability_sentence(lang, scorer["reliability"]))
        told.append(
            sentences.predicted_and_observed(lang, metrics.get("predicted_over_observed"), label=self.lead_label)
        )
        told.extend(
            sentences.null_sentence(
                lang,
                lang.texts[f"{name}_name"],
                (metrics.get(name) or {}).get("value"),
                nulls[f"{name}_95"],
                passed=name == "ici" and self.passed,
            )
            for name in ("ece", "ici")
        )
        return told

    @cached_property
    def compared_said(self) -> str:
        """The model's error against that of the best of all others."""
        best = _best_baseline(self.scorers)
        if best is None or "model" not in self.scorers:
            return ""
        evaluation = self.given.evaluation
        return sentences.compared(
            self.lang,
            (evaluation.get("differences") or {}).get(best, {}).get("log_loss", {}),
            model=self.scorers["model"]["metrics"]["log_loss"]["value"],
            baseline=self.scorers[best]["metrics"]["log_loss"]["value"],
            name=sentences.spoken(self.lang, best, self.scorers[best]["label"]),
            yardstick=best not in SCORER_OF.values(),
            rows=evaluation["rows"],
            objects=evaluation["objects"],
            question=self.question,
        )

    def sixty(self) -> str:
        """How many must be worked through for 60 % of the wins."""
        why_not = ""
        if self.lead_scorer is None:
            why_not = self.lang.say("short_reach_no_test")
        elif self.one_rate:
            why_not = self.lang.say("short_reach_no_order")
        metrics = self.lead_scorer["metrics"] if self.lead_scorer else {}
        return report_reach.sixty_sentence(
            self.lang, metrics.get("reach_60"), total=self.counted, question=self.question, why_not=why_not
        )

    def is_it_true(self) -> str:
        """The answer to "is the percentage true?"."""
        lang, scorer = self.lang, self.lead_scorer
        if self.rank_only:
            return lang.say("short_true_no", label=self.lead_label or lang.name("published", self.given.published))
        ratio = scorer["metrics"].get("predicted_over_observed") if scorer else None
        if not ratio or not finite(ratio["value"]):
            return lang.say("short_true_no_test")
        return lang.say(
            "short_true_yes" if self.passed else "short_true_unproven",
            label=self.lead_label,
            predicted=lang.numbers.count(100 * ratio["value"]),
        )


def in_order(scorers: Row) -> Mapping[str, Row]:
    """Put the model first, then what could be published instead, then the yardsticks."""
    known = [name for name in _ORDER if name in scorers]
    return {name: scorers[name] for name in (*known, *(name for name in scorers if name not in known))}


def has_order(given: QuestionReport) -> bool:
    """Say whether anybody is ranked: deals have no tiers, and one rate for all ranks only where there are points."""
    if given.question != "contacts" or not given.scores["tier"].notna().any():
        return False
    return given.published != "base_rate" or bool(given.scores["points"].notna().any())


def _best_baseline(scorers: Mapping[str, Row]) -> str | None:
    losses = {
        name: scorer["metrics"]["log_loss"]["value"]
        for name, scorer in scorers.items()
        if name != "model" and finite(scorer["metrics"].get("log_loss", {}).get("value"))
    }
    return min(losses, key=lambda name: losses[name], default=None)
