"""Several readings side by side: a slow answer to one need not hold up the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait


def run_side_by_side(tasks: Sequence[Callable[[], None]], *, lanes: int, stop: Callable[[], None]) -> None:
    """Run tasks, so many at a time, begun in their order.

    The first failure is raised, of several that of the first task; ``stop`` is told before, so that those which
    still run come to an end.
    """
    if lanes == 1:
        for task in tasks:
            task()
        return
    with ThreadPoolExecutor(max_workers=lanes, thread_name_prefix="hubspot") as pool:
        running = [pool.submit(task) for task in tasks]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
            failures = [error for one in running if one.done() and (error := one.exception()) is not None]
            if failures:
                raise failures[0]
        except BaseException:
            stop()
            for one in running:
                one.cancel()
            raise
