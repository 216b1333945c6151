"""Encrypted passwords: the key file `.secrets` and AES-256-CBC values in hexadecimal.

The key file must be readable by its owner and by nobody else; a file with any other mode is refused.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import secrets
import stat
from pathlib import Path

from fairlead import __version__

FILE_NAME = ".secrets"
CIPHER = "EVP_aes_256_cbc"
KEY_BYTES = 32
IV_BYTES = 16
_MODE = 0o400


class SecretsError(ValueError):
    """The key file cannot be made or used, or a text cannot be decrypted."""


def key_path(directory: Path) -> Path:
    """The key file of a directory; a path that names the file itself is taken as it is."""
    return directory if directory.name == FILE_NAME else directory / FILE_NAME


def create_key(directory: Path, user: str | None = None) -> Path:
    """Make a new key file, owned by `user` if one is named; an existing one is never overwritten."""
    path = key_path(directory)
    content = {
        "description": "The key of the passwords in the configuration",
        "maxscale_version": __version__,
        "encryption_cipher": CIPHER,
        "encryption_key": secrets.token_hex(KEY_BYTES),
    }
    try:
        owner = pwd.getpwnam(user) if user else None
    except KeyError:
        raise SecretsError(f"there is no user '{user}' on this machine") from None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SecretsError(f"'{path}' exists already and is not overwritten") from None
    except OSError as error:
        raise SecretsError(f"'{path}' cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=4)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _MODE)
            if owner is not None:
                os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise SecretsError(f"'{path}' cannot be given to '{user}': {error.strerror}") from None
    return path


def load_key(directory: Path) -> bytes | None:
    """The key of a directory, None if there is no key file."""
    path = key_path(directory)
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode != _MODE:
                raise SecretsError(
                    f"'{path}' has mode {mode:04o}; allowed: {_MODE:04o} (readable by its owner only)"
                )
            data = file.read(64 * 1024)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretsError(f"'{path}' cannot be read: {error.strerror}") from None
    return _key_in(data, path)


def _key_in(data: bytes, path: Path) -> bytes:
    try:
        content = json.loads(data)
        cipher, text = content["encryption_cipher"], content["encryption_key"]
    except (ValueError, KeyError, TypeError):
        raise SecretsError(f"'{path}' is not a key file; make a new one with 'fairlead keys'") from None
    if cipher != CIPHER:
        raise SecretsError(f"'{path}' names the cipher '{cipher}'; allowed: {CIPHER}")
    if not isinstance(text, str) or not re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        raise SecretsError(f"'{path}' holds no valid key; allowed: {KEY_BYTES * 2} hexadecimal digits")
    return bytes.fromhex(text)


def _required_key(directory: Path) -> bytes:
    key = load_key(directory)
    if key is None:
        raise SecretsError(f"there is no key file '{key_path(directory)}'; make one with 'fairlead keys'")
    return key


def encrypt_with(key: bytes, text: str) -> str:
    """Upper-case hexadecimal of a random IV and the encrypted text."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    iv = secrets.token_bytes(IV_BYTES)
    padder = PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return (iv + encryptor.update(padded) + encryptor.finalize()).hex().upper()


def decrypt_with(key: bytes, text: str) -> str | None:
    """The text that was encrypted; None if this is not an encrypted text of this key."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text):
        return None
    data = bytes.fromhex(text)
    if len(data) < 2 * IV_BYTES or len(data) % IV_BYTES:
        return None
    decryptor = Cipher(algorithms.AES(key), modes.CBC(data[:IV_BYTES])).decryptor()
    padded = decryptor.update(data[IV_BYTES:]) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    try:
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except ValueError:
        return None


def encrypt(directory: Path, text: str) -> str:
    """Encrypt with the key of a directory."""
    return encrypt_with(_required_key(directory), text)


def decrypt(directory: Path, text: str) -> str:
    """Decrypt with the key of a directory."""
    plain = decrypt_with(_required_key(directory), text)
    if plain is None:
        raise SecretsError("the text was not encrypted with this key")
    return plain


def reveal(key: bytes | None, text: str) -> str:
    """The password that a configuration value stands for: decrypted if it can be, otherwise as it is."""
    if key is None:
        return text
    plain = decrypt_with(key, text)
    return text if plain is None else plain
