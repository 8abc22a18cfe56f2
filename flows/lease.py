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
from typing import TYPE_CHECKING, Final, TextIO

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
def home_lock(home: Path) -> Iterator[None]:
    """Hold a home for as long as the block runs; raise ``HomeBusyError`` at once if another process holds it.

    A home that was made for it and in which nothing came to lie is gone afterwards.
    """
    is_new = not home.exists()
    home.mkdir(parents=True, exist_ok=True)
    place = home / "lease"
    with _locked(place, home=home) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        try:
            yield
        finally:
            if is_new and list(home.iterdir()) == [place]:
                place.unlink()
                home.rmdir()


@contextmanager
def store_lease(home: Path) -> Iterator[Lease]:
    """Hold the score store of a home that is locked; what is yielded is needed to publish.

    Raises ``LeaseHeldError`` at once if a run from elsewhere is at work.
    """
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


@contextmanager
def lease(home: Path) -> Iterator[Lease]:
    """Hold a home and its score store for as long as the block runs; see ``home_lock`` and ``store_lease``."""
    with home_lock(home), store_lease(home) as held:
        yield held


@contextmanager
def _locked(place: Path, *, home: Path) -> Iterator[TextIO]:
    with place.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise HomeBusyError(home=home, holder=file.read()) from error
        if not place.exists() or os.fstat(file.fileno()).st_ino != place.stat().st_ino:
            # The one that held it before has just taken its home away.
            raise HomeBusyError(home=home, holder="")
        yield file


def _beat(store: ScoreStore, held: Lease, done: threading.Event) -> None:
    """Renew the lease until the block is done or another run has it; a store that is away may come back."""
    from serving.store import StoreError

    while not done.wait(_HEARTBEAT_SECONDS):
        try:
            if not store.renew_lease(held, now=datetime.now(UTC), seconds=SILENT_SECONDS):
                return
        except StoreError:
            continue
