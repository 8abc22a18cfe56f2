"""What it costs to split every change of a night, beside building features of everybody, scoring and explaining them.

Contacts with their activities, two as-ofs a day apart, one small model. Every contender is a process of its own that
times its task alone, after loading and one warm-up on few contacts; the peak is that of the whole process.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks._measure import own_part, show, whole_process, write_json

SIZES = {"small": (50_000, 1_000_000), "full": (1_000_000, 10_000_000)}
STEPS = "benchmarks._change_steps"


def main() -> None:
    """Make the data, run the steps, print what the split costs beside the scoring that it comes after."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contacts, activities = SIZES[options.size]
    with tempfile.TemporaryDirectory() as name:
        whole_process("data", STEPS, "make", name, str(contacts), str(activities))
        steps = ("features and scores", "reasons", "why changed")
        figures = [own_part(step, STEPS, step, name) for step in steps]
        moved = int((Path(name) / "moved.txt").read_text())
        title = f"a night of {contacts:,} contacts, {activities:,} activities; {moved:,} scores moved"
        result = show(title, figures, ours=steps[0], word="x scoring")
    write_json(options.json, [result])


if __name__ == "__main__":
    main()
