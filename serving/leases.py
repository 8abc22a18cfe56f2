"""Who may publish: one row in the store, whose token grows with every holder and is checked when a batch is kept.

A holder that was stopped and comes back finds a token greater than its own, and what it publishes is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from serving.database import StoreBusyError, StoreError
from serving.schema import leases

_PUBLISH: Final = "publish"


class LeaseHeldError(StoreBusyError):
    """Another run holds the right to publish; the same call works once that run has ended."""


class LeaseLostError(StoreError):
    """This run was taken for dead and another one took over; what it made must not be published."""


@dataclass(frozen=True)
class Lease:
    """The right to publish; ``token`` is greater than that of every holder before."""

    token: int
    holder: str


def acquire(
    connection: Connection, *, holder: str, now: datetime, seconds: float, known_dead: str | None = None
) -> Lease:
    """Take the lease until ``now`` plus ``seconds``, where it is free, has run out, or was held by ``known_dead...``.

    ``known_dead`` is how the names of holders begin that cannot be alive. Needs a writing transaction.
    """
    row = connection.execute(select(leases).where(leases.c.name == _PUBLISH)).one_or_none()
    until = now + timedelta(seconds=seconds)
    if row is None:
        connection.execute(leases.insert(), {"name": _PUBLISH, "token": 1, "holder": holder, "expires_at": until})
        return Lease(1, holder)
    dead = known_dead is not None and row.holder is not None and row.holder.startswith(known_dead)
    if row.holder is not None and row.expires_at > now and not dead:
        raise LeaseHeldError(
            f"one run may publish at a time; {row.holder} has been at it and last said so less than {seconds:g} s ago. "
            "Wait until it has ended, then repeat this one."
        )
    connection.execute(
        update(leases).where(leases.c.name == _PUBLISH).values(token=row.token + 1, holder=holder, expires_at=until)
    )
    return Lease(row.token + 1, holder)


def renew(connection: Connection, lease: Lease, *, now: datetime, seconds: float) -> bool:
    """Say that the holder is alive; return False where another one has taken over."""
    done = connection.execute(
        update(leases)
        .where(leases.c.name == _PUBLISH, leases.c.token == lease.token, leases.c.holder == lease.holder)
        .values(expires_at=now + timedelta(seconds=seconds))
    )
    return done.rowcount == 1


def release(connection: Connection, lease: Lease) -> None:
    """Give the lease back; the token stays, so that the next one is greater."""
    connection.execute(
        update(leases)
        .where(leases.c.name == _PUBLISH, leases.c.token == lease.token, leases.c.holder == lease.holder)
        .values(holder=None, expires_at=None)
    )


def check(connection: Connection, lease: Lease) -> None:
    """Raise ``LeaseLostError`` unless the lease is still this one. Needs a writing transaction, until its end."""
    found = connection.execute(select(leases.c.token, leases.c.holder).where(leases.c.name == _PUBLISH)).one_or_none()
    if found is None or (found.token, found.holder) != (lease.token, lease.holder):
        now = "nobody" if found is None or found.holder is None else f"{found.holder} (token {found.token})"
        raise LeaseLostError(
            f"{lease.holder} must still hold the lease (token {lease.token}) to publish; {now} holds it. It was "
            "silent for too long and another run took over; nothing of it was published."
        )
