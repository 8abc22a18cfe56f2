"""The command that erases one contact."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from flows.usage import home_option, json_option


@click.command()
@click.argument("contact_id", metavar="ID")
@home_option
@json_option
def erase(contact_id: str, home: Path, as_json: bool) -> None:
    """Erase one contact from scores, reports, exports and tables; erase it in the CRM first."""
    from flows.erasing import RECORD, erase_contact

    done = erase_contact(home, contact_id, at=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(done.to_dict(), indent=2))
        return
    if done.nothing:
        click.echo("Nothing names it but what the next run reads again: tables, exports.")
    else:
        click.echo(
            f"Removed: score rows {done.score_rows:,}, write-backs {done.writes:,}, objects landed of HubSpot "
            f"{done.landed:,}, reports {done.reports:,} (written again without it)."
        )
    click.echo(
        f"Exports of contacts and the tables of earlier runs are gone as a whole. The record is {home / RECORD}.\n"
        "Erase the contact in the CRM too, or the next run reads it again. Jobs that read changes are told with the "
        "next batch."
    )
