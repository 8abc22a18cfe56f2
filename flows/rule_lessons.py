"""What the past teaches about a rule sheet, and the points goal, as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flows.console import show_table
from flows.rule_tables import RANGES, number, say, say_remarks, show_order

if TYPE_CHECKING:
    from models.rules.goal import PointsGoal
    from models.rules.learning import LearnedPoint
    from models.rules.suggestion import LaterTest, Lesson

_SCORERS: Final = {"manual": "your points", "learned": "learnt points", "model": "the model"}
_PRICED: Final = {0: "", 1: "too many", -1: "too few"}
_SHORT: Final = {"learned": "learnt", "model": "model"}


def show_lesson(lesson: Lesson) -> None:
    """Print learned points beside the manual ones, then what both did on later outcomes, then the advice."""
    learned = lesson.learned
    show_table(
        title=(
            f"Points: yours, and what the past supports ({learned.double:g} points double the odds; learnt without "
            f"open deals from {learned.winners:,} winners)"
        ),
        columns=["criterion", "yours", "learnt", "95 %\nrange", "on your\nscale", "held\nfor", "yours\nare"],
        rows=[
            [
                one.name,
                f"{one.manual:g}",
                "" if one.why_not else f"{one.learned.value:.0f}",
                "" if one.why_not else f"{one.learned.low:.0f}…{one.learned.high:.0f}",
                "" if one.why_not else f"{one.learned.value * learned.scale:.0f}",
                f"{one.held:,}",
                _PRICED[one.mispriced(learned.scale)],
            ]
            for one in learned.points
        ],
    )
    say_remarks({one.name: remark(one) for one in learned.points})
    if lesson.test is None:
        say(f"Not tested on later outcomes: {lesson.not_tested}.")
    else:
        _show_test(lesson.test)
    say(lesson.reason)


def lesson_comments(lesson: Lesson) -> tuple[list[str], list[str]]:
    """Return what a suggested sheet says of itself: above it, and below it what was left out."""
    head = [
        f"Suggested by leadline from outcomes until {lesson.as_of:%Y-%m-%d}: {lesson.learned.double:g} points double "
        "the odds of winning.",
        lesson.reason,
    ]
    foot = [f"{name}: {reason}" for name, reason in lesson.left_out]
    return head, ["Left out:", *foot] if foot else []


def remark(point: LearnedPoint) -> str:
    """Say what is worth knowing of one criterion beside its price."""
    told = [point.why_not] if point.why_not else []
    if point.same_as:
        told.append(f"nearly the same as {', '.join(point.same_as)}")
    return "; ".join(told)


def show_goal(goal: PointsGoal) -> None:
    """Print the points goal by source, with its arithmetic."""
    show_table(
        title=(
            f"Points a month for {goal.wins_wanted:g} wins a month (from what happened {goal.since:%Y-%m-%d} to "
            f"{goal.until:%Y-%m-%d})"
        ),
        columns=["source", "goal", "points\nnow", "wins\nnow", "points for a win (95 %)", "contacts", "wins"],
        rows=[
            [
                one.source,
                f"{one.goal_a_month:,.0f}",
                f"{one.points_a_month:,.0f}",
                f"{one.wins_a_month:.1f}",
                number(one.points_per_win, ",.0f").replace("\n", " "),
                f"{one.contacts:,}",
                f"{one.wins:,}",
            ]
            for one in (*goal.sources, goal.everybody)
        ],
    )
    say(*([goal.note] if goal.note else []), *goal.arithmetic())


def _show_test(test: LaterTest) -> None:
    leads = {f"{_SHORT[name]} - yours": lead for name, lead in test.order.differences.items()}
    if test.model_lead is not None:
        (leads["model - learnt"],) = test.model_lead.differences.values()
    title = (
        f"On later outcomes, {test.since:%Y-%m-%d} to {test.until:%Y-%m-%d}, {test.winners:,} winners; learnt only "
        f"from what was known before; the best {test.share:.0%} of the list are called ({RANGES})"
    )
    show_order({_SCORERS[name]: one for name, one in test.order.metrics.items()}, {}, title=title)
    show_order({}, leads, title="The differences; may be chance where the range holds 0")
