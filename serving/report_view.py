"""One question as the page shows it: everything that is said, counted and drawn, worked out from its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from serving import report_drivers, report_groups, report_pictures
from serving import report_sentences as sentences
from serving.contract import contract_of
from serving.report_changes import Mover, change_sentences, movers
from serving.report_disagreements import Disputes, disputes_of_contacts, disputes_of_deals
from serving.report_judged import SCORER_OF, Judged, has_order, in_order
from serving.report_language import Language
from serving.report_lists import TopRow, likeliest
from serving.report_quality import Quality, quality
from serving.report_rules import RulesView, rules_view
from serving.report_segments import SegmentTable, absent_sentence, segment_tables

if TYPE_CHECKING:
    from serving.report_input import QuestionReport

Row = Mapping[str, Any]


@dataclass(frozen=True)
class View(Judged):
    """One question as the template reads it."""

    @cached_property
    def short(self) -> tuple[tuple[str, str, str], ...]:
        """The four answers: the section that says more, what is asked, and the sentence that answers it."""
        texts = self.lang.texts
        answers = [
            ("drives", texts["short_drives"], report_drivers.short_families(self.lang, self.families)),
            ("gains", texts["short_reach"], self.sixty()),
        ]
        if self.rules is not None:
            least = self.rules.least or self.lang.say("short_rule_none")
            answers.append(("rules", texts["short_rules"], least))
        return (*answers, ("reliability", texts["short_true"], self.is_it_true()))

    @cached_property
    def families(self) -> tuple[Row, ...]:
        """The families worth a bar."""
        return report_pictures.split_families(self.given.drivers)[0]

    @cached_property
    def family_lines(self) -> tuple[report_drivers.FamilyLine, ...]:
        """The table behind the bars."""
        return report_drivers.family_lines(self.lang, self.families, self.given.drivers_before)

    @cached_property
    def family_said(self) -> list[str]:
        """What the bars say here, and how far they can be trusted."""
        others = report_pictures.split_families(self.given.drivers)[1]
        evaluation, published = self.given.evaluation, self.given.published
        told = report_drivers.family_sentences(
            self.lang, self.families, others, self.question, population=evaluation.get("drivers")
        )
        if published == "rules":
            told.append(self.lang.texts["drives_rules"])
        elif published != "model":
            told.append(self.lang.texts["drives_other"].format(published=self.lang.name("published", published)))
        elif self.rank_only:
            told.append(self.lang.texts["drives_scale"])
        if published == "model":
            told.append(report_drivers.since_sentence(self.lang, self.given.drivers, self.given.drivers_before))
        return told

    @property
    def has_refits(self) -> bool:
        """Whether ranges and directions rest on refits."""
        return any(each.get("refits") for each in self.given.drivers)

    @property
    def refits(self) -> int:
        """How many refits there were."""
        return max((int(each.get("refits") or 0) for each in self.given.drivers), default=0)

    @cached_property
    def facts(self) -> tuple[tuple[Row, str, list[str], Markup], ...]:
        """The facts that move most: each with its words, its sentences and its picture."""
        drawn = report_pictures.fact_pictures(self.lang, question=self.question, drivers=self.given.drivers)
        return tuple(
            (fact, self.lang.phrase(str(fact["words"])), report_drivers.fact_sentences(self.lang, fact), svg)
            for fact, svg in drawn
        )

    @cached_property
    def top(self) -> tuple[TopRow, ...]:
        """The likeliest, where there is an order of probabilities."""
        contract = contract_of(self.given.question)
        if self.rank_only or self.one_rate:
            return ()
        return likeliest(self.lang, self.known, id_column=contract.id_column, probability=contract.probability)

    @cached_property
    def groups(self) -> Mapping[str, tuple[Row, ...]]:
        """Contacts by tier and agreement, deals in bands of probability."""
        if self.question == "deals":
            return report_groups.deal_groups(self.known)
        return report_groups.contact_groups(self.lang, self.known if self.has_order else self.known.iloc[:0])

    @cached_property
    def value(self) -> str:
        """What the open deals are worth."""
        known = self.known
        if self.question != "deals" or known.empty:
            return ""
        return sentences.value_sentence(
            self.lang,
            deals=len(known),
            amount=float(known["amount"].sum()),
            expected=float(known["expected_value"].sum()),
            named=int(known["amount"].notna().sum()),
        )

    @cached_property
    def rules(self) -> RulesView | None:
        """The rules against the evidence; None for deals."""
        if self.question != "contacts":
            return None
        return rules_view(self.lang, self.given.evaluation, published=self.given.published)

    @cached_property
    def disputes(self) -> Disputes | None:
        """Whom model and rule judge most differently."""
        if self.rank_only or self.one_rate or self.known.empty:
            return None
        if self.question == "deals":
            return disputes_of_deals(self.lang, self.known)
        return None if self.given.published == "rules" else disputes_of_contacts(self.lang, self.known)

    @property
    def why_no_disputes(self) -> str:
        """Why there is nothing to compare."""
        texts = self.lang.texts
        if self.rank_only:
            return texts["disagreements_order"]
        return texts["disagreements_rules" if self.given.published == "rules" else "disagreements_none"]

    @cached_property
    def segments(self) -> tuple[SegmentTable, ...]:
        """The tables by source, country and so on."""
        return segment_tables(self.lang, self.given.evaluation, scorer=self.lead, today=self.given.groups or {})

    @cached_property
    def absent(self) -> str:
        """Which of the columns are not in the data."""
        return absent_sentence(self.lang, self.given.evaluation)

    @cached_property
    def stage_said(self) -> str:
        """Where the hand-set stage probabilities are farthest off."""
        return sentences.stage_sentence(self.lang, self.given.stages)

    @cached_property
    def changes(self) -> list[str]:
        """What changed since the batch before."""
        return change_sentences(self.lang, self.given.changes, question=self.question, as_of=self.as_of)

    @cached_property
    def movers(self) -> tuple[Mover, ...]:
        """Whose probability moved most."""
        contract = contract_of(self.given.question)
        if self.given.changes is None:
            return ()
        return movers(
            self.lang,
            self.known,
            id_column=contract.id_column,
            probability=contract.probability,
            previous="previous_likelihood" if self.question == "contacts" else "previous_probability",
        )

    @cached_property
    def left_out(self) -> tuple[Row, ...]:
        """What no feature rests on, and why."""
        return report_groups.left_out_lines(self.lang, self.given.left_out)

    @cached_property
    def quality(self) -> Quality:
        """Warnings on columns, and drift."""
        return quality(self.lang, evaluation=self.given.evaluation, drift=self.given.drift)

    @cached_property
    def pictures(self) -> Mapping[str, Markup]:
        """The pictures that there is data for."""
        return report_pictures.question_pictures(
            self.lang,
            question=self.question,
            families=self.families,
            scorers=self.scorers,
            lead=self.lead,
            stages=self.given.stages,
            rules=() if self.rules is None else self.rules.lines,
            mark=self.mark,
        )


def view_of(lang: Language, given: QuestionReport, *, as_of: datetime, calls_a_week: float | None) -> View:
    """Divide the published rows into those that got a score and the rest, and find who leads the test."""
    contract = contract_of(given.question)
    scorers = in_order(given.evaluation.get("scorers") or {})
    lead = SCORER_OF.get(given.published, "model")
    if lead not in scorers and "model" in scorers:
        lead = "model"
    ordered = not given.calibrated and given.published != "none" and has_order(given)
    counts = given.scores["tier" if ordered else contract.probability].notna()
    return View(
        lang=lang,
        given=given,
        as_of=as_of,
        calls_a_week=calls_a_week,
        scorers=scorers,
        lead=lead,
        known=given.scores[counts],
        not_counted=report_groups.not_scored(given.scores.loc[~counts, "not_scored"]),
    )
