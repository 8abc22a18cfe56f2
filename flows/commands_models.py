"""Commands on registered models: which there are, which is live, and what happened when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from flows.usage import QUESTIONS, Instant, home_option, json_option


@click.group()
def models() -> None:
    """See, promote and roll back trained models."""


@models.command("list")
@click.argument("question", type=QUESTIONS)
@home_option
@json_option
def list_models(question: str, home: Path, as_json: bool) -> None:
    """List all versions."""
    from flows.summary import model_dict, show_models
    from flows.wiring import registry_of

    versions = registry_of(home).versions(question)
    if as_json:
        _print_data([model_dict(version) for version in versions])
    else:
        show_models(question, versions)


@models.command("show")
@click.argument("question", type=QUESTIONS)
@click.option("--version", help="Which version; the promoted one by default.")
@home_option
@json_option
def show_model(question: str, version: str | None, home: Path, as_json: bool) -> None:
    """Show a version's whole evaluation."""
    from flows.summary import model_dict, show_evaluation
    from flows.wiring import registry_of

    registry = registry_of(home)
    chosen = registry.require_champion(question) if version is None else registry.get(question, version)
    evaluation = registry.evaluation(question, chosen.version)
    if as_json:
        _print_data({"model": model_dict(chosen), "evaluation": evaluation})
    else:
        show_evaluation(chosen, evaluation)


@models.command("promote")
@click.argument("question", type=QUESTIONS)
@click.argument("version")
@click.option("--reason", default="promoted by hand", show_default=True, help="Kept in the promotion log.")
@home_option
def promote_model(question: str, version: str, reason: str, home: Path) -> None:
    """Make a version the one that scores."""
    from flows.wiring import registry_of

    promotion = registry_of(home).promote(question, version, reason=reason, at=datetime.now(UTC))
    click.echo(f"{question}: version {promotion.to_version} is promoted (before: {promotion.from_version or 'none'})")


@models.command("rollback")
@click.argument("question", type=QUESTIONS)
@click.option("--reason", default="rolled back by hand", show_default=True, help="Kept in the promotion log.")
@home_option
def rollback_model(question: str, reason: str, home: Path) -> None:
    """Go back to the version that scored before."""
    from flows.wiring import registry_of

    promotion = registry_of(home).rollback(question, reason=reason, at=datetime.now(UTC))
    click.echo(f"{question}: back to version {promotion.to_version} (from {promotion.from_version})")


@models.command("log")
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
    if as_json:
        _print_data(content)
    else:
        click.echo(words)


def _print_data(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
