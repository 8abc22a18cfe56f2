"""Run each contender in a process of its own and take its wall time, processor time and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What a process, or its own part of it, took: seconds on the wall, seconds of all processors, peak memory."""

    name: str
    wall_seconds: float
    cpu_seconds: float
    peak_gigabytes: float


def whole_process(name: str, module: str, *arguments: str) -> Figure:
    """Run ``python -m module arguments`` and measure it from outside; a failure ends the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"{name} failed")
    return Figure(name, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024**2)


def timed(task: Callable[[int], Any], *, warm: int, rows: int) -> Any:
    """Run a task once on few rows and once on all, and say on standard output what the second time took."""
    task(warm)
    wall, cpu = time.perf_counter(), time.process_time()
    result = task(rows)
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
    return result


def own_part(name: str, module: str, *arguments: str) -> Figure:
    """Run ``python -m module arguments`` and return what it says of its own task, with the whole process's peak."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed")
    took = json.loads(said.splitlines()[-1])
    return Figure(name, took["wall"], took["cpu"], usage.ru_maxrss / 1024**2)


def show(title: str, figures: list[Figure], *, ours: str, word: str = "x ours") -> dict[str, Any]:
    """Print the figures with each one's ratio to the one named ``ours`` and return them as plain data."""
    own = next(figure for figure in figures if figure.name == ours)
    print(f"\n{title}")
    print(f"{'':34}{'wall s':>9}{'cpu s':>9}{'peak GB':>9}{word:>9}")
    for figure in figures:
        ratio = figure.wall_seconds / own.wall_seconds
        print(
            f"{figure.name:34}{figure.wall_seconds:9.2f}{figure.cpu_seconds:9.2f}{figure.peak_gigabytes:9.2f}{ratio:9.2f}"
        )
    return {"title": title, "ours": ours, "figures": [asdict(figure) for figure in figures]}


def write_json(file: Path | None, content: list[dict[str, Any]]) -> None:
    """Write the figures where asked to."""
    if file is not None:
        file.write_text(json.dumps(content, indent=1), encoding="utf-8")
