"""The kernel of ``benchmarks.behaviour`` alone, beside the bandwidth of the machine's memory: folder."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numba import njit

from benchmarks._behaviour_contenders import opened_warehouse
from benchmarks._behaviour_plan import WINDOWS, plan
from features.behaviour_files import Asked, from_warehouse
from features.compiled import in_threads, processors, ranges
from features.sweep import Memory, behaviour_before

_REPEATS = 5
_STREAM_BYTES = 512 * 1024**2


@njit(nogil=True)
def _copy(begin, end, source, target):  # type: ignore[no-untyped-def]  # compiled by Numba
    for place in range(begin, end):
        target[place] = source[place]


def bandwidth() -> float:
    """Return bytes a second of STREAM's copy on all processors: what is read and what is written."""
    source = np.ones(_STREAM_BYTES // 8)
    target = np.zeros(len(source))
    pieces = ranges(len(source), parts=processors())
    return 2 * _STREAM_BYTES / _best(lambda: in_threads(lambda *span: _copy(*span, source, target), pieces))


def main(folder: Path) -> None:
    """Say as JSON how long the kernel takes, how many bytes it has to move, and how many the machine could."""
    with closing(opened_warehouse(folder)) as warehouse:
        asked = Asked.of(pq.read_table(folder / "points.parquet"))
        activities = from_warehouse(warehouse, plan())(asked.ids)
    stream, memory = activities.of_contacts(asked.ids, plan=plan().series), Memory()

    def sweep() -> None:
        behaviour_before(
            activities=stream,
            objects=asked.objects,
            as_of=asked.as_of,
            windows_days=WINDOWS,
            half_lives_days=(),
            active_days=False,
            memory=memory,
        )

    seconds, copied = _best(sweep), bandwidth()
    kinds = len(plan().series.kinds)
    # Each activity's time and signature once, each snapshot's contact, time and place, and every number once.
    moved = len(stream.stream.times) * (8 + 2) + len(asked.as_of) * (24 + kinds * (4 * len(WINDOWS) + 4 + 8))
    told = {
        "kernel_seconds": seconds,
        "gigabytes_moved": moved / 1e9,
        "gigabytes_a_second": moved / seconds / 1e9,
        "copy_gigabytes_a_second": copied / 1e9,
        "share_of_bandwidth": moved / seconds / copied,
    }
    print(json.dumps(told))


def _best(task: Callable[[], None]) -> float:
    task()
    taken = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        task()
        taken.append(time.perf_counter() - began)
    return min(taken)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
