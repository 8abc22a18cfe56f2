"""What gave an object its points, as it is published beside them: one line per criterion or limit, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from features.catalogue import Question
from models.comparisons import Comparison, criterion_words
from models.rules.replay import Points
from models.rules.sheet import Criterion, PointRules
from models.trees import Int64Array


def write_points(
    points: Points,
    *,
    rules: PointRules,
    comparisons: Sequence[Comparison],
    question: Question,
    rows: Int64Array | None = None,
) -> NDArray[np.object_]:
    """Return the lines that gave or took points, the largest first, of each row of the log (or of ``rows`` of it).

    They add up to the points to the hundredth; None where points are unknown, which is also what a row of -1 means.
    """
    criteria = rules.criteria
    told = [criterion_words(one, question=question) for one in comparisons] or [""] * len(criteria)

    @cache
    def line(place: int, hundredths: int, times: float) -> str:
        about = points.lines[place]
        given = hundredths / 100
        beside = (_counted(criteria[place], times), told[place]) if place < len(criteria) else ()
        more = "; ".join(part for part in beside if part)
        words = f"{about.name} ({more})" if more else about.name
        content = {"criterion": about.name, "group": about.group, "points": given, "words": words}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    chosen = np.arange(len(points.hundredths)) if rows is None else rows
    order = np.argsort(-np.abs(points.hundredths), axis=1, kind="stable")
    unknown = np.isnan(points.total)
    # Limits have no times of their own.
    times = np.zeros(points.hundredths.shape)
    times[:, : points.times.shape[1]] = np.round(points.times, 2)
    written = np.full(len(chosen), None, dtype=object)
    for place, row in enumerate(chosen.tolist()):
        if row >= 0 and not unknown[row]:
            given, counted = points.hundredths[row], times[row]
            shown = [one for one in order[row].tolist() if given[one]]
            written[place] = f"[{','.join(line(one, int(given[one]), float(counted[one])) for one in shown)}]"
    return written


def _counted(criterion: Criterion, times: float) -> str:
    if criterion.per_event:
        return f"counted {times:g} times"
    return f"faded to {times:.0%}" if criterion.fades() and times < 1 else ""
