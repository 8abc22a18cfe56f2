"""Behaviour features at as-ofs against the engines that people would reach for: the same numbers, whole processes.

Each contender reads the same Parquet file of activities, computes for every (contact, as-of) the counts per kind and
window, the total per kind and the days since the last one of each kind (60 features), and writes them as Parquet. Ours
runs twice: from the file, and from its warehouse, which every run after the first one reads instead. Two contenders
compute nothing: what reading and writing alone take, and what starting takes, which no engine can go below.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks._measure import Figure, show, whole_process, write_json

SIZES = {"small": (20_000, 1_000_000), "full": (200_000, 10_000_000), "large": (1_000_000, 50_000_000)}
AS_OFS = (4, 26)
CONTENDERS = "benchmarks._behaviour_contenders"
DATA = "benchmarks._behaviour_data"
OURS = ("warehouse", "leadline")
RIVALS = {4: ("polars", "pandas", "polars_asof", "duckdb"), 26: ("polars", "polars_asof")}
NOTHING = ("floor", "start")


def main() -> None:
    """Make the data, run every contender, check that the numbers agree, print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--as-ofs", type=int, nargs="*", choices=AS_OFS, default=AS_OFS)
    parser.add_argument("--rivals", nargs="*", choices=RIVALS[4], help="only these; by default all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contacts, activities = SIZES[options.size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(contender: str) -> Figure:
            return whole_process(contender, CONTENDERS, contender, str(folder))

        # In processes of their own: a child's peak memory is never less than its parent's was.
        file = str(folder / "activities.parquet")
        whole_process("data", DATA, "activities", file, str(contacts), str(activities), "0", "0", "730")
        whole_process("data", DATA, "points", str(folder / "points.parquet"), str(contacts), "1")
        built = run("build")
        for contender in OURS:
            run(contender)  # compiles the kernel, as the set-up does
        results, took = [], {}
        for as_ofs in options.as_ofs:
            whole_process("data", DATA, "points", str(folder / "points.parquet"), str(contacts), str(as_ofs))
            rivals = [one for one in RIVALS[as_ofs] if options.rivals is None or one in options.rivals]
            figures = [run(contender) for contender in (*OURS, *rivals, *NOTHING)]
            whole_process("check", DATA, "check", str(folder), "warehouse", *rivals)
            took[as_ofs] = figures[0].wall_seconds, figures[1].wall_seconds
            title = f"behaviour features: {contacts:,} contacts, {activities:,} activities, {as_ofs} as-ofs each"
            extra = [built] if as_ofs == options.as_ofs[0] else []
            results.append(show(title, [*figures, *extra], ours="warehouse") | {"kernel": _kernel(folder)})
        if len(took) == len(AS_OFS):
            for place, contender in enumerate(OURS):
                print(f"{contender}: 26 as-ofs take {took[26][place] / took[4][place]:.2f} times as long as 4")
    write_json(options.json, results)


def _kernel(folder: Path) -> dict[str, Any]:
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks._behaviour_kernel", str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    told: dict[str, Any] = json.loads(said.stdout)
    print(
        f"the kernel alone takes {told['kernel_seconds']:.3f} s and moves {told['gigabytes_a_second']:.1f} GB/s, "
        f"{told['share_of_bandwidth']:.0%} of the {told['copy_gigabytes_a_second']:.1f} GB/s that a plain copy moves"
    )
    return told


if __name__ == "__main__":
    main()
