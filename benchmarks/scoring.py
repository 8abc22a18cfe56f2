"""Training, scoring and explaining contacts against bare LightGBM: the same rows, the same trees, one run.

Every contender is a process of its own that times its task alone, after loading the data and one warm-up on few rows;
the peak is that of the whole process. ``score`` gives the published probability with its range and tier, ``effects``
every feature's effect in probability, ``reasons`` the whole published text; LightGBM gives raw probabilities and raw
contributions.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks._measure import own_part, show, whole_process, write_json

SIZES = {"small": (50_000, 100), "full": (1_000_000, 2_000)}
CONTENDERS = "benchmarks._scoring_contenders"
DATA = "benchmarks._scoring_data"


def main() -> None:
    """Make the data, run every contender, check that the numbers agree, print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows, deals = SIZES[options.size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole_process("data", DATA, "make", str(folder), str(rows), str(deals))
        tables = [
            (f"training on {rows:,} snapshots x 60 features", ("fit", "bare fit")),
            (f"scoring {rows:,} rows x 60 features", ("score", "bare predict")),
            (f"explaining {rows:,} rows x 60 features", ("effects", "reasons", "bare pred_contrib")),
            (
                f"explaining {deals:,} open deals: whole families exactly, on the probability of winning",
                ("deals", "bare pred_contrib of the deal model"),
            ),
        ]
        results = []
        for title, contenders in tables:
            figures = [own_part(contender, CONTENDERS, contender, str(folder)) for contender in contenders]
            results.append(show(title, figures, ours=contenders[-1], word="x bare"))
        whole_process("check", DATA, "check", str(folder))
    write_json(options.json, results)


if __name__ == "__main__":
    main()
