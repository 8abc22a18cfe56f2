"""What the rule commands print for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from flows.console import show_table, terminal

if TYPE_CHECKING:
    from models.evaluation import Estimate
    from models.rules.log import PointLog
    from models.rules.trial import SheetTrial, Trial

Measured = Mapping[str, Mapping[str, "Estimate"]]
_SHOWN_CASES: Final = 5
RANGES: Final = "in brackets the 95 % range; AUC: how often a buyer stands above another contact, 0.50 by chance"
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
    show_order(
        trial.order.metrics,
        dict(zip(("difference",), trial.order.differences.values(), strict=False)),
        title=f"How well the points find buyers ({RANGES})",
    )
    for sheet in trial.sheets:
        _show_sheet(sheet)
    say("What it comes to", *(f"  - {line}" for line in said))
    say("What the past would give each criterion says: leadline rules learn")


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


def say_remarks(remarks: Mapping[str, str]) -> None:
    """Print what is to be said of single lines of a table; nothing where there is nothing."""
    if any(remarks.values()):
        say(*(f"  {name!r}: {told}" for name, told in remarks.items() if told))


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
    value, low, high = (_plus(times * one, form) for one in (estimate.value, estimate.low, estimate.high))
    return f"{value}\n({low} to {high})"


def _plus(value: float, form: str) -> str:
    written = f"{value:+{form}}"
    return written if float(written) else written[1:]


def show_order(metrics: Measured, differences: Measured, *, title: str) -> None:
    """Print how well each scorer finds buyers, and how they differ, a line per measure; both by what to call them."""
    show_table(
        title=title,
        columns=["", *metrics, *differences],
        rows=[
            [
                words,
                *(written(one[metric]) for one in metrics.values()),
                *(difference(one[metric]) for one in differences.values()),
            ]
            for metric, (words, written, difference) in _MEASURES.items()
        ],
    )


def _points(estimate: Estimate) -> str:
    return signed(estimate, ".0f", times=100)


def _tenths(estimate: Estimate) -> str:
    return signed(estimate, ".1f")


def _hundredths(estimate: Estimate) -> str:
    return signed(estimate, ".2f")


_MEASURES: Final[dict[str, tuple[str, Callable[[Estimate], str], Callable[[Estimate], str]]]] = {
    "capture": ("buyers in your calls", lambda one: percent(one).replace(" ", "\n"), _points),
    "lift": ("times chance", lambda one: number(one, ".1f"), _tenths),
    "capture_20": ("buyers in top 20 %", lambda one: percent(one).replace(" ", "\n"), _points),
    "auc": ("AUC", lambda one: number(one, ".2f"), _hundredths),
    "auc_no_open_deal": ("AUC, no open deal", lambda one: number(one, ".2f"), _hundredths),
}


def _show_sheet(sheet: SheetTrial) -> None:
    show_table(
        title=f"{sheet.name}: points by what came of it (so many percent had fewer)",
        columns=["within the horizon", "contacts", "10 %", "25 %", "50 %", "75 %", "90 %", "not\nknown"],
        rows=[
            [
                _OUTCOMES[one.outcome],
                f"{one.contacts:,}",
                *("" if value != value else f"{value:g}" for value in (round(each, 1) for each in one.quantiles)),
                f"{one.unknown:,}",
            ]
            for one in sheet.spreads
        ],
    )
    if not sheet.sent:
        say(f"{sheet.name}: what a threshold would have sent to sales cannot be told: no contact was in play of late.")
    else:
        _show_sent(sheet)
    _show_grades(sheet)
    _show_criteria(sheet)
    _show_cases(sheet)


def _show_sent(sheet: SheetTrial) -> None:
    show_table(
        title=f"{sheet.name}: what each threshold would have sent to sales",
        columns=["threshold", "points", "new a week", "fullest week", "of them won"],
        rows=[
            [one.threshold, f"{one.points:g}", f"{one.per_week:.1f}", f"{one.busiest:.0f}", percent(one.per_sent)]
            for one in sheet.sent
        ],
    )


def _show_grades(sheet: SheetTrial) -> None:
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


def _show_criteria(sheet: SheetTrial) -> None:
    show_table(
        title=f"{sheet.name}: each criterion",
        columns=["criterion", "points", "known\nfor", "held\nfor", "won where\nit held", "where\nnot"],
        rows=[
            [
                one.name,
                f"{one.points:g}",
                f"{one.judged:.0%}",
                f"{one.contacts:,}",
                "" if one.rate_held != one.rate_held else f"{one.rate_held:.1%}",
                "" if one.rate_not != one.rate_not else f"{one.rate_not:.1%}",
            ]
            for one in sheet.criteria
        ],
    )
    remarks = {one.name: one.left_out or ("" if one.held else "never held") for one in sheet.criteria}
    say_remarks(remarks)


def _show_cases(sheet: SheetTrial) -> None:
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
