"""Why a score changed: what was stored with it, and the difference of two sums of reasons, family by family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from serving.batch import StoredBatch
from serving.contract import Contract, read_reasons
from serving.contract_json import read_change
from serving.formats import iso

LEAST_MOVE: Final = 0.0005
"""What moved by less shows the same to a tenth of a percentage point, and is not split."""

History = Sequence[tuple[StoredBatch, Mapping[str, Any]]]


def why_changed(told: History, contract: Contract) -> dict[str, Any]:
    """Say what moved an object's probability since the batch before its newest one, or why that cannot be said.

    ``told`` is what each kept batch says of it, the newest first. ``parts`` add up to ``difference``, where it was
    split; so do ``base_rate_change`` and the changes of the families, where both batches are kept: a family that one
    of them lacks counts as no effect there.
    """
    (new, now), *past = told
    probability = contract.probability
    old, was = next(((batch, row) for batch, row in past if row[probability] is not None), (None, None))
    after, before = now[probability], now[contract.previous]
    if before is None and was is not None:
        before = was[probability]
    answer: dict[str, Any] = {
        "from": None if old is None else old.batch_id,
        "to": new.batch_id,
        "since": None if old is None else iso(old.as_of),
        "probability_before": before,
        "probability_after": after,
        "difference": None if after is None or before is None else after - before,
        "words": _unsplit(now, past, contract, before=before),
        "parts": [],
        "base_rate_change": None,
        "other_model": None if was is None else was["model_version"] != now["model_version"],
        "families": [],
    }
    if now["change"] is not None:
        # Told from the batch that was before it then, whatever has come or gone in between.
        change = read_change(now["change"])
        answer |= {name: change[name] for name in ("since", "difference", "words", "parts")}
        answer["probability_before"] = now[contract.previous]
        if old is not None and iso(old.as_of) != change["since"]:
            old = was = answer["from"] = None
    if was is not None and after is not None:
        answer["base_rate_change"] = now["base_rate"] - was["base_rate"]
        answer["families"] = _families(was["reasons"], now["reasons"])
    return answer


def _unsplit(now: Mapping[str, Any], past: History, contract: Contract, *, before: float | None) -> str:
    """Say why there is nothing to split."""
    after = now[contract.probability]
    if after is None:
        return f"no probability now: {now['not_scored']}"
    unscored = past[0][1]["not_scored"] if past and now[contract.previous] is None else None
    if unscored:
        return f"no probability before: {unscored}"
    if before is None:
        return "the first score: nothing to compare it with"
    if abs(after - before) < LEAST_MOVE:
        return "moved by less than 0.05 percentage points"
    return "not split: nothing was stored about this change"


def _families(before: str, after: str) -> list[dict[str, Any]]:
    was, now = ({one["family"]: one for one in read_reasons(text)} for text in (before, after))
    moves = [
        {
            "family": name,
            "effect_before": was[name]["effect"] if name in was else 0.0,
            "effect_after": now[name]["effect"] if name in now else 0.0,
            "words_before": was[name]["words"] if name in was else None,
            "words_after": now[name]["words"] if name in now else None,
        }
        for name in sorted(was.keys() | now.keys())
    ]
    for move in moves:
        move["change"] = move["effect_after"] - move["effect_before"]
    return sorted(moves, key=lambda move: (-abs(move["change"]), move["family"]))
