"""API keys: made at random, shown once, kept as a hash, with scopes, an end and a way to be replaced."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, update

from serving.database import StoreError
from serving.schema import api_keys
from serving.store import ScoreStore

SCOPES: Final = ("scores:read", "reasons:read", "reports:read", "admin")
_KEY: Final = re.compile(r"ll_([0-9a-f]{12})_([0-9a-f]{64})")
# Compared against where there is no such key, so that a missing one takes as long as a wrong one.
_NOBODY: Final = hashlib.sha256(b"nobody").hexdigest()


class ApiKeyError(StoreError):
    """An API key cannot be made, found or changed as asked."""


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key; the secret itself is not."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """Say whether the key opens anything: active, expired or revoked."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def may(self, scope: str) -> bool:
        """Say whether the key opens a scope; admin opens all."""
        return scope in self.scopes or "admin" in self.scopes


def create_key(
    store: ScoreStore, *, name: str, scopes: Sequence[str], now: datetime, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key and return it with its text, which is nowhere else: 256 random bits need no slow hash."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ApiKeyError(
            f"a key's scopes must be some of {', '.join(SCOPES)}; found {unknown or 'none'}. Choose some."
        )
    if expires_at is not None and expires_at <= now:
        raise ApiKeyError(f"a key must end in the future; found {expires_at.isoformat()}. Choose a later end.")
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    kept = [scope for scope in SCOPES if scope in scopes]
    row = {
        "key_id": key_id,
        "name": name,
        "secret_hash": _hash(secret),
        "scopes": " ".join(kept),
        "created_at": now,
        "expires_at": expires_at,
    }
    with store.writing() as connection:
        connection.execute(api_keys.insert(), row)
    return ApiKey(key_id, name, tuple(kept), now, expires_at, None), f"ll_{key_id}_{secret}"


def list_keys(store: ScoreStore) -> list[ApiKey]:
    """Return all keys, the oldest first, also those that open nothing any more."""
    with store.reading() as connection:
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
        rows = [] if connection is None else connection.execute(query).all()
    return [_key(row) for row in rows]


def end_key(store: ScoreStore, key_id: str, *, at: datetime, revoke: bool) -> ApiKey:
    """Revoke a key from an instant on, or let it expire then unless it does sooner."""
    with store.writing() as connection:
        row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
        if row is None:
            raise ApiKeyError(f"there must be a key {key_id!r} to end; there is none. See leadline keys list.")
        ends = {"revoked_at": row.revoked_at or at} if revoke else {"expires_at": min(row.expires_at or at, at)}
        connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(**ends))
        return _key(connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).one())


def verify_key(store: ScoreStore, text: str, *, now: datetime) -> ApiKey | None:
    """Return the active key that a text is, or None; the comparison takes equally long however near a guess is."""
    parts = _KEY.fullmatch(text)
    key_id, secret = parts.groups() if parts else ("", "")
    with store.reading() as connection:
        row = (
            None
            if connection is None
            else connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
        )
    same = hmac.compare_digest(_hash(secret), _NOBODY if row is None else row.secret_hash)
    if row is None or not same:
        return None
    key = _key(row)
    return key if key.state(now) == "active" else None


def find_key(store: ScoreStore, key_id: str, *, now: datetime) -> ApiKey | None:
    """Return a key by its id while it is active: for those who have shown it before."""
    return next((key for key in list_keys(store) if key.key_id == key_id and key.state(now) == "active"), None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(row.key_id, row.name, tuple(row.scopes.split()), row.created_at, row.expires_at, row.revoked_at)
