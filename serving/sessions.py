"""Who is signed in to the pages: a random token in a cookie stands for a key for some hours."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

HOURS: Final = 8
_MOST: Final = 1_000


@dataclass(frozen=True)
class Session:
    """One signed-in browser; ``form_token`` must come with every form that it sends."""

    key_id: str
    form_token: str
    ends_at: datetime


class Sessions:
    """The sessions of one process; a restart signs everybody out."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._held: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, key_id: str) -> str:
        """Return a new token for a key; the oldest session makes room for it where there are too many."""
        token = secrets.token_urlsafe(32)
        session = Session(key_id, secrets.token_urlsafe(32), self._clock() + timedelta(hours=HOURS))
        with self._lock:
            self._held[token] = session
            if len(self._held) > _MOST:
                self._held.popitem(last=False)
        return token

    def find(self, token: str) -> Session | None:
        """Return the session of a token, if it has not ended."""
        with self._lock:
            session = self._held.get(token)
        return session if session is not None and session.ends_at > self._clock() else None

    def end(self, token: str, form_token: str) -> bool:
        """End a session if the form was ours; say whether it was."""
        session = self.find(token)
        if session is None or not hmac.compare_digest(session.form_token.encode(), form_token.encode()):
            return False
        with self._lock:
            self._held.pop(token, None)
        return True
