"""What the rule commands print for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from flows.console import show_table, terminal

if TYPE_CHECKING:
    from models.evaluation import Estimate
    from models.point_log import PointLog
    from models.rule_trial import SheetTrial, Trial

_SHOWN_CASES: Final = 5
_OUTCOMES: Final = {
    "won": "won",
    "lost": "lost",
    "open": "nothing decided",
}


def show_trial(trial: Trial, *, said: Sequence[str]) -> None:
    """Print a test drive: what was tried, the figures, each sheet's tables, then what it comes to."""
    asked = f"your {trial.calls_asked:g} calls a week are" if trial.calls_asked else "without --capacity"
    say(
        f"Replayed from {trial.since:%Y-%m-%d} to {trial.until:%Y-%m-%d}: {trial.contacts:,} contacts seen once a "
        f"month ({trial.rows:,} times), {trial.winners:,} of them won within {trial.horizon_days:g} days.",
        f"The list is worked from the top: {asked} the best {trial.share:.1%} of it "
        f"({trial.calls_a_week:,.0f} contacts a week).",
    )
    _show_order(trial)
    for sheet in trial.sheets:
        _show_sheet(sheet)
    say("What it comes to", *(f"  - {line}" for line in said))


def show_log(log: PointLog) -> None:
    """Print what gave one contact its points, and what they come to."""
    show_table(
        title=f"Points of {log.contact_id} as of {log.as_of:%Y-%m-%d %H:%M} UTC",
        columns=["criterion", "group", "", "points"],
        rows=[
            [one.name, one.group, one.state, f"{one.points:+.2f}" if one.points else ""]
            for one in log.lines
            if one.points or one.state != "limit"
        ],
    )
    say(
        *(f"{name}: {'not known' if value is None else f'{value:.2f}'}" for name, value in log.groups),
        f"total: {'not known' if log.total is None else f'{log.total:.2f}'}"
        + (f", grade {log.grade}" if log.grade else "")
        + (f", {' and '.join(log.reached)}" if log.reached else ""),
    )


def say(*lines: str) -> None:
    """Print lines as they are."""
    console = terminal()
    for line in lines:
        console.print(line, markup=False, highlight=False)
    console.print()


def percent(estimate: Estimate) -> str:
    """Return a share with its interval."""
    return "" if estimate.value != estimate.value else f"{estimate.value:.0%} ({estimate.low:.0%}-{estimate.high:.0%})"


def number(estimate: Estimate, form: str) -> str:
    """Return a number with its interval."""
    if estimate.value != estimate.value:
        return ""
    return f"{estimate.value:{form}}\n({estimate.low:{form}}-{estimate.high:{form}})"


def signed(estimate: Estimate, form: str, *, times: float = 1.0) -> str:
    """Return a difference with its interval."""
    if estimate.value != estimate.value:
        return ""
    low, high = (f"{times * end:+{form}}" for end in (estimate.low, estimate.high))
    return f"{times * estimate.value:+{form}}\n({low} {high})"


def _show_order(trial: Trial) -> None:
    rows = [
        [
            name,
            number(one["lift"], ".1f"),
            percent(one["capture"]).replace(" ", "\n"),
            percent(one["capture_20"]).replace(" ", "\n"),
            number(one["auc"], ".2f"),
            number(one["auc_no_open_deal"], ".2f"),
        ]
        for name, one in trial.order.metrics.items()
    ]
    rows += [
        [
            "difference",
            signed(lead["lift"], ".1f"),
            *(signed(lead[metric], ".1f", times=100) for metric in ("capture", "capture_20")),
            signed(lead["auc"], ".2f"),
            signed(lead["auc_no_open_deal"], ".2f"),
        ]
        for lead in trial.order.differences.values()
    ]
    show_table(
        title="How well the points find buyers (1.0 times is a random list; in brackets the 95 % range)",
        columns=["", "times\nchance", "buyers in\nyour calls", "buyers in\ntop 20 %", "AUC", "AUC, no\nopen deal"],
        rows=rows,
    )


def _show_sheet(sheet: SheetTrial) -> None:
    show_table(
        title=f"{sheet.name}: points by what became of it (so many percent had fewer points than that)",
        columns=["", "seen", "10 %", "25 %", "50 %", "75 %", "90 %", "not\nknown"],
        rows=[
            [
                _OUTCOMES[one.outcome],
                f"{one.rows:,}",
                *("" if value != value else f"{value:g}" for value in (round(each, 1) for each in one.quantiles)),
                f"{one.unknown:,}",
            ]
            for one in sheet.spreads
        ],
    )
    show_table(
        title=f"{sheet.name}: what each threshold would have sent to sales",
        columns=["threshold", "points", "new a week", "fullest week", "of them won"],
        rows=[
            [one.threshold, f"{one.points:g}", f"{one.per_week:.1f}", f"{one.busiest:.0f}", percent(one.per_sent)]
            for one in sheet.sent
        ],
    )
    graded = [one for one in sheet.cells if one.rows]
    if any(one.grade != "unknown" for one in graded):
        show_table(
            title=f"{sheet.name}: how often a contact of each grade won (letter: who they are, digit: what they do)",
            columns=["grade", "won", "seen", "contacts", "winners"],
            rows=[
                [one.grade, percent(one.rate), f"{one.rows:,}", f"{one.contacts:,}", f"{one.winners:,}"]
                for one in graded
            ],
        )
    show_table(
        title=f"{sheet.name}: each criterion",
        columns=["criterion", "points", "known for", "held\nfor", "won where\nit held", "where\nnot", "remark"],
        rows=[
            [
                one.name,
                f"{one.points:g}",
                f"{one.judged:.0%}",
                f"{one.contacts:,}",
                "" if one.rate_held != one.rate_held else f"{one.rate_held:.1%}",
                "" if one.rate_not != one.rate_not else f"{one.rate_not:.1%}",
                one.left_out or ("" if one.held else "never held"),
            ]
            for one in sheet.criteria
        ],
    )
    low = sheet.won_low
    show_table(
        title=(
            f"{sheet.name}: won deals below {sheet.low_below:g} points ({sheet.low_because}) just before they opened, "
            f"{low.low} of {low.seen_before}; {low.deals - low.seen_before} more had no contact in play before"
        ),
        columns=["deal", "contact", "opened", "amount", "points", "grade", "what gave points"],
        rows=[
            [
                one.deal_id,
                one.contact_id,
                f"{one.opened_at:%Y-%m-%d}",
                "" if one.amount is None else f"{one.amount:,.0f}",
                "unknown" if one.points is None else f"{one.points:g}",
                one.grade or "",
                _log(one.log),
            ]
            for one in low.cases[:_SHOWN_CASES]
        ],
    )
    high = sheet.never_bought
    show_table(
        title=(
            f"{sheet.name}: contacts that reached {sheet.low_below:g} points and never bought, {high.never_bought} of "
            f"{high.contacts}"
        ),
        columns=["contact", "highest on", "points", "grade", "today", "what gave points"],
        rows=[
            [one.contact_id, f"{one.as_of:%Y-%m-%d}", f"{one.points:g}", one.grade or "", one.stands, _log(one.log)]
            for one in high.cases[:_SHOWN_CASES]
        ],
    )


def _log(log: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {points:+g}" for name, points in log) or "nothing"
