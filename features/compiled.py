"""How compiled code is run: on several processors at once, and on arrays of the one kind that it was compiled for.

Compiled code and Arrow let go of the interpreter, so threads are enough.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", bound=np.generic)


def fixed(values: NDArray[Kind]) -> NDArray[Kind]:
    """Return a view that cannot be written to: for arrays that can be, the same code would be compiled once more."""
    view = values.view()
    view.flags.writeable = False
    return view


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spans(starts: NDArray[np.int64], *, parts: int) -> list[tuple[int, int]]:
    """Cut objects into so many ranges, at most, that hold about as many facts; object i's begin at ``starts[i]``.

    >>> spans(np.array([0, 6, 7, 8, 12]), parts=2)
    [(0, 1), (1, 4)]
    """
    wanted = np.linspace(starts[0], starts[-1], parts + 1)[1:-1]
    return _ranges([0, *np.searchsorted(starts, wanted).tolist(), len(starts) - 1])


def ranges(rows: int, *, parts: int) -> list[tuple[int, int]]:
    """Cut rows into so many ranges, at most, of about the same length.

    >>> ranges(5, parts=2)
    [(0, 2), (2, 5)]
    """
    return _ranges([rows * part // parts for part in range(parts + 1)])


def in_threads(task: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> None:
    """Run a task for each of some arguments, at once where there are several; the first error is raised."""
    if len(arguments) < 2:
        for one in arguments:
            task(*one)
        return
    with ThreadPoolExecutor(len(arguments)) as pool:
        for running in [pool.submit(task, *one) for one in arguments]:
            running.result()


def _ranges(cuts: Sequence[int]) -> list[tuple[int, int]]:
    return [(begin, end) for begin, end in pairwise(cuts) if begin < end]
