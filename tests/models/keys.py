"""Ed25519 keys for tests, in PEM."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class Keys:
    """A pair."""

    private: bytes
    public: bytes


def make_keys() -> Keys:
    key = Ed25519PrivateKey.generate()
    return Keys(
        private=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        public=key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )
