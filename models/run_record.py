"""What a training run may leave behind: plain data that MLflow can hold, and nothing that runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from features.errors import LeadScoringError

_CODE_SUFFIXES: Final = frozenset({".pkl", ".pickle", ".joblib", ".cloudpickle", ".py", ".pyc", ".so"})
_TEXT_LIMIT: Final = 6000


def code_version() -> str:
    """Return Leadline's version and a digest of the source that a model's numbers hang on."""
    house = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted(path for package in ("features", "models") for path in (house / package).rglob("*.py")):
        digest.update(str(path.relative_to(house)).encode())
        digest.update(path.read_bytes())
    return f"{version('leadline')}+{digest.hexdigest()[:12]}"


class RunRecordError(LeadScoringError):
    """Something handed over for recording is not plain data."""


def require_data(bundle: Path) -> None:
    """Refuse a bundle folder that is empty or holds code, a pickle, a link or an MLflow flavour."""
    files = [path for path in bundle.rglob("*") if not path.is_dir()] if bundle.is_dir() else []
    if not files:
        raise RunRecordError(f"a bundle to record must be a folder with files; {bundle} is none. Save a bundle there")
    for path in files:
        if path.is_symlink() or path.suffix.lower() in _CODE_SUFFIXES or path.name == "MLmodel":
            raise RunRecordError(f"a bundle must be data, never code, a pickle or a link; it holds {path}. Take it out")


def flatten(parameters: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Join nested keys by dots.

    >>> dict(flatten({"model": {"leaves": 7, "extra": {}}, "seed": 1}))
    {'model.leaves': 7, 'model.extra': {}, 'seed': 1}
    """
    for key, value in parameters.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, prefix=f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def shorten(value: Any, *, whole_in: str) -> str:
    """Return a parameter as text of MLflow's length, saying where the whole is if it was cut."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    note = f"... (whole in {whole_in})"
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - len(note)] + note


def json_text(data: Mapping[str, Any], *, default: Callable[[Any], Any] | None = None) -> str:
    """Return data as JSON that every reader understands: NaN and foreign types are refused."""
    try:
        return json.dumps(data, indent=1, allow_nan=False, default=default, ensure_ascii=False) + "\n"
    except (ValueError, TypeError) as error:
        raise RunRecordError(f"what is recorded must be JSON, with null for a missing number: {error}") from error
