"""The catalogue of features as people read it at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flows.console import show_table


def show_features(features: Sequence[Mapping[str, Any]]) -> None:
    """Print one line for each entry: its name, what it says, and its family; ``--json`` tells the rest."""
    show_table(
        title=f"{len(features)} features; a name in braces stands for one feature each",
        columns=["feature", "says", "family"],
        rows=[[one["name"], one["words"], _families(one["families"])] for one in features],
    )


def _families(by_question: Mapping[str, str]) -> str:
    distinct = set(by_question.values())
    if len(distinct) == 1:
        return distinct.pop()
    return ", ".join(f"{family} ({question})" for question, family in by_question.items())
