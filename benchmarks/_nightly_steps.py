"""The steps of ``benchmarks.nightly``, each run as a process of its own: step, folder."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks._behaviour_contenders import opened_warehouse
from benchmarks._behaviour_data import DAY, START
from benchmarks._behaviour_plan import NAMES, plan
from features.behaviour_files import INSTANT, from_warehouse, write_behaviour


def extend(folder: Path) -> None:
    """Bring the warehouse up to the files there are, reading only new ones."""
    from features.sources.folder import FolderSource

    with closing(opened_warehouse(folder)) as warehouse, warehouse.extending(FolderSource(folder).activity_parts()):
        pass


def score(folder: Path) -> None:
    """Compute and write the features of every contact at the end of the last day."""
    with closing(opened_warehouse(folder)) as warehouse:
        rows = warehouse.contact_rows()
        as_of = pa.array(np.full(len(rows), START + 730 * DAY), INSTANT)
        write_behaviour(
            read=from_warehouse(warehouse, plan()),
            snapshots=pa.table({"contact_id": rows["contact_id"], "as_of": as_of}),
            plan=plan(),
            folder=folder / "features",
            only=NAMES,
            rows=rows,
        )


if __name__ == "__main__":
    {"extend": extend, "score": score}[sys.argv[1]](Path(sys.argv[2]))
