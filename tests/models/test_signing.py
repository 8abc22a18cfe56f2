from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from models.signing import SignatureError, Trust, sign, verify
from tests.models.keys import make_keys

KEYS = make_keys()


def test_a_signature_holds_for_its_content_alone() -> None:
    signature = sign(b"manifest", private_key=KEYS.private)

    verify(b"manifest", signature, public_key=KEYS.public)
    with pytest.raises(SignatureError, match="was changed after it"):
        verify(b"manifesto", signature, public_key=KEYS.public)


@pytest.mark.parametrize(
    "changed",
    [
        {"algorithm": "none"},
        {"signature": ""},
        {"signature": "AAAA"},
        {"signature": "not base64!"},
        {"signature": None},
        {"key": "0" * 16},
        {"more": 1},
    ],
)
def test_a_signature_that_was_tampered_with_is_refused(changed: dict[str, object]) -> None:
    signature = {**sign(b"manifest", private_key=KEYS.private), **changed}

    with pytest.raises(SignatureError):
        verify(b"manifest", signature, public_key=KEYS.public)


def test_keys_of_another_kind_are_refused() -> None:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    for pem in (private, b"", b"garbage", KEYS.public):
        with pytest.raises(SignatureError, match="must be an Ed25519 private key"):
            sign(b"manifest", private_key=pem)
    for pem in (public, b"", b"garbage", KEYS.private):
        with pytest.raises(SignatureError, match="must name an Ed25519 public key"):
            verify(b"manifest", sign(b"manifest", private_key=KEYS.private), public_key=pem)


def test_a_demand_without_a_key_is_refused() -> None:
    with pytest.raises(SignatureError, match="needs a public key"):
        Trust(required=True)
