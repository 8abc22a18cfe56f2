"""The command ``leadline tune``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from flows.usage import (
    QUESTIONS,
    as_of_option,
    config_option,
    data_option,
    home_option,
    json_option,
    workplace_and_instant,
)


@click.command()
@click.argument("question", type=QUESTIONS)
@config_option
@data_option
@as_of_option
@home_option
@click.option("--trials", type=click.IntRange(min=1), default=40, show_default=True, help="Trials in all.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Begin none later."
)
@json_option
def tune(
    question: Any,
    config: Path,
    data: Path | None,
    as_of: datetime | None,
    home: Path,
    trials: int,
    minutes: float,
    as_json: bool,
) -> None:
    """Search better settings for a model, nested in time; what was begun is gone on with."""
    from features.findings import refuse_errors
    from flows.console import Progress
    from flows.extracting import checked
    from flows.tuning import show_tuned, tune_question

    workplace, instant = workplace_and_instant(config=config, data=data, home=home, as_of=as_of)
    progress = Progress(quiet=as_json)
    with (
        progress.step("Reading and checking the tables"),
        checked(workplace, as_of=instant) as source,
    ):
        refuse_errors(source.findings)
        tables = source.training_tables(question=question, settings=workplace.settings.snapshots)
    found = tune_question(
        workplace,
        tables,
        question=question,
        as_of=instant,
        trials=trials,
        minutes=minutes,
        progress=progress,
        quiet=as_json,
    )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show_tuned(found)
