"""One run at a time: in a home by a lock of the kernel, in a score store by a lease with a fencing token.

The kernel frees the lock of a run that was killed, so in the same home the next one takes over at once. A store may be
shared by homes on several machines: there a run that falls silent is taken over, and finds its token outdated.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.errors import LeadScoringError
from flows.places import store_of

if TYPE_CHECKING:
    from serving.store import Lease, ScoreStore

SILENT_SECONDS: Final = 180.0
_HEARTBEAT_SECONDS: Final = 30.0


class HomeBusyError(LeadScoringError):
    """Another run is at work in this home."""

    def __init__(self, *, home: Path, holder: str) -> None:
        self.home = home
        self.holder = holder
        super().__init__(
            f"one run may work in {home} at a time; {holder or 'another one'} is at it. "
            "Wait until it has ended, then repeat this one."
        )


@contextmanager
def lease(home: Path) -> Iterator[Lease]:
    """Hold a home and its score store for as long as the block runs; what is yielded is needed to publish.

    Raises ``HomeBusyError`` or ``LeaseHeldError`` at once if another run is at work.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lease").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise HomeBusyError(home=home, holder=file.read()) from error
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        here = f"{socket.gethostname()}:{home.resolve()}:"
        with closing(store_of(home)) as store:
            # We hold the home's lock, so whoever held the store's lease from this home is dead.
            held = store.acquire_lease(
                holder=f"{here}{os.getpid()}", now=datetime.now(UTC), seconds=SILENT_SECONDS, known_dead=here
            )
            done = threading.Event()
            heart = threading.Thread(target=_beat, args=(store, held, done), daemon=True)
            heart.start()
            try:
                yield held
            finally:
                done.set()
                heart.join()
                store.release_lease(held)


def _beat(store: ScoreStore, held: Lease, done: threading.Event) -> None:
    """Renew the lease until the block is done or another run has it; a store that is away may come back."""
    from serving.store import StoreError

    while not done.wait(_HEARTBEAT_SECONDS):
        try:
            if not store.renew_lease(held, now=datetime.now(UTC), seconds=SILENT_SECONDS):
                return
        except StoreError:
            continue
