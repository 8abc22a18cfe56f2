"""One run at a time in a home. The kernel holds the lease, so a run that was killed leaves none behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from features.errors import LeadScoringError


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
def lease(home: Path) -> Iterator[None]:
    """Hold a home for as long as the block runs; raise ``HomeBusyError`` at once if another process holds it.

    A home that was made for it and in which nothing came to lie is gone afterwards.
    """
    is_new = not home.exists()
    home.mkdir(parents=True, exist_ok=True)
    place = home / "lease"
    with _held(place, home=home) as file:
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
def _held(place: Path, *, home: Path) -> Iterator[TextIO]:
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
