"""What there is to learn from, what the next step of the ladder needs, and when it will be there at this pace."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Final

from features.catalogue import Question
from models.cutoffs import Cutoffs
from models.evaluation import Evaluation, Use
from models.gate import GateSettings
from models.ladder import LadderSettings

DAYS_PER_MONTH: Final = 30.44
_INSTEAD: Final[dict[Use, str]] = {
    "model": "The model's scores, as tested.",
    "rules": "Your point rules, each score written as the probability that went with it in the past.",
    "stage_rate": "For each deal how often past deals in its stage were won.",
    "base_rate": "One average for all: no order of them is claimed.",
}


@dataclass(frozen=True)
class Needs:
    """What a manager asks when no model scores: what is there, what is missing, until when, and what is used instead.

    ``winners`` are distinct contacts or deals; ``scarce`` is the number that counts (of won and lost deals the fewer).
    ``wanted`` is the next border of the ladder, None beyond the last; ``months`` until it at the present pace, None if
    nothing comes in. ``test_winners`` is None without a test.
    """

    question: Question
    history_days: float
    winners: int
    scarce: int
    scarce_words: str
    wanted: int | None
    wanted_for: str
    months: float | None
    test_winners: int | None
    test_wanted: int
    test_note: str
    instead: str

    def have(self) -> list[str]:
        """Say what there is."""
        told = [
            f"{self.history_days:,.0f} days of history with {self.scarce:,} {self.scarce_words}.",
        ]
        if self.test_winners is None:
            told.append(f"No test: {self.test_note}.")
        else:
            told.append(f"A test on later outcomes, which holds {self.test_winners:,} winners.")
        return told

    def need(self) -> list[str]:
        """Say what is missing, and when it will be there; nothing where no more data is needed."""
        told = []
        if self.wanted is not None:
            when = (
                f"; at the present pace that is in about {_span(self.months)}"
                if self.months is not None
                else "; none came in lately, so nobody can say when that will be"
            )
            told.append(f"{self.wanted:,} {self.scarce_words} for {self.wanted_for}{when}.")
        if self.test_winners is None:
            told.append("A longer history, so that something can be tested on what came later.")
        elif self.test_winners < self.test_wanted:
            told.append(f"{self.test_wanted:,} winners in the test, before it can prove anything.")
        return told

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, with the sentences."""
        return {**asdict(self), "have": self.have(), "need": self.need()}


def needs_of_contacts(
    *,
    winners: int,
    cutoffs: Cutoffs,
    evaluation: Evaluation | None,
    use: Use,
    ladder: LadderSettings,
    gate: GateSettings,
) -> Needs:
    """Set what there is for contacts against the next border of the ladder."""
    borders = (
        (ladder.contacts_rules_from, "a probability on the points"),
        (ladder.contacts_small_model_from, "a small model to be tried"),
        (ladder.contacts_model_from, "the full model to be tried"),
    )
    return _needs(
        "contacts",
        scarce=winners,
        winners=winners,
        words="contacts who became customers",
        borders=borders,
        cutoffs=cutoffs,
        evaluation=evaluation,
        use=use,
        gate=gate,
    )


def needs_of_deals(
    *,
    won: int,
    lost: int,
    cutoffs: Cutoffs,
    evaluation: Evaluation | None,
    use: Use,
    ladder: LadderSettings,
    gate: GateSettings,
) -> Needs:
    """Set what there is for deals against the next border of the ladder, which won and lost deals must both reach."""
    return _needs(
        "deals",
        scarce=min(won, lost),
        winners=won,
        words="won deals" if won <= lost else "lost deals",
        borders=(
            (ladder.deals_model_from, "a small model to be tried"),
            (ladder.deals_full_model_from, "the full model to be tried"),
        ),
        cutoffs=cutoffs,
        evaluation=evaluation,
        use=use,
        gate=gate,
    )


def needs_document(told: dict[str, Any], *, verdict: dict[str, Any], title: str) -> str:
    """Write the answer of a run as a page in Markdown that a manager can read."""
    lines = [f"# {title}: {told['question']}", "", verdict.get("answer") or "", "", "## What there is", ""]
    lines += [f"- {sentence}" for sentence in told["have"]]
    lines += ["", "## What is needed", ""]
    lines += [f"- {sentence}" for sentence in told["need"]] or [
        "- No more data: what was tried was not good enough. Better data, or other rules, may be."
    ]
    lines += ["", "## What is published instead", "", told["instead"], "", "## Why, with the figures", ""]
    lines += [f"- {reason}" for reason in verdict["reasons"]]
    return "\n".join(lines) + "\n"


def _needs(
    question: Question,
    *,
    scarce: int,
    winners: int,
    words: str,
    borders: tuple[tuple[int, str], ...],
    cutoffs: Cutoffs,
    evaluation: Evaluation | None,
    use: Use,
    gate: GateSettings,
) -> Needs:
    history = (cutoffs.now - cutoffs.first).days
    ahead = [(border, what) for border, what in borders if border > scarce]
    wanted, what = ahead[0] if ahead else (None, "")
    pace = scarce / max(history, 1) * DAYS_PER_MONTH
    return Needs(
        question=question,
        history_days=float(history),
        winners=winners,
        scarce=scarce,
        scarce_words=words,
        wanted=wanted,
        wanted_for=what,
        months=(wanted - scarce) / pace if wanted is not None and pace > 0 else None,
        test_winners=None if evaluation is None else evaluation.positive_objects,
        test_wanted=gate.min_positive_objects,
        test_note=cutoffs.note(),
        instead=_INSTEAD[use],
    )


def _span(months: float | None) -> str:
    whole = max(1, ceil(months or 0.0))
    return "a month" if whole == 1 else f"{whole} months"
