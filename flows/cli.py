"""The command line. Each command imports what it needs when it runs, so that help answers at once."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.commands_backtest import backtest
from flows.commands_erase import erase
from flows.commands_features import features
from flows.commands_map import map_files
from flows.commands_models import models
from flows.commands_rules import rules
from flows.commands_serve import keys, serve
from flows.commands_tune import tune
from flows.commands_why import why
from flows.commands_writeback import writeback_command
from flows.usage import (
    QUESTIONS,
    Commands,
    accept_option,
    as_of_option,
    config_option,
    data_option,
    home_option,
    json_option,
)

if TYPE_CHECKING:
    import pandas as pd

    from flows.wiring import Workplace


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="leadline", message="%(prog)s %(version)s")
def main() -> None:
    """Score contacts and deals, prove the scores, and show their reasons."""
    # Threads that wait by spinning make training many times slower as soon as anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@main.command()
@home_option
@click.option("--contacts", type=click.IntRange(min=200), default=4000, show_default=True, help="How many to invent.")
@click.option("--hubspot", is_flag=True, help="Read the CRM from a HubSpot sandbox, and write the scores back to it.")
@json_option
def demo(home: Path, contacts: int, hubspot: bool, as_json: bool) -> None:
    """Invent a CRM, run everything on it, and say where things lie."""
    from flows.demo import run_demo

    result = run_demo(home=home, contacts=contacts, now=_now(), quiet=as_json, through_hubspot=hubspot)
    if as_json:
        _print_json(result.to_dict())


@main.command()
@config_option
@data_option
@as_of_option
@home_option
@accept_option
@click.option("--prefect", is_flag=True, help="Run as Prefect flows, with retries and an artifact.")
@json_option
def run(
    config: Path,
    data: Path | None,
    as_of: datetime | None,
    home: Path,
    accept_tables: bool,
    prefect: bool,
    as_json: bool,
) -> None:
    """Extract, check, train if due, score, publish and report."""
    if prefect:
        from flows.prefect_environment import prepare

        prepare(home)
        from flows.nightly import nightly, summary

        plain = nightly(
            config=str(config),
            data=None if data is None else str(data),
            as_of=None if as_of is None else as_of.isoformat(),
            home=str(home),
            accept_tables=accept_tables,
        )
        if as_json:
            _print_json(plain)
        else:
            click.echo(summary(plain))
        return
    from flows.console import Progress
    from flows.run import run as run_all
    from flows.summary import show_run

    workplace = _workplace(config, data, home, accept_tables)
    result = run_all(workplace, as_of=_as_of(workplace, as_of), now=_now(), progress=Progress(quiet=as_json))
    if as_json:
        _print_json(result.to_dict())
    else:
        show_run(workplace.home, result)


@main.command()
@config_option
@data_option
@as_of_option
@home_option
@json_option
def check(config: Path, data: Path | None, as_of: datetime | None, home: Path, as_json: bool) -> None:
    """Say what is wrong with the tables; exit 1 if anything is an error."""
    from flows.extracting import checked
    from flows.summary import show_findings

    workplace = _workplace(config, data, home)
    with checked(workplace, as_of=_as_of(workplace, as_of), compare=True) as source:
        findings = source.findings
    if as_json:
        _print_json([finding.to_dict() for finding in findings])
    else:
        show_findings(findings)
    if any(finding.severity == "error" for finding in findings):
        sys.exit(1)


@main.command()
@config_option
@data_option
@as_of_option
@home_option
@json_option
def audit(config: Path, data: Path | None, as_of: datetime | None, home: Path, as_json: bool) -> None:
    """Say which columns know more than anybody could have known; exit 1 if one is refused."""
    from features.findings import refuse_errors
    from flows.auditing import audit_question, show_audit
    from flows.extracting import checked

    workplace = _workplace(config, data, home)
    instant, settings = _as_of(workplace, as_of), workplace.settings
    with checked(workplace, as_of=instant) as source:
        refuse_errors(source.findings)
        audits = [
            audit_question(
                workplace,
                source.training_tables(question=question, settings=settings.snapshots),
                question=question,
                as_of=instant,
            )
            for question in settings.questions
        ]
    if as_json:
        _print_json([one.to_dict() for one in audits])
    else:
        for one in audits:
            show_audit(one)
    if any(one.refused for one in audits):
        sys.exit(1)


@main.command()
@config_option
@data_option
@as_of_option
@home_option
@accept_option
@json_option
def train(
    config: Path, data: Path | None, as_of: datetime | None, home: Path, accept_tables: bool, as_json: bool
) -> None:
    """Train, evaluate and, if the test allows, promote; exit 1 if a model was refused."""
    from flows import pipeline
    from flows.answers import write_answer, write_refusal
    from flows.console import Progress
    from flows.run import extracted_tables, outcome_dict
    from flows.summary import show_outcome
    from models.training import NothingToLearnError

    workplace = _workplace(config, data, home, accept_tables)
    instant = _as_of(workplace, as_of)
    progress = Progress(quiet=as_json)
    plain: list[dict[str, Any]] = []
    refused = False
    with extracted_tables(workplace, as_of=instant, progress=progress) as (extracted, _):
        for question in workplace.settings.questions:
            try:
                with progress.step(f"Learning what drives {question}"):
                    outcome = pipeline.train(workplace, extracted, question=question, as_of=instant, now=_now())
            except NothingToLearnError as error:
                refused = True
                plain.append({"question": question, "refused": str(error)})
                click.echo(f"error: {error}", err=True)
                write_refusal(workplace, question, error)
            else:
                refused |= outcome.model_refused
                write_answer(workplace, outcome)
                plain.append(outcome_dict(outcome))
                if not as_json:
                    show_outcome(outcome)
    if as_json:
        _print_json(plain)
    if refused:
        sys.exit(1)


@main.command()
@config_option
@data_option
@as_of_option
@home_option
@accept_option
@json_option
def score(
    config: Path, data: Path | None, as_of: datetime | None, home: Path, accept_tables: bool, as_json: bool
) -> None:
    """Publish a batch with the promoted models."""
    from flows.console import Progress
    from flows.run import extracted_tables, score_and_publish

    workplace = _workplace(config, data, home, accept_tables)
    instant = _as_of(workplace, as_of)
    progress = Progress(quiet=as_json)
    refused: dict[str, str] = {
        question: f'{question} has no promoted model; train one with "leadline train" or "leadline run"'
        for question in workplace.settings.questions
        if workplace.registry().champion(question) is None
    }
    with extracted_tables(workplace, as_of=instant, progress=progress) as (extracted, held):
        published = score_and_publish(
            workplace, extracted, lease=held, as_of=instant, now=_now(), refused=refused, progress=progress
        )
    if as_json:
        _print_json(
            {
                "batch_id": published.batch_id,
                "already_published": published.already,
                "rows": dict(published.rows),
                "refused": refused,
            }
        )
        return
    for reason in refused.values():
        click.echo(reason, err=True)
    click.echo(
        f"Published batch {published.batch_id}. "
        f"Export it with: leadline export {next(iter(published.rows))} --home {home} --out FILE"
    )


@main.command()
@click.argument("question", type=QUESTIONS)
@click.option("--batch", default="latest", show_default=True, help="Which batch.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "parquet", "ndjson", "arrow"]),
    default="csv",
    show_default=True,
    help="Format.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@home_option
def export(question: str, batch: str, kind: Any, out: Path, home: Path) -> None:
    """Write a batch's scores to a file."""
    from flows.places import require_home, store_of
    from serving.export import export as export_rows

    require_home(home)
    with closing(store_of(home)) as store:
        written = export_rows(store, question, batch, kind, out)
    click.echo(f"{written.rows:,} {question} written to {written.path}")


main.add_command(features)
main.add_command(rules)
main.add_command(why)


@main.command()
@click.option("--batch", help="Which batch; the latest by default.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it.")
@click.option(
    "--language", type=click.Choice(["en", "de"]), help="Its language; the one configured for the run by default."
)
@home_option
def report(batch: str | None, out: Path | None, language: Any, home: Path) -> None:
    """Write the report of a batch again."""
    from flows.reporting import write_batch_report

    click.echo(write_batch_report(home=home, batch_id=batch, out=out, language=language))


@main.command()
@home_option
@json_option
def status(home: Path, as_json: bool) -> None:
    """Say what is published, how old it is, and which models are in use."""
    from flows.summary import show_status, status_dict

    plain = status_dict(home, now=_now())
    if as_json:
        _print_json(plain)
    else:
        show_status(plain)


@main.command()
@home_option
@json_option
def doctor(home: Path, as_json: bool) -> None:
    """Check that this installation can work; exit 1 if it cannot."""
    from flows.doctor import examine, show_examination

    results = examine(home)
    if as_json:
        _print_json([result.to_dict() for result in results])
    else:
        show_examination(results)
    if not all(result.ok for result in results):
        sys.exit(1)


main.add_command(map_files)
main.add_command(models)
main.add_command(backtest)
main.add_command(tune)
main.add_command(serve)
main.add_command(keys)
main.add_command(erase)


def _workplace(config: Path, data: Path | None, home: Path, accepts_tables: bool = False) -> Workplace:
    from flows.wiring import make_workplace

    return make_workplace(config=config, data=data, home=home, accepts_tables=accepts_tables)


def _as_of(workplace: Workplace, chosen: datetime | None) -> pd.Timestamp:
    import pandas as pd

    from flows.wiring import default_as_of

    return default_as_of(workplace.settings, now=_now()) if chosen is None else pd.Timestamp(chosen).as_unit("us")


def _now() -> datetime:
    return datetime.now(UTC)


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


main.add_command(writeback_command(_now))
