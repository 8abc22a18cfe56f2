"""The first load of a bundle happens in a process of its own: a booster that LightGBM cannot read ends that one.

What was tried once is remembered, in this process and under home, by the digest of the manifest and the version of
LightGBM: any other bundle, and any other LightGBM, is tried again.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from models import published
from models.bundle_files import BundleError, BundleFiles

_TIMEOUT_SECONDS: Final = 300.0
_tried: set[str] = set()


def try_first(files: BundleFiles, *, memory: Path | None) -> None:
    """Load the bundle in a child process unless that was done before; raise ``BundleError`` if the child fails."""
    mark = hashlib.sha256(f"{files.digest} lightgbm {version('lightgbm')}".encode()).hexdigest()
    note = None if memory is None else memory / mark
    if mark in _tried or (note is not None and note.is_file()):
        _tried.add(mark)
        return
    # Isolated, and by its path: the child needs nothing but the one file.
    command = [sys.executable, "-I", published.__file__, str(files.folder.absolute())]
    try:
        child = subprocess.run(  # noqa: S603 - our own file
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        why = None if child.returncode == 0 else _why(child.returncode, child.stderr)
    except subprocess.TimeoutExpired:
        why = f"it did not end within {_TIMEOUT_SECONDS:g} seconds"
    if why is not None:
        raise BundleError(
            f"the bundle {files.folder} failed its trial in a process of its own: {why}. The model is not loaded. "
            "Roll back to another version or train again.",
            folder=files.folder,
        )
    _tried.add(mark)
    if note is not None:
        _remember(note)


def _why(code: int, errors: str) -> str:
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    lines = errors.strip().splitlines()
    return lines[-1][:300] if lines else f"it ended with exit code {code}"


def _remember(note: Path) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    except OSError:
        # A home that cannot be written to is tried again by the next process, and works all the same.
        return
