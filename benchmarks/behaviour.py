"""Behaviour features at as-ofs against the engines that people would reach for: the same numbers, whole processes.

Each contender reads the same Parquet file of activities, computes for every (contact, as-of) the counts per kind and
window, the total per kind and the days since the last one of each kind (60 features), and writes them as Parquet. Ours
runs twice: from the file, and from its warehouse, which every run after the first one reads instead.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks._measure import Figure, show, whole_process, write_json

SIZES = {"small": (20_000, 1_000_000), "full": (200_000, 10_000_000)}
AS_OFS = (4, 26)
CONTENDERS = "benchmarks._behaviour_contenders"
DATA = "benchmarks._behaviour_data"
RIVALS = ("pandas", "polars", "duckdb")


def main() -> None:
    """Make the data, run every contender, check that the numbers agree, print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
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
        results = []
        for as_ofs in AS_OFS:
            whole_process("data", DATA, "points", str(folder / "points.parquet"), str(contacts), str(as_ofs))
            if as_ofs == AS_OFS[0]:
                run("leadline")  # compiles the kernel, as the set-up does
                figures = [run(contender) for contender in ("leadline", "build", "warehouse", *RIVALS)]
                whole_process("check", DATA, "check", str(folder), "warehouse", *RIVALS)
            else:
                figures = [run(contender) for contender in ("leadline", "warehouse")]
            title = f"behaviour features: {contacts:,} contacts, {activities:,} activities, {as_ofs} as-ofs each"
            results.append(show(title, figures, ours="leadline"))
    write_json(options.json, results)


if __name__ == "__main__":
    main()
