"""A bundle's files as they lie on disk: read once each, without following links, and only if their digests hold."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from features.errors import LeadScoringError
from models.signing import SIGNATURE, SignatureError, Trust, verify

FORMAT: Final = 2
DATA: Final = "bundle.json"
CONTRACT: Final = "contract.json"
BOOSTER: Final = "booster.txt"
EVALUATION: Final = "evaluation.json"
ENVIRONMENT: Final = "environment.json"
PROBE: Final = "probe.json"
MANIFEST: Final = "manifest.json"
FILES: Final[Mapping[int, frozenset[str]]] = {
    1: frozenset({DATA, BOOSTER, EVALUATION}),
    2: frozenset({DATA, CONTRACT, BOOSTER, EVALUATION, ENVIRONMENT, PROBE}),
}
"""Which files each format has, besides the manifest and its signature; older formats are still read."""

_MOST_BYTES: Final = 512 * 1024**2
_WAY_OUT: Final = "Roll back to another version or train again."


class BundleError(LeadScoringError):
    """A bundle is missing, incomplete, damaged, tampered with or of another format; ``folder`` is where it lies."""

    def __init__(self, message: str, *, folder: Path) -> None:
        self.folder = folder
        super().__init__(message)


@dataclass(frozen=True)
class BundleFiles:
    """What lay in a bundle's folder. ``version`` is the name in the manifest, empty in format 1."""

    folder: Path
    format: int
    version: str
    contents: Mapping[str, bytes]
    digest: str

    def text(self, name: str) -> str:
        """Return a file as text."""
        try:
            return self.contents[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(
                f"{self.folder / name} must be UTF-8 text, and is none. {_WAY_OUT}", folder=self.folder
            ) from error

    def json(self, name: str) -> dict[str, Any]:
        """Return a file that must hold a JSON object."""
        return _parse(self.folder, name, self.contents[name])


def manifest_of(contents: Mapping[str, bytes], *, version: str) -> bytes:
    """Return the manifest of a bundle with these files."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return dump({"format": FORMAT, "version": version, "sha256": digests}).encode()


def dump(plain: Mapping[str, Any]) -> str:
    """Return data as JSON whose bytes depend on nothing but the data; NaN and infinities are refused."""
    return json.dumps(plain, indent=1, sort_keys=True, allow_nan=False)


def read_files(folder: Path, *, trust: Trust) -> BundleFiles:
    """Read all files of a bundle; a name, digest or signature that does not hold raises ``BundleError``."""
    if folder.is_symlink():
        raise BundleError(f"{folder} must be a folder, and is a link; put the folder itself there.", folder=folder)
    written = _read(folder, MANIFEST)
    manifest = _parse(folder, MANIFEST, written)
    number = manifest.get("format")
    if type(number) is not int or number not in FILES:
        raise BundleError(
            f"the bundle {folder} has format {number!r}, this version reads {', '.join(map(str, FILES))}; train again.",
            folder=folder,
        )
    digests, version = manifest.get("sha256"), manifest.get("version", "")
    wanted = {"format", "sha256"} | ({"version"} if number > 1 else set())
    if set(manifest) != wanted or not isinstance(digests, dict) or not isinstance(version, str):
        raise BundleError(
            f"{folder / MANIFEST} must hold {', '.join(sorted(wanted))} and nothing else. {_WAY_OUT}", folder=folder
        )
    if set(digests) != FILES[number]:
        raise BundleError(
            f"the manifest of the bundle {folder} does not list the files of format {number}: "
            f"{', '.join(sorted(FILES[number]))}. {_WAY_OUT}",
            folder=folder,
        )
    strangers = {path.name for path in folder.iterdir()} - FILES[number] - {MANIFEST, SIGNATURE}
    if strangers:
        raise BundleError(
            f"the bundle {folder} must hold its own files alone; take {', '.join(sorted(strangers))!r} out.",
            folder=folder,
        )
    _check_signature(folder, written, trust=trust)
    contents = {}
    for name, digest in digests.items():
        contents[name] = _read(folder, name)
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise BundleError(
                f"{folder / name} is not the file that was saved; the model is not loaded. {_WAY_OUT}", folder=folder
            )
    return BundleFiles(
        folder=folder,
        format=number,
        version=version,
        contents=contents,
        digest=hashlib.sha256(written).hexdigest(),
    )


def _check_signature(folder: Path, manifest: bytes, *, trust: Trust) -> None:
    signed = (folder / SIGNATURE).exists() or (folder / SIGNATURE).is_symlink()
    if not signed and trust.required:
        raise BundleError(
            f"the bundle {folder} must be signed, and is not; train again with the signing key, or set "
            "signing.required to false.",
            folder=folder,
        )
    if signed and trust.public_key is not None:
        try:
            verify(manifest, _parse(folder, SIGNATURE, _read(folder, SIGNATURE)), public_key=trust.public_key)
        except SignatureError as error:
            raise BundleError(f"{folder / SIGNATURE}: {error} {_WAY_OUT}", folder=folder) from error


def _read(folder: Path, name: str) -> bytes:
    """Read a plain file; a link, a folder, a pipe or a monstrous file is refused before a byte of it is read."""
    path = folder / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror}); the model is not loaded. {_WAY_OUT}", folder=folder
        ) from error
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_BYTES:
        os.close(descriptor)
        raise BundleError(
            f"{path} must be a file of at most {_MOST_BYTES:,} bytes; the model is not loaded. {_WAY_OUT}",
            folder=folder,
        )
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _parse(folder: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(
            content.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_without_twins,
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{folder / name} cannot be read as JSON ({error}). {_WAY_OUT}", folder=folder) from error
    if not isinstance(parsed, dict):
        raise BundleError(f"{folder / name} must hold a JSON object. {_WAY_OUT}", folder=folder)
    return parsed


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large for a number")
    return number


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found
