"""What a test drive of point rules comes to, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from models.evaluation import Estimate
from models.rules.trial import SheetTrial, Trial

_NAMED = 5


def conclusions(trial: Trial) -> list[str]:
    """Say what each sheet is worth, what is wrong with it, and which of two is better."""
    lines = [line for sheet in trial.sheets for line in _of_sheet(sheet, trial)] + list(_of_pair(trial))
    if trial.share == 1.0:
        lines.append("You can call everybody on the list, so its order changes nothing; give a smaller --capacity.")
    return lines


def ranks(auc: Estimate) -> str:
    """Say whether an order is better than chance."""
    if auc.low > 0.5:
        return "over the whole list it puts later buyers first"
    if auc.high < 0.5:
        return "over the whole list it puts later buyers last, which is worse than a random list"
    return "no better than a random list, as far as this past can tell"


def _of_sheet(sheet: SheetTrial, trial: Trial) -> Iterator[str]:
    measured = trial.order.metrics[sheet.name]
    lift, capture, auc = measured["lift"], measured["capture"], measured["auc"]
    cold = measured["auc_no_open_deal"]
    apart = f"; without an open deal {interval_text(cold, '.2f')}" if cold.value == cold.value != auc.value else ""
    yield (
        f"{sheet.name}: {ranks(auc)} (AUC {interval_text(auc, '.2f')}{apart}). The best {trial.share:.0%} of its list "
        f"hold {capture.value:.0%} of the buyers (95 % {capture.low:.0%} to {capture.high:.0%}), "
        f"{lift.value:.1f} times as many as chance (95 % {lift.low:.1f} to {lift.high:.1f})."
    )
    if sheet.learned_until is not None and sheet.learned_until > trial.since:
        yield (
            f"{sheet.name} was learnt from outcomes until {sheet.learned_until.date()}, which are among these, so its "
            "figures here flatter it; leadline rules learn shows what such points did on later outcomes."
        )
    low = sheet.won_low
    if low.seen_before:
        yield (
            f"{sheet.name}: {low.low} of {low.seen_before} won deals ({low.low / low.seen_before:.0%}) had fewer than "
            f"{sheet.low_below:g} points ({sheet.low_because}) just before they opened."
        )
    for threshold in sheet.sent:
        if trial.calls_asked and threshold.threshold in ("MQL", "SQL") and threshold.per_week > trial.calls_asked:
            yield (
                f"{sheet.name}: {threshold.threshold} at {threshold.points:g} points sends "
                f"{threshold.per_week:.0f} new contacts a week, more than the {trial.calls_asked:g} you can call."
            )
    left_out = [one.name for one in sheet.criteria if one.left_out]
    never = [one.name for one in sheet.criteria if not one.left_out and not one.held]
    if left_out:
        yield f"{sheet.name}: {listed(left_out)} cannot be replayed and gave no points; the reasons stand in the table."
    if never:
        yield f"{sheet.name}: {listed(never)} never held."


def _of_pair(trial: Trial) -> Iterator[str]:
    if len(trial.sheets) < 2:
        return
    first, second = (sheet.name for sheet in trial.sheets)
    auc, capture = (trial.order.differences[first][metric] for metric in ("auc", "capture"))
    better = f"{first} is better" if auc.low > 0 else f"{second} is better" if auc.high < 0 else "may be chance"
    yield (
        f"{first} against {second} on the same contacts: {better} (AUC {interval_text(auc, '+.3f')}; buyers in "
        f"the best {trial.share:.0%} {100 * capture.value:+.1f} percentage points, 95 % {100 * capture.low:+.1f} to "
        f"{100 * capture.high:+.1f})."
    )


def interval_text(estimate: Estimate, form: str) -> str:
    """Return a value with its 95 % interval."""
    return f"{estimate.value:{form}}, 95 % {estimate.low:{form}} to {estimate.high:{form}}"


def listed(names: list[str]) -> str:
    """Name some, and say how many more there are."""
    shown = ", ".join(f"{name!r}" for name in names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
