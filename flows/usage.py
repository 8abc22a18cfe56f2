"""What the commands share: their options, how they read an instant, and which exit code an error leads to."""

from __future__ import annotations

import errno
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from features.errors import LeadScoringError

if TYPE_CHECKING:
    import pandas as pd

    from flows.wiring import Workplace

QUESTIONS: Final = click.Choice(["contacts", "deals"])
UNUSABLE_PLACE: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR)


class Commands(click.Group):
    """Turns our errors into a message and an exit code: 1 refused, 2 bad usage or configuration."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LeadScoringError as error:
            from features.properties import UnknownPropertyError
            from features.sources.folder import MissingFolderError
            from features.sources.hubspot.client import TokenRefusedError
            from features.sources.warehouse.database import WarehouseAddressError
            from flows.config_file import ConfigurationError

            click.echo(f"error: {error}", err=True)
            misconfigured = (
                ConfigurationError,
                MissingFolderError,
                TokenRefusedError,
                UnknownPropertyError,
                WarehouseAddressError,
            )
            sys.exit(2 if isinstance(error, misconfigured) else 1)
        except OSError as error:
            if error.errno not in UNUSABLE_PLACE:
                raise
            click.echo(
                f"error: {error.filename or 'a file'} cannot be used: {error.strerror}; "
                "make room or give the right to it, or choose another place with --home",
                err=True,
            )
            sys.exit(1)


class Instant(click.ParamType[datetime]):
    """An instant in ISO 8601 with a zone."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant; write 2026-01-31 or 2026-01-31T12:00:00Z", param, ctx)
        if parsed.tzinfo is None and len(value) > len("2026-01-31"):
            self.fail(f"{value!r} has no zone; add Z for UTC, or an offset such as +01:00", param, ctx)
        try:
            return parsed.replace(tzinfo=parsed.tzinfo or UTC).astimezone(UTC)
        except OverflowError:
            self.fail(f"{value!r} lies outside the years 1 to 9999", param, ctx)


def workplace_and_instant(
    *, config: Path, data: Path | None, home: Path, as_of: datetime | None
) -> tuple[Workplace, pd.Timestamp]:
    """Build what a configuration names, and the as-of that was chosen or is now."""
    import pandas as pd

    from flows.wiring import default_as_of, make_workplace

    workplace = make_workplace(config=config, data=data, home=home)
    chosen = default_as_of(workplace.settings, now=datetime.now(UTC)) if as_of is None else pd.Timestamp(as_of)
    return workplace, chosen.as_unit("us")


home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="LEADLINE_HOME",
    default=Path("var"),
    show_default="LEADLINE_HOME, else ./var",
    help="Holds everything that Leadline writes.",
)
config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The configuration, a YAML file."
)
data_option = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The folder of tables, instead of the configured."
)
as_of_option = click.option("--as-of", type=Instant(), help="Know only what was known before this instant.")
accept_option = click.option(
    "--accept-tables", is_flag=True, help="Go on though the tables look unlike those of the run before."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
