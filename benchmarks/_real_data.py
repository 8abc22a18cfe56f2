"""Real data sets for the benchmarks: read where they lie, with the configuration that the project ships for them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.sources.folder import FolderSource
from features.tables import CrmTables
from features.visibility import effective_time
from flows.settings import CONFIGS, load_rules, load_settings
from models.training import TrainingSettings

SHARED = CONFIGS.parent.parent / "shared" / "data"


@dataclass(frozen=True)
class Real:
    """A data set, what was the present when it was exported, and how a training is to treat it."""

    tables: CrmTables
    as_of: pd.Timestamp
    settings: TrainingSettings


def data_arguments(parser: argparse.ArgumentParser, *, folder: str) -> None:
    """Add the arguments that all benchmarks on real data take."""
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--data", type=Path, default=SHARED / folder, help="the folder with the tables")
    parser.add_argument("--automl", help="a Python that has FLAML; without it FLAML is left out")
    parser.add_argument("--json", type=Path)


def read_real(options: argparse.Namespace, *, config: str) -> Real | None:
    """Read the tables that the options name; None, said on the terminal, where they are not there."""
    if not options.data.is_dir():
        print(
            f"left out: there is no folder {options.data}; docs/data.md says where the data set is to be had (--data)"
        )
        return None
    file = CONFIGS / config
    settings = load_settings(file)
    tables, _ = FolderSource(path=options.data).read()
    latest = max(
        int(effective_time(name, tables[name]).max())
        for name in ("contacts", "activities", "deal_stage_history")
        if len(tables[name])
    )
    return Real(
        tables=tables,
        as_of=pd.Timestamp(latest + 1, unit="us", tz="UTC"),
        settings=settings.training(load_rules(settings, config=file)),
    )
