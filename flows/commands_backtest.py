"""The command ``leadline backtest``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from flows.usage import as_of_option, config_option, data_option, home_option, json_option, workplace_and_instant


@click.command()
@config_option
@data_option
@as_of_option
@home_option
@click.option("--folds", type=click.IntRange(min=1), default=4, show_default=True, help="Past days to test as of.")
@click.option("--by", multiple=True, metavar="COLUMN", help="Break the figures down by this column; may be repeated.")
@click.option(
    "--question", type=click.Choice(["contacts", "deals"]), help="Only this one, instead of all that are configured."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a page (.html), or all as .json.")
@json_option
def backtest(
    config: Path,
    data: Path | None,
    as_of: datetime | None,
    home: Path,
    folds: int,
    by: tuple[str, ...],
    question: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Test the whole procedure as of several past days, beside every baseline."""
    from features.findings import refuse_errors
    from flows.backtesting import backtest_question, show_backtest, write_backtests
    from flows.console import Progress
    from flows.extracting import checked

    workplace, instant = workplace_and_instant(config=config, data=data, home=home, as_of=as_of)
    progress = Progress(quiet=as_json)
    settings = workplace.settings
    with checked(workplace, as_of=instant) as source:
        with progress.step("Reading and checking the tables"):
            refuse_errors(source.findings)
        found = [
            backtest_question(
                workplace,
                source.training_tables(question=one, settings=settings.snapshots),
                question=one,
                as_of=instant,
                folds=folds,
                by=by,
                progress=progress,
            )
            for one in settings.questions
            if question in (None, one)
        ]
    if out is not None:
        write_backtests(found, title=workplace.settings.title, file=out)
    if as_json:
        click.echo(json.dumps([one.to_dict() for one in found], indent=2, ensure_ascii=False, allow_nan=False))
        return
    for one in found:
        show_backtest(one)
    if out is not None:
        click.echo(f"Written to {out}")
