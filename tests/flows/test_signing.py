"""Signed models from the configuration on: who made the model that scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.config_file import ConfigurationError
from flows.settings import load_settings
from flows.wiring import make_workplace
from tests.flows.commands import TINY, Installed, leadline, leadline_json, write_config
from tests.models.keys import Keys, make_keys


def write_keys(folder: Path, keys: Keys) -> None:
    (folder / "key.pem").write_bytes(keys.private)
    (folder / "key.pub").write_bytes(keys.public)


def demanding(folder: Path) -> Path:
    return write_config(
        folder, f"{TINY}signing: {{private_key: key.pem, public_key: key.pub, required: true}}\nquestions: [deals]\n"
    )


def bundle_folder(home: Path) -> Path:
    return next(path.parent for path in (home / "registry" / "artifacts" / "deals").rglob("manifest.json"))


def test_a_model_trained_with_the_key_scores_and_a_tampered_one_does_not(tmp_path: Path) -> None:
    keys = make_keys()
    write_keys(tmp_path, keys)
    config, home = demanding(tmp_path), tmp_path / "home"

    leadline_json("run", "--config", config, "--home", home)

    folder = bundle_folder(home)
    assert set(json.loads((folder / "signature.json").read_text())) == {"algorithm", "key", "signature"}
    assert keys.private not in b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    (folder / "evaluation.json").write_text("{}")
    refused = leadline("score", "--config", config, "--home", home)
    assert refused.exit_code == 1
    assert "evaluation.json is not the file that was saved; the model is not loaded" in refused.stderr


def test_an_unsigned_model_does_not_score_where_a_signature_is_demanded(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)
    write_keys(tmp_path, make_keys())

    refused = leadline("score", "--config", demanding(tmp_path), "--home", own.home)

    assert refused.exit_code == 1
    assert "must be signed, and is not; train again with the signing key" in refused.stderr


def test_the_key_of_the_environment_goes_before_that_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_keys(tmp_path, make_keys())
    config = demanding(tmp_path)
    other = make_keys()

    assert _key(config) == (tmp_path / "key.pem").read_bytes()
    monkeypatch.setenv("LEADLINE_SIGNING_KEY", other.private.decode())
    assert _key(config) == other.private
    assert other.private.decode() not in repr(make_workplace(config=config, data=None, home=tmp_path))


def _key(config: Path) -> bytes:
    key = make_workplace(config=config, data=None, home=config.parent).signing_key
    assert key is not None
    return key.get_secret_value()


def test_a_public_key_that_is_not_there_is_bad_configuration(tmp_path: Path) -> None:
    result = leadline("run", "--config", demanding(tmp_path), "--home", tmp_path / "home")

    assert result.exit_code == 2
    assert "'signing.public_key' must name a PEM file" in result.stderr


def test_who_only_scores_needs_no_private_key(tmp_path: Path) -> None:
    write_keys(tmp_path, make_keys())
    config = demanding(tmp_path)
    (tmp_path / "key.pem").unlink()

    workplace = make_workplace(config=config, data=None, home=tmp_path)

    assert workplace.trust.public_key == (tmp_path / "key.pub").read_bytes()
    with pytest.raises(ConfigurationError, match=r"'signing\.private_key' must name a PEM file"):
        workplace.signing_key  # noqa: B018 - reading it is what fails


def test_a_demanded_signature_needs_a_public_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"signing\.required needs signing\.public_key"):
        load_settings(write_config(tmp_path, "signing: {required: true}\n"))
