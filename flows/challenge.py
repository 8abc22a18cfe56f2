"""Whether a challenger takes the champion's place in a home: its verdict, later models, and what people rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from features.catalogue import Question
from models.promotion_log import standing_rollback

if TYPE_CHECKING:
    from models.evaluation import Verdict
    from models.registry import ModelRegistry, ModelVersion


def why_not_promoted(
    registry: ModelRegistry,
    *,
    question: Question,
    challenger: ModelVersion,
    live: ModelVersion | None,
    verdict: Verdict,
) -> str:
    """Say why a challenger does not become the version in use; nothing if it does."""
    if live is None or challenger.version == live.version:
        return ""
    if trained_as_of(live) > trained_as_of(challenger):
        return "the version in use was trained on later facts"
    left = standing_rollback(registry.promotions(question))
    if left is not None and left.from_version is not None:
        withdrawn = registry.get(question, left.from_version)
        if withdrawn.tags["settings_digest"] == challenger.tags["settings_digest"]:
            return (
                f"version {withdrawn.version}, made with the same settings, was rolled back on {left.at:%Y-%m-%d} "
                f"({left.reason}); once you trust it: leadline models promote {question} {challenger.version}"
            )
    return "" if verdict.promote else verdict.reasons[-1]


def trained_as_of(version: ModelVersion) -> pd.Timestamp:
    """Return the instant before which everything lies that the version knows."""
    return pd.Timestamp(version.tags["trained_as_of"])
