"""Why a score changed: the difference of two sums of reasons, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.contract import read_reasons


def why_changed(before: Mapping[str, Any], after: Mapping[str, Any], *, probability: str) -> dict[str, Any]:
    """Return what moved a probability between two rows that have one, the largest move first.

    ``base_rate_change`` and the families' changes add up to ``difference``, since each row's reasons add up to its
    probability. A family that one row lacks counts as no effect there.
    """
    families = [{one["family"]: one for one in read_reasons(row["reasons"])} for row in (before, after)]
    was, now = families
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
    return {
        "probability_before": before[probability],
        "probability_after": after[probability],
        "difference": after[probability] - before[probability],
        "base_rate_change": after["base_rate"] - before["base_rate"],
        "other_model": before["model_version"] != after["model_version"],
        "families": sorted(moves, key=lambda move: (-abs(move["change"]), move["family"])),
    }
