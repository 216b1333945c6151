"""mysql_native_password: tokens from passwords, and passwords' hashes from tokens.

Source: MariaDB documentation, "Authentication Plugin - mysql_native_password". Comparisons take constant
time.
"""

from __future__ import annotations

from hashlib import sha1 as _new_sha1
from hmac import compare_digest

# Bytes of a scramble, a token, and a stored hash.
SCRAMBLE_BYTES = 20
_EMPTY = bytearray()


def sha1(data: bytes) -> bytes:
    """SHA1."""
    return _new_sha1(data, usedforsecurity=False).digest()


def xor(left: bytes, right: bytes) -> bytes:
    """Two strings of the same length, bit by bit."""
    size = len(left)
    if len(right) != size:
        raise ValueError("strings of different lengths")
    p, q = left, right
    # Sums copy at a third of the cost of constructors.
    out = _EMPTY + left
    for at in range(size):
        out[at] = p[at] ^ q[at]
    return b"" + out


def password_hash(password: str | bytes) -> bytes:
    """SHA1 of a password: enough to log in with; empty for an empty password."""
    raw = password.encode() if isinstance(password, str) else password
    return sha1(raw) if raw else b""


def native_token(hash1: bytes, scramble: bytes) -> bytes:
    """The token for SHA1(password); empty for no password."""
    if not hash1:
        return b""
    return xor(hash1, sha1(scramble[:SCRAMBLE_BYTES] + sha1(hash1)))


def verify_native(token: bytes, scramble: bytes, stored: bytes) -> bytes | None:
    """SHA1(password) if the token fits the stored SHA1(SHA1(password)), else None. No password: b""."""
    if not stored or not token:
        return b"" if not stored and not token else None
    if len(token) != SCRAMBLE_BYTES or len(stored) != SCRAMBLE_BYTES:
        return None
    hash1 = xor(token, sha1(scramble[:SCRAMBLE_BYTES] + stored))
    return hash1 if compare_digest(sha1(hash1), stored) else None
