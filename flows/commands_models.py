"""Commands on registered models that ask what happened, and when."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from flows.usage import QUESTIONS, Instant, home_option, json_option


@click.command("log")
@click.argument("question", type=QUESTIONS)
@click.option("--at", type=Instant(), help="Say which version was live at this instant.")
@home_option
@json_option
def log_models(question: str, at: datetime | None, home: Path, as_json: bool) -> None:
    """Show which version was made live when, by whom and why."""
    from flows.wiring import registry_of

    registry = registry_of(home)
    if at is None:
        lines = registry.promotions(question)
        _print(
            [line.to_dict() for line in lines],
            words="\n".join(
                f"{line.at:%Y-%m-%d %H:%M:%S} UTC  {line.action:8}  {line.from_version or 'none'} -> {line.to_version}"
                f"  by {line.who}: {line.reason}"
                for line in lines
            )
            or f"{question}: no version was ever promoted",
            as_json=as_json,
        )
        return
    live = registry.live_at(question, at)
    bundle = None if live is None else registry.get(question, live).tags.get("bundle")
    _print(
        {"question": question, "at": at.isoformat(), "version": live, "bundle": bundle},
        words=f"{question}: no version was live at {at:%Y-%m-%d %H:%M:%S} UTC"
        if live is None
        else f"{question}: version {live} ({bundle}) was live at {at:%Y-%m-%d %H:%M:%S} UTC",
        as_json=as_json,
    )


def _print(content: Any, *, words: str, as_json: bool) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False) if as_json else words)
