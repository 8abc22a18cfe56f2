"""Which features of activities there are, as the kernel is told of them."""

from __future__ import annotations

from dataclasses import dataclass

from features.discounting import Discount
from features.series import SeriesPlan


@dataclass(frozen=True)
class BehaviourPlan:
    """Which features of activities there are: their series, windows and half-lives, and what is discounted."""

    series: SeriesPlan
    windows_days: tuple[float, ...]
    half_lives_days: tuple[float, ...] = ()
    trend_days: float = 28.0
    discount: Discount | None = None

    @property
    def longest(self) -> int:
        """Return the place of the longest window."""
        return self.windows_days.index(max(self.windows_days))
