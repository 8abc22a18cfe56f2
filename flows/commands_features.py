"""The commands about features: what there are, and what they were."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from flows.usage import (
    QUESTIONS,
    Instant,
    config_option,
    data_option,
    home_option,
    json_option,
    workplace_and_instant,
)


@click.group()
def features() -> None:
    """See what the models look at."""


@features.command("list")
@click.argument("question", type=QUESTIONS, required=False)
@json_option
def list_features(question: Any, as_json: bool) -> None:
    """List the features: what each says, where it comes from, since when it is known."""
    from features.feature_page import described
    from flows.feature_list import show_features

    listed = described(question)
    if as_json:
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show_features(listed)


@features.command("write")
@config_option
@data_option
@home_option
@click.option(
    "--as-of", "moments", type=Instant(), multiple=True, help="A moment to look at; repeat it for several. Now if none."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="The folder of Parquet files."
)
@json_option
def write(config: Path, data: Path | None, home: Path, moments: tuple[datetime, ...], out: Path, as_json: bool) -> None:
    """Write what every contact had done before each moment, as Parquet, for analyses of your own."""
    import pandas as pd

    from flows.console import Progress
    from flows.extracting import extract
    from flows.feature_files import require_free, write_features
    from flows.lease import home_lock

    require_free(out)
    workplace, now = workplace_and_instant(config=config, data=data, home=home, as_of=None)
    asked = [pd.Timestamp(moment).as_unit("us") for moment in moments] or [now]
    progress = Progress(quiet=as_json)
    with home_lock(workplace.home):
        with progress.step("Reading and checking the tables") as step:
            extracted = extract(workplace, as_of=max(asked), telling=step.tell)
        with progress.step("Computing the features") as step:
            rows = write_features(workplace, extracted, moments=asked, folder=out, progress=step.tell)
    if as_json:
        click.echo(json.dumps({"out": str(out), "rows": rows, "as_of": [moment.isoformat() for moment in asked]}))
    else:
        click.echo(f"{rows:,} rows written to {out}")
