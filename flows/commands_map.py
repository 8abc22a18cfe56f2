"""The command that drafts a mapping of exported files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flows.usage import json_option


@click.command("map")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The mapping to write.")
@json_option
def map_files(files: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Draft a mapping of the files of HubSpot's export button: contacts.csv, deals.csv, companies.csv."""
    from flows.mapping_files import draft_file

    draft = draft_file(files, out=out)
    if as_json:
        read = {one.name: {"table": one.table, "columns": one.columns} for one in draft.files}
        click.echo(json.dumps({"files": read, "questions": draft.questions}, indent=2, ensure_ascii=False))
        return
    for one in draft.files:
        used = len(one.columns) + len(one.links) + len(one.properties)
        click.echo(f"{one.name}: {one.table}, {used} columns recognised, {len(one.left_out)} left out")
    click.echo(f"Written to {out}. Still to be said there, or exported:")
    for question in draft.questions:
        click.echo(f"- {question}")
