"""The behaviour features by Apache Spark on two processors beside the same by this machine's engine: equal numbers.

Both read the same Parquet files of activities and (contact, as-of) points, compute every behaviour feature with the
same kernel, and write them as Parquet. Whole processes, the start of Spark included; the memory is that of the
largest process, for Spark its Java machine or a Python worker.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks._measure import show, whole_process, write_json

SIZES = {"small": (20_000, 1_000_000, 4), "full": (200_000, 10_000_000, 4)}
CONTENDERS = "benchmarks._spark_contenders"
DATA = "benchmarks._behaviour_data"


def main() -> None:
    """Make the data, run both engines, check that the numbers agree, print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contacts, activities, as_ofs = SIZES[options.size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = str(folder / "activities.parquet")
        whole_process("data", DATA, "activities", file, str(contacts), str(activities), "0", "0", "730")
        whole_process("data", DATA, "points", str(folder / "points.parquet"), str(contacts), str(as_ofs))
        whole_process("warm", CONTENDERS, "local", str(folder))
        figures = [whole_process(engine, CONTENDERS, engine, str(folder)) for engine in ("local", "spark")]
        whole_process("check", CONTENDERS, "check", str(folder))
        title = f"engines: {contacts:,} contacts, {activities:,} activities, {as_ofs} as-ofs each"
        write_json(options.json, [show(title, figures, ours="local")])


if __name__ == "__main__":
    main()
