"""Pictures of one object for a page: bars of its reasons and the line of its history, as SVG made of numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from serving.shown import EACH_WAY, as_reasons, with_rest

WIDTH: Final = 600
_HEIGHT: Final = 160
_MARGIN: Final = 8


def reason_bars(reasons: Sequence[Mapping[str, Any]], *, most: int = EACH_WAY) -> list[dict[str, Any]]:
    """Return at most ``most`` reasons up and as many down, largest first, and what is left as one; each with its bar.

    The bars share one scale: the longest reaches one end of its half. Effects add up to those of all reasons.
    """
    told = with_rest(reasons, most=most)
    largest = max((abs(one["effect"]) for one in told), default=0.0)
    return [one | {"bar": _bar(one["effect"], largest)} for one in told]


def point_bars(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what gave and took most points, as ``reason_bars`` does; the bars add up to the points."""
    return reason_bars(as_reasons(lines))


def change_bars(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of a change that moved it, the largest first, each with its bar."""
    moved = [one for one in parts if one["effect"]]
    return reason_bars(sorted(moved, key=lambda one: -abs(one["effect"])), most=len(moved))


def signed(value: float) -> str:
    """Write points that were given or taken.

    >>> signed(30.0), signed(-2.5)
    ('+30', '−2.5')
    """
    return f"{value:+g}".replace("-", "\N{MINUS SIGN}")


def history_line(points: Sequence[tuple[datetime, float]]) -> str | None:
    """Draw probabilities over time, from 0 to a round value above the highest; None with fewer than two."""
    if len(points) < 2:
        return None
    ordered = sorted(points)
    first, last = ordered[0][0], ordered[-1][0]
    span = (last - first).total_seconds() or 1.0
    top = ceiling(max(value for _, value in ordered))
    places = [
        (
            _MARGIN + (WIDTH - 2 * _MARGIN) * (moment - first).total_seconds() / span,
            _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * value / top,
        )
        for moment, value in ordered
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in places)
    floor = _HEIGHT - _MARGIN
    return (
        f'<svg class="history" viewBox="0 0 {WIDTH} {_HEIGHT}" role="img" aria-label="The probability over time">'
        f'<path class="frame" d="M{_MARGIN} {_MARGIN}H{WIDTH - _MARGIN}M{_MARGIN} {floor}H{WIDTH - _MARGIN}"/>'
        f'<polyline class="line" points="{line}"/>{dots}</svg>'
    )


def ceiling(value: float) -> float:
    """Return a round probability that is at least ``value``.

    >>> [ceiling(value) for value in (0.003, 0.04, 0.3, 0.9)]
    [0.01, 0.05, 0.5, 1.0]
    """
    return next(top for top in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if value <= top)


def _bar(effect: float, largest: float) -> str:
    half = WIDTH / 2
    length = 0.0 if largest == 0 else abs(effect) / largest * (half - 4)
    x = half if effect >= 0 else half - length
    side = "up" if effect >= 0 else "down"
    return (
        f'<svg class="bar" viewBox="0 0 {WIDTH} 16" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f'<path class="zero" d="M{half:g} 0V16"/>'
        f'<rect class="{side}" x="{x:.1f}" y="3" width="{length:.1f}" height="10"/></svg>'
    )
