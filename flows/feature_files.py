"""The behaviour features of every contact at any moments, as files for whoever analyses them elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import LeadScoringError
from flows.extracting import Extract
from flows.wiring import Workplace


class FolderTakenError(LeadScoringError):
    """A folder that would be replaced holds what is not ours."""

    def __init__(self, folder: Path, *, found: str) -> None:
        self.folder = folder
        super().__init__(
            f"--out must name a new folder, or one that holds features written before and nothing else; {folder} "
            f"holds {found}. Choose another one."
        )


def require_free(folder: Path) -> None:
    """Raise ``FolderTakenError`` unless a folder may be replaced by new features."""
    if folder.exists() and not folder.is_dir():
        raise FolderTakenError(folder, found="a file of that name")
    for inside in sorted(folder.glob("*")):
        if not inside.match("part-*.parquet"):
            raise FolderTakenError(folder, found=inside.name)


def write_features(
    workplace: Workplace,
    extracted: Extract,
    *,
    moments: Sequence[pd.Timestamp],
    folder: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Write a row for each contact at each moment that comes after its creation; return how many.

    Kinds and outcomes are chosen, as for a training, on what was known at the latest moment.
    """
    import pyarrow as pa

    from features.feature_contract import learn_contract
    from features.visibility import as_known_at, created_times, instant

    settings, small = workplace.settings, extracted.small_tables
    known = as_known_at(extracted.training_tables(question="contacts", settings=settings.snapshots), as_of=max(moments))
    contract, _ = learn_contract(
        question="contacts", tables=known, settings=settings.features, properties=settings.properties
    )
    ids = small["contacts"]["contact_id"]
    created = created_times(ids, table=small["contacts"], key="contact_id")
    as_of = np.array(sorted({instant(moment) for moment in moments}))
    contact, moment = np.nonzero(created[:, np.newaxis] < as_of)
    snapshots = pa.table(
        {
            "contact_id": pa.array(ids, pa.large_string()).take(pa.array(contact)),
            "as_of": pa.array(as_of[moment], pa.timestamp("us", tz="UTC")),
        }
    )
    return extracted.write_behaviour(
        snapshots=snapshots,
        plan=contract.behaviour,
        folder=folder,
        progress=lambda done, of: progress(f"part {done} of {of}"),
    )
