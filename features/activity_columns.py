"""Features of what happened: columns from the kernel's sums, and the ratios and trends between them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from features.activity_stream import ActivityStream
from features.behaviour_plan import BehaviourPlan
from features.fact_stream import MICROSECONDS_PER_DAY, Int64Array
from features.series import DIRECTIONS
from features.sweep import Behaviour, Memory, behaviour_before

if TYPE_CHECKING:
    from features.contact_features import Column

ANSWERS = (
    "their_last_answer_days",
    "their_mean_answer_days",
    "our_last_answer_days",
    "our_mean_answer_days",
    "waiting_for_them_days",
    "waiting_for_us_days",
)


def activity_columns(
    activities: ActivityStream,
    *,
    objects: Int64Array,
    as_of: Int64Array,
    plan: BehaviourPlan,
    only: Collection[str] | None = None,
    threads: int | None = None,
    memory: Memory | None = None,
) -> dict[str, Column]:
    """Return every feature of the activities of each object before its as-of; or ``only`` some, for less time.

    With a ``memory`` they hold until it is used again.
    """

    def wanted(beginning: str) -> bool:
        return only is None or any(name.startswith(beginning) for name in only)

    summary = behaviour_before(
        activities=activities,
        objects=objects,
        as_of=as_of,
        windows_days=plan.windows_days,
        half_lives_days=plan.half_lives_days if wanted("warmth_") else (),
        active_days=wanted("active_days_"),
        threads=threads,
        memory=memory,
    )
    columns = _series_columns(summary, plan=plan)
    further: list[Callable[[], dict[str, Column]]] = [
        lambda: _mix(summary, plan=plan),
        lambda: _ends(activities, summary, objects=objects, as_of=as_of),
        lambda: _trend(activities, objects=objects, as_of=as_of, days=plan.trend_days),
    ]
    if plan.series.directed:
        further.append(lambda: {name: summary.answers[:, place] for place, name in enumerate(ANSWERS)})
    for more in further:
        if only is None or not columns.keys() >= set(only):
            columns |= more()
    return columns if only is None else {name: columns[name] for name in only}


def _series_columns(summary: Behaviour, *, plan: BehaviourPlan) -> dict[str, Column]:
    series = plan.series
    columns: dict[str, Column] = {}
    for place, name in enumerate(series.names[: series.windowed]):
        columns |= {f"{name}_{days:g}d": summary.counts[:, place, w] for w, days in enumerate(plan.windows_days)}
        columns[f"{name}_total"] = summary.total[:, place]
        columns[f"days_since_{name}"] = summary.days_since[:, place]
    for number, name in enumerate(series.names[series.windowed :][: len(series.outcomes)], start=series.windowed):
        columns[f"{name}_total"] = summary.total[:, number]
    for group, prefix in enumerate(("", *(f"{direction}_" for direction in DIRECTIONS))[: summary.decayed.shape[1]]):
        for h, days in enumerate(plan.half_lives_days[: summary.decayed.shape[2]]):
            columns[f"warmth_{prefix}{days:g}d"] = summary.decayed[:, group, h]
    for w, days in enumerate(plan.windows_days[: summary.active_days.shape[1]]):
        columns[f"active_days_{days:g}d"] = summary.active_days[:, w]
    return columns


def _mix(summary: Behaviour, *, plan: BehaviourPlan) -> dict[str, Column]:
    series, windows = plan.series, plan.windows_days
    columns: dict[str, Column] = {}
    kinds = summary.total[:, : len(series.kinds)]
    if series.utc_offset_hours is not None:
        columns["working_hours_share"] = _share(summary.total[:, -1], kinds.sum(axis=1))
    if not windows:
        return columns
    longest = f"{windows[plan.longest]:g}d"
    recent = summary.counts[:, :, plan.longest]
    by_kind = recent[:, : len(series.kinds)]
    columns[f"kinds_used_{longest}"] = (by_kind > 0).sum(axis=1).astype(np.float64)
    columns[f"main_kind_share_{longest}"] = _share(by_kind.max(axis=1, initial=0), by_kind.sum(axis=1))
    if series.directed:
        inbound, outbound = recent[:, series.inbound], recent[:, series.inbound + 1]
        columns[f"inbound_share_{longest}"] = _share(inbound, inbound + outbound)
    return columns


def _ends(
    activities: ActivityStream, summary: Behaviour, *, objects: Int64Array, as_of: Int64Array
) -> dict[str, Column]:
    """Describe the first and the last activity."""
    kinds = len(activities.plan.kinds)
    ever = np.where(np.isnan(summary.days_since[:, :kinds]), np.inf, summary.days_since[:, :kinds])
    newest = ever.min(axis=1, initial=np.inf)
    last = activities.stream.last_before(objects=objects, as_of=as_of)
    first = np.where(last >= 0, activities.stream.starts[np.maximum(objects, 0)], -1)
    began = np.zeros(len(objects), dtype=np.int64)
    began[first >= 0] = activities.stream.times[first[first >= 0]]
    return {
        "days_since_any": np.where(np.isinf(newest), np.nan, newest),
        "days_since_first": np.where(first >= 0, (as_of - began) / MICROSECONDS_PER_DAY, np.nan),
        "last_kind": activities.kind_at(last),
        "first_kind": activities.kind_at(first),
    }


def _trend(activities: ActivityStream, *, objects: Int64Array, as_of: Int64Array, days: float) -> dict[str, Column]:
    span = int(days * MICROSECONDS_PER_DAY)
    seen = [activities.stream.before(objects=objects, as_of=as_of - times * span) for times in range(3)]
    return {f"trend_{days:g}d": _share((seen[0] - seen[1]), (seen[0] - seen[2]))}


def _share(part: np.ndarray, whole: np.ndarray) -> Column:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
