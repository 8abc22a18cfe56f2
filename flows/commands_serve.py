"""The commands of the service: start it, and say who may use it."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.usage import home_option, json_option

if TYPE_CHECKING:
    from serving.keys import ApiKey

_DAYS = click.FloatRange(min=0, min_open=True, max=36500)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8040, show_default=True, help="The port; 0 for any.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="For its parts store and api.")
@home_option
def serve(host: str, port: int, config: Path | None, home: Path) -> None:
    """Serve scores, exports and reports over HTTP."""
    from flows.service import serve as run

    run(host=host, port=port, config=config, home=home, say=click.echo)


@click.group()
def keys() -> None:
    """Make, list and revoke the API keys of the service."""


@keys.command("create")
@click.option("--name", required=True, help="Whose it is, for the list.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["scores:read", "reasons:read", "reports:read", "admin"]),
    help="What it opens; may be given more than once.",
)
@click.option("--days", type=_DAYS, default=365.0, show_default=True, help="How long it opens anything.")
@click.option("--replaces", help="The id of a key that ends once the overlap is over.")
@click.option("--overlap-days", type=_DAYS, default=7.0, show_default=True, help="How long the replaced key lives on.")
@home_option
@json_option
def create(
    name: str,
    scopes: tuple[str, ...],
    days: float,
    replaces: str | None,
    overlap_days: float,
    home: Path,
    as_json: bool,
) -> None:
    """Make a key and show it, this once."""
    from flows.places import store_of
    from serving.keys import create_key, end_key

    home.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    with closing(store_of(home)) as store:
        if replaces is not None:
            end_key(store, replaces, at=now + timedelta(days=overlap_days), revoke=False)
        key, text = create_key(store, name=name, scopes=scopes, now=now, expires_at=now + timedelta(days=days))
    if as_json:
        click.echo(json.dumps(_plain(key, now) | {"key": text}, indent=2))
        return
    click.echo(text)
    click.echo(f"This is key {key.key_id}; it is kept as a hash and cannot be shown again.", err=True)


@keys.command("list")
@home_option
@json_option
def list_all(home: Path, as_json: bool) -> None:
    """List all keys, also those that open nothing any more."""
    from flows.console import show_table
    from flows.places import require_home, store_of
    from serving.keys import list_keys

    require_home(home)
    now = datetime.now(UTC)
    with closing(store_of(home)) as store:
        plain = [_plain(key, now) for key in list_keys(store)]
    if as_json:
        click.echo(json.dumps(plain, indent=2))
        return
    columns = ["key_id", "name", "state", "scopes", "created_at", "expires_at"]
    rows = [[" ".join(one[name]) if name == "scopes" else one[name] or "" for name in columns] for one in plain]
    show_table(title="API keys", columns=columns, rows=rows)


@keys.command("revoke")
@click.argument("key_id")
@home_option
def revoke(key_id: str, home: Path) -> None:
    """Make a key open nothing from now on."""
    from flows.places import require_home, store_of
    from serving.keys import end_key

    require_home(home)
    with closing(store_of(home)) as store:
        key = end_key(store, key_id, at=datetime.now(UTC), revoke=True)
    click.echo(f"Key {key.key_id} ({key.name}) is revoked.")


def _plain(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "state": key.state(now),
        "scopes": list(key.scopes),
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(timespec="seconds"),
    }
