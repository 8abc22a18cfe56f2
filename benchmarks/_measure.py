"""Run each contender in a process of its own and take its wall time, processor time and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What one whole process took: seconds on the wall, seconds of all processors, peak memory."""

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


def show(title: str, figures: list[Figure], *, ours: str) -> dict[str, Any]:
    """Print the figures with each one's ratio to ours and return them as plain data."""
    own = next(figure for figure in figures if figure.name == ours)
    print(f"\n{title}")
    print(f"{'':34}{'wall s':>9}{'cpu s':>9}{'peak GB':>9}{'x ours':>9}")
    for figure in figures:
        ratio = figure.wall_seconds / own.wall_seconds
        print(
            f"{figure.name:34}{figure.wall_seconds:9.2f}{figure.cpu_seconds:9.2f}{figure.peak_gigabytes:9.2f}{ratio:9.1f}"
        )
    return {"title": title, "ours": ours, "figures": [asdict(figure) for figure in figures]}


def write_json(file: Path | None, content: list[dict[str, Any]]) -> None:
    """Write the figures where asked to."""
    if file is not None:
        file.write_text(json.dumps(content, indent=1), encoding="utf-8")
