"""One score and what is behind it, as people read it at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from features.errors import LeadScoringError
from flows.console import terminal

if TYPE_CHECKING:
    from serving.store import ScoreStore

_LEAST_SHOWN: Final = 0.0005
_PARTS: Final = {"facts": "facts", "time": "passing time", "model": "the model", "calibration": "its calibration"}


class UnknownObjectError(LeadScoringError):
    """No batch that is kept holds an object."""

    def __init__(self, *, question: str, object_id: str) -> None:
        self.question, self.object_id = question, object_id
        super().__init__(f"no batch that is kept holds {object_id!r} among the {question}; correct the id")


def explained(store: ScoreStore, *, question: str, object_id: str) -> dict[str, Any]:
    """Return an object's newest score with its reasons, what gave its points, and why it changed."""
    from serving.contract import contract_of, read_reasons
    from serving.formats import iso
    from serving.walks import history
    from serving.why import why_changed

    contract = contract_of(question)
    told = history(store, question, object_id)
    if not told:
        raise UnknownObjectError(question=question, object_id=object_id)
    batch, row = told[0]
    low, _, high = contract.ranges[0]
    return {
        "question": question,
        "id": object_id,
        "batch_id": batch.batch_id,
        "as_of": iso(batch.as_of),
        "probability": row[contract.probability],
        "low": row[low],
        "high": row[high],
        "base_rate": row["base_rate"],
        "not_scored": row["not_scored"],
        "reasons": None if row["reasons"] is None else read_reasons(row["reasons"]),
        "points": row["points"],
        "points_reasons": None if row["points_reasons"] is None else read_reasons(row["points_reasons"]),
        "change": why_changed(told, contract),
    }


def show_why(told: Mapping[str, Any]) -> None:
    """Print it, at most three reasons up and three down."""
    from serving.shown import as_reasons, with_rest

    one, verb = {"contacts": ("contact", "likely to buy"), "deals": ("deal", "likely to be won")}[told["question"]]
    _say(f"{one} {told['id']} as of {told['as_of'][:10]}, batch {told['batch_id']}", "")
    if told["probability"] is None:
        _say(f"No probability: {told['not_scored']}.", "")
    else:
        between = f" (between {_percent(told['low'])} and {_percent(told['high'])})" if told["low"] is not None else ""
        _say(f"{_percent(told['probability'])} {verb}{between}; the average is {_percent(told['base_rate'])}.", "")
        _say("Why: what goes with it, in percentage points from the average (seen in the past; no advice)")
        _lines(with_rest([reason for reason in told["reasons"] if abs(reason["effect"]) >= _LEAST_SHOWN]))
    change = told["change"]
    since = "" if change["since"] is None else f" since {change['since'][:10]}"
    before = "" if change["probability_before"] is None else f" from {_percent(change['probability_before'])}"
    _say(f"Why it changed{before}{since}" + ("" if change["parts"] else f": {change['words']}"))
    for part in sorted(change["parts"], key=lambda part: -abs(part["effect"])):
        if abs(part["effect"]) >= _LEAST_SHOWN:
            _say(f"  {100 * part['effect']:+6.1f}  {_PARTS[part['part']]}: {part['words']}")
            for family in part["families"]:
                if abs(family["effect"]) >= _LEAST_SHOWN:
                    _say(f"          {100 * family['effect']:+6.1f}  {family['words']}")
    _say("")
    if told["points"] is not None:
        _say(f"{told['points']:g} points by the rules")
        for line in with_rest(as_reasons(told["points_reasons"] or [])):
            _say(f"  {line['effect']:+6g}  {line['words']}")


def _lines(reasons: Sequence[Mapping[str, Any]]) -> None:
    for reason in reasons:
        _say(f"  {100 * reason['effect']:+6.1f}  {reason['words']}")
    _say("")


def _percent(value: float) -> str:
    return f"{value:.0%}" if value >= 0.0995 else f"{value:.1%}"


def _say(*lines: str) -> None:
    console = terminal()
    for line in lines:
        console.print(line, markup=False, highlight=False)
