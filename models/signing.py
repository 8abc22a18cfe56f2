"""Signatures: who made a bundle, shown by an Ed25519 signature over its manifest and with it over every file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.errors import LeadScoringError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE: Final = "signature.json"
_ALGORITHM: Final = "ed25519"


class SigningSettings(BaseModel):
    """Who vouches for a model. Keys are PEM files, as ``openssl genpkey -algorithm ed25519`` writes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    private_key: Path | None = Field(
        default=None, description="Signs new models; the environment's LEADLINE_SIGNING_KEY goes before it."
    )
    public_key: Path | None = Field(default=None, description="Models signed by another key than this are refused.")
    required: bool = Field(default=False, description="true refuses models without a signature; needs public_key.")

    @model_validator(mode="after")
    def _has_what_it_demands(self) -> SigningSettings:
        if self.required and self.public_key is None:
            raise ValueError("signing.required needs signing.public_key; name the file of the public key")
        return self


class SignatureError(LeadScoringError):
    """A key cannot be used, or a signature does not hold."""


@dataclass(frozen=True)
class Trust:
    """What a bundle must show before it is loaded. ``public_key`` is PEM.

    Without a public key no signature can be checked, so demanding one without a key is an error. ``memory`` is a
    folder that remembers which bundles were tried.
    """

    public_key: bytes | None = None
    required: bool = False
    memory: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.required and self.public_key is None:
            raise SignatureError("a signature that is demanded needs a public key to check it with; none was given.")


ANY_MAKER: Final = Trust()


def sign(content: bytes, *, private_key: bytes) -> dict[str, str]:
    """Return the signature of a content by a private key in PEM, as plain data for JSON."""
    key = _private(private_key)
    return {
        "algorithm": _ALGORITHM,
        "key": fingerprint(key.public_key()),
        "signature": base64.b64encode(key.sign(content)).decode("ascii"),
    }


def verify(content: bytes, signature: Mapping[str, Any], *, public_key: bytes) -> None:
    """Raise ``SignatureError`` unless this is the content's signature by the owner of the public key in PEM."""
    from cryptography.exceptions import InvalidSignature

    key = _public(public_key)
    if set(signature) != {"algorithm", "key", "signature"} or signature["algorithm"] != _ALGORITHM:
        raise SignatureError(f"must hold algorithm ({_ALGORITHM}), key and signature, and holds something else.")
    if signature["key"] != fingerprint(key):
        raise SignatureError(f"is by the key {signature['key']!r}; the trusted one is {fingerprint(key)!r}.")
    try:
        key.verify(base64.b64decode(signature["signature"], validate=True), content)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise SignatureError("is not the signature of this manifest: the bundle was changed after it.") from error


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return a short name of a public key: the beginning of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _private(pem: bytes) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError("the signing key must be an Ed25519 private key in PEM without a password.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError("the signing key must be an Ed25519 private key; this PEM holds another kind.")
    return key


def _public(pem: bytes) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError("signing.public_key must name an Ed25519 public key in PEM.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError("signing.public_key must name an Ed25519 public key; this PEM holds another kind.")
    return key
