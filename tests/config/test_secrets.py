"""The key file and encrypted passwords."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config import secrets

KEY = bytes(range(32))


def test_key_file(tmp_path: Path) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    path = secrets.create_key(tmp_path, user)
    assert path == tmp_path / ".secrets"
    assert path.stat().st_mode & 0o777 == 0o400
    content = json.loads(path.read_text())
    assert set(content) == {"description", "maxscale_version", "encryption_cipher", "encryption_key"}
    assert secrets.load_key(tmp_path) == bytes.fromhex(content["encryption_key"])
    with pytest.raises(secrets.SecretsError, match="exists already"):
        secrets.create_key(tmp_path)


def test_unknown_user(tmp_path: Path) -> None:
    with pytest.raises(secrets.SecretsError, match="no user"):
        secrets.create_key(tmp_path, "nobody-of-this-name")
    assert not list(tmp_path.iterdir())


def test_round_trip(tmp_path: Path) -> None:
    secrets.create_key(tmp_path)
    text = secrets.encrypt(tmp_path, "pässword")
    assert text == text.upper() and len(text) == 2 * (16 + 16)
    assert text != secrets.encrypt(tmp_path, "pässword")
    assert secrets.decrypt(tmp_path, text) == "pässword"
    with pytest.raises(secrets.SecretsError, match="not encrypted"):
        secrets.decrypt(tmp_path, "plain")


def test_without_key(tmp_path: Path) -> None:
    assert secrets.load_key(tmp_path) is None
    with pytest.raises(secrets.SecretsError, match="fairlead keys"):
        secrets.encrypt(tmp_path, "x")


@pytest.mark.parametrize(
    ("mode", "content", "words"),
    [
        (0o600, None, "mode 0600"),
        (0o400, "binary", "not a key file"),
        (0o400, "[]", "not a key file"),
        (0o400, '{"encryption_cipher": "rot13", "encryption_key": "00"}', "rot13"),
        (0o400, '{"encryption_cipher": "EVP_aes_256_cbc", "encryption_key": "00"}', "no valid key"),
    ],
)
def test_unusable_key_files(tmp_path: Path, mode: int, content: str | None, words: str) -> None:
    path = secrets.create_key(tmp_path)
    os.chmod(path, 0o600)
    if content is not None:
        path.write_text(content)
    os.chmod(path, mode)
    with pytest.raises(secrets.SecretsError, match=words):
        secrets.load_key(tmp_path)


@given(st.text())
def test_any_text_can_be_encrypted(text: str) -> None:
    assert secrets.decrypt_with(KEY, secrets.encrypt_with(KEY, text)) == text


@pytest.mark.parametrize("text", ["plain", "ABCDEF", "", "00" * 32, "0" * 33, "zz"])
def test_what_is_not_encrypted_stays(text: str) -> None:
    assert secrets.reveal(KEY, text) == text
    assert secrets.reveal(None, secrets.encrypt_with(KEY, text)) != text


def test_another_key_reveals_nothing() -> None:
    text = secrets.encrypt_with(KEY, "secret")
    assert secrets.reveal(bytes(32), text) != "secret"
    assert secrets.reveal(KEY, text) == "secret"
