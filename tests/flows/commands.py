"""Commands as a person types them, and the small homes that the tests of flows and the journeys work in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from features.sources.synthetic import SyntheticSettings, simulate
from features.tables import TABLE_NAMES, CrmTables
from flows.cli import main
from flows.settings import CONFIGS
from flows.wiring import Workplace, make_workplace
from models.promotion_log import replace_file
from models.registry import ModelRegistry

END = pd.Timestamp("2026-01-01T00:00:00Z").as_unit("us")

# Small data, and a gate to match: contacts are scored by the model, deals by a fallback.
SMALL = f"""\
title: Scores of a small company
source: {{kind: synthetic, contacts: 1200, months: 18, seed: 8}}
point_rules: {CONFIGS / "point_rules.yaml"}
properties: {{contacts: {{safe: [industry, country, source]}}}}
bootstrap_replicates: 40
drivers: {{refits: 2}}
ladder: {{contacts_rules_from: 5, contacts_small_model_from: 10, contacts_model_from: 20, deals_model_from: 10}}
gate: {{min_positive_objects: 5, min_ratio: 0.2, max_ratio: 5.0, ici_margin: 0.5}}
"""
# As little as can be learnt from at all: a second or two to train.
TINY = """\
source: {kind: synthetic, contacts: 300, months: 12, seed: 7}
bootstrap_replicates: 20
"""
FOLDER = "source: {kind: folder}\nbootstrap_replicates: 20\n"


@dataclass(frozen=True)
class Installed:
    """A home and the configuration it was made with; ``said`` is what the run printed as JSON."""

    config: Path
    home: Path
    said: dict[str, Any]

    @property
    def batch_id(self) -> str:
        return str(self.said["batch_id"])

    @property
    def workplace(self) -> Workplace:
        return make_workplace(config=self.config, data=None, home=self.home)

    def copied_to(self, folder: Path) -> Installed:
        """Copy the home: a test may change its own."""
        home = folder / "home"
        shutil.copytree(self.home, home)
        return replace(self, home=home)


def leadline(*arguments: str | Path) -> Result:
    """Run a command in this process; what is no clean exit is raised."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="leadline")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def leadline_json(*arguments: str | Path) -> Any:
    """Run a command that must succeed, and parse what it printed on standard output."""
    result = leadline(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def write_config(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def install(folder: Path, text: str = SMALL) -> Installed:
    """Run everything once in a new home."""
    config = write_config(folder, text)
    home = folder / "home"
    return Installed(config=config, home=home, said=leadline_json("run", "--config", config, "--home", home))


@contextmanager
def registries_made_once() -> Iterator[None]:
    """Begin every new home with a copy of one empty MLflow store: making one takes longer than a small training."""
    make = ModelRegistry._create_store
    made: list[bytes] = []

    def copy_or_make(registry: ModelRegistry, client: Any) -> None:
        if made:
            replace_file(registry._store, made[0])
        else:
            make(registry, client)
            made.append(registry._store.read_bytes())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ModelRegistry, "_create_store", copy_or_make)
        yield


def tiny_tables(**changed: Any) -> CrmTables:
    return simulate(SyntheticSettings(**({"contacts": 300, "months": 12, "seed": 7} | changed))).tables


def write_csv(tables: CrmTables, folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Write the tables as a person would export them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLE_NAMES:
        if name not in without:
            frame = tables[name].copy()
            for column in frame.select_dtypes("datetimetz"):
                frame[column] = frame[column].map(lambda time: time.isoformat(), na_action="ignore")
            frame.to_csv(folder / f"{name}.csv", index=False)
    return folder


def write_parquet(tables: CrmTables, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLE_NAMES:
        tables[name].to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
