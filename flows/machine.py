"""What the machine has, and what runs on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_CONTAINER_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where Linux tells the limit of a container, in its second and first way."""


def machine_memory(*, limits: Sequence[Path] = _CONTAINER_LIMITS) -> int:
    """Return the bytes of memory of the machine, or of the container if that may use less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in limits:
        told = file.read_text(encoding="ascii").strip() if file.is_file() else ""
        # Without a limit it is the word "max", or a number beyond every machine's memory.
        if told.isdigit():
            memory = min(memory, int(told))
    return memory


def is_running(process: int) -> bool:
    """Say whether there is a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
