"""Behaviour features at as-ofs against the engines that people would reach for: the same numbers, whole processes.

Each contender reads the same Parquet file of activities, computes for every (contact, as-of) the counts per kind and
window, the total per kind and the days since the last one of each kind, and writes them as Parquet.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks._measure import show, whole_process, write_json

SIZES = {"small": (20_000, 1_000_000, 4), "full": (200_000, 10_000_000, 4)}
CONTENDERS = "benchmarks._behaviour_contenders"
DATA = "benchmarks._behaviour_data"
RIVALS = ("pandas", "polars", "duckdb")


def main() -> None:
    """Make the data, run every contender, check that the numbers agree, print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contacts, activities, as_ofs = SIZES[options.size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In processes of their own: a child's peak memory is never less than its parent's was.
        whole_process("data", DATA, "make", str(folder), str(contacts), str(activities), str(as_ofs))
        whole_process("warm", CONTENDERS, "leadline", str(folder))
        figures = [whole_process(contender, CONTENDERS, contender, str(folder)) for contender in ("leadline", *RIVALS)]
        whole_process("check", DATA, "check", str(folder), *RIVALS)
        title = f"behaviour features: {contacts:,} contacts, {activities:,} activities, {as_ofs} as-ofs each"
        results = [show(title, figures, ours="leadline")]
        whole_process("data", DATA, "make", str(folder), str(contacts), str(activities), "26")
        results.append(
            show(
                "the same with 26 as-ofs each",
                [whole_process("leadline", CONTENDERS, "leadline", str(folder))],
                ours="leadline",
            )
        )
    write_json(options.json, results)


if __name__ == "__main__":
    main()
