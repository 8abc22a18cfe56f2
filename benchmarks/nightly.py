"""The nightly run's feature step at size: build the warehouse once, extend it by a night, score everybody, and growth.

Every figure is a whole process. The increment holds 0.5 % new activities; scoring computes 60 behaviour features of
every contact at one as-of, partition by partition within a memory limit, and writes them.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks._measure import Figure, show, whole_process, write_json

SIZES = {"small": (100_000, 5_000_000, 500_000), "full": (1_000_000, 50_000_000, 2_500_000)}
NIGHTLY = "benchmarks._nightly_steps"
DATA = "benchmarks._behaviour_data"
GROWTH = (1, 2, 4, 8)
PARTS = ("night", "growth")


def main() -> None:
    """Make the data, run the steps, print what an increment costs against the build, and how cost grows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contacts, activities, base = SIZES[options.size]
    with tempfile.TemporaryDirectory() as name:
        results = []
        if "night" in options.parts:
            results.append(_night(Path(name) / "night", contacts=contacts, activities=activities))
        if "growth" in options.parts:
            results.append(_growth(Path(name) / "growth", base=base))
    write_json(options.json, results)


def _night(folder: Path, *, contacts: int, activities: int) -> dict[str, Any]:
    new = activities // 200
    _make(folder / "activities" / "2024.parquet", contacts, activities - new, first=0, days=(0, 729))
    figures = [_step("build", folder), _step("score everybody", folder)]
    _make(folder / "activities" / "2025-12-30.parquet", contacts, new, first=activities - new, days=(729, 730))
    figures += [_step("extend by 0.5 %", folder), _step("score again", folder)]
    result = show(f"one night: {contacts:,} contacts, {activities:,} activities", figures, ours="build")
    print(f"the increment takes {figures[2].wall_seconds / figures[0].wall_seconds:.1%} of the build")
    return result


def _growth(folder: Path, *, base: int) -> dict[str, Any]:
    """Tell how the time to compute features grows with the activities, reading from the warehouse and writing."""
    contacts, figures, logarithms = base // 25, [], []
    for times in GROWTH:
        _make(folder / "activities" / "all.parquet", contacts, base * times, first=0, days=(0, 730))
        _step("build", folder)
        figures.append(_named(f"{base * times:,} activities", _step("score everybody", folder)))
        logarithms.append((math.log(times), math.log(figures[-1].wall_seconds), math.log(figures[-1].cpu_seconds)))
    result = show(f"growth: {contacts:,} contacts, more and more activities", figures, ours=figures[0].name)
    for place, what in ((1, "wall"), (2, "processor")):
        exponent = _slope([(one[0], one[place]) for one in logarithms])
        result[f"{what}_exponent"] = exponent
        print(f"{what} time grows as activities ** {exponent:.2f}")
    return result


def _make(file: Path, contacts: int, activities: int, *, first: int, days: tuple[int, int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    whole_process("data", DATA, "activities", str(file), *map(str, (contacts, activities, first, *days)))


def _step(name: str, folder: Path) -> Figure:
    if name == "build":
        for leftover in folder.glob("warehouse.*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    return whole_process(name, NIGHTLY, "score" if name.startswith("score") else "extend", str(folder))


def _named(name: str, figure: Figure) -> Figure:
    return Figure(name, figure.wall_seconds, figure.cpu_seconds, figure.peak_gigabytes)


def _slope(points: list[tuple[float, float]]) -> float:
    mean_x, mean_y = (sum(one[axis] for one in points) / len(points) for axis in (0, 1))
    rise = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return rise / sum((x - mean_x) ** 2 for x, _ in points)


if __name__ == "__main__":
    main()
