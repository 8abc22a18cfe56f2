"""The command that says why one contact or deal has its score, and why that changed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import click

from flows.usage import QUESTIONS, home_option, json_option


@click.command()
@click.argument("question", type=QUESTIONS)
@click.argument("object_id", metavar="ID")
@home_option
@json_option
def why(question: str, object_id: str, home: Path, as_json: bool) -> None:
    """Say why one contact or deal has its latest score, why that changed, and what gave its points."""
    from flows.places import require_home, store_of
    from flows.why import explained, show_why

    require_home(home)
    with closing(store_of(home)) as store:
        told = explained(store, question=question, object_id=object_id)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show_why(told)
