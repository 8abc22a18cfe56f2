"""Where things lie: the home, and the score store in it or elsewhere. Light to import, for what only reads scores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from features.errors import LeadScoringError

if TYPE_CHECKING:
    from serving.settings import StoreSettings
    from serving.store import ScoreStore

STORE_URL_VARIABLE: Final = "LEADLINE_STORE_URL"


class NothingHereError(LeadScoringError):
    """The home that was named does not exist."""


def store_url(home: Path) -> SecretStr:
    """Return the score store's URL: from the environment, else SQLite under home. It may hold a password."""
    return SecretStr(os.environ.get(STORE_URL_VARIABLE) or f"sqlite:///{home / 'scores.db'}")


def store_of(home: Path, *, settings: StoreSettings | None = None, read_seconds: float | None = None) -> ScoreStore:
    """Return the score store of a home: SQLite in it, or the database that the environment names.

    Writing to a SQLite store needs the home to be there; who only reads calls ``require_home`` first.
    """
    from serving.store import DEFAULTS, ScoreStore

    url = store_url(home).get_secret_value()
    return ScoreStore(url, read_seconds=read_seconds, settings=settings or DEFAULTS)


def is_here(home: Path) -> bool:
    """Say whether anything can be read: from this home, or from the database that the environment names."""
    return home.is_dir() or STORE_URL_VARIABLE in os.environ


def require_home(home: Path) -> None:
    """Raise ``NothingHereError`` where nothing can be read; reading must not make a home."""
    if not is_here(home):
        raise NothingHereError(
            f"there is no {home}, so no batch is published yet; publish one with: leadline run (or leadline demo), or "
            "name another home with --home"
        )
