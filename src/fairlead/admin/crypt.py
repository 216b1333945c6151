"""SHA512-crypt (`$6$`), the format of the passwords in the users file: pure functions of text.

Source: the published specification "Unix crypt using SHA-256 and SHA-512".
"""

from __future__ import annotations

import hashlib
import hmac

PREFIX = "$6$"
_DEFAULT_ROUNDS = 5000
_MIN_ROUNDS, _MAX_ROUNDS = 1000, 999_999_999
_SALT_CHARS_MAX = 16
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGEST = 64
# A hash in the file that asks for more rounds than this is not computed: it would block logins for seconds.
ROUNDS_ACCEPTED_MAX = 200_000


def sha512_crypt(password: str, setting: str) -> str:
    """The hash of a password; `setting` is `$6$salt`, `$6$rounds=N$salt` or a whole hash."""
    salt, rounds, head = _parse(setting)
    key = password.encode()
    digest = _rounds(key, salt, rounds)
    return f"{head}${_encode(digest)}"


def verify(password: str, stored: str) -> bool:
    """Whether this is the password that was hashed. A hash of another kind never matches."""
    try:
        return hmac.compare_digest(sha512_crypt(password, stored).encode(), stored.encode())
    except ValueError:
        return False


def _parse(setting: str) -> tuple[bytes, int, str]:
    if not setting.startswith(PREFIX):
        raise ValueError("not a SHA512-crypt hash")
    rest = setting[len(PREFIX) :]
    rounds, stated = _DEFAULT_ROUNDS, ""
    if rest.startswith("rounds="):
        number, dollar, rest = rest[len("rounds=") :].partition("$")
        if not dollar or not number.isascii() or not number.isdigit():
            raise ValueError("the number of rounds is not a number")
        rounds = min(max(int(number), _MIN_ROUNDS), _MAX_ROUNDS)
        stated = f"rounds={rounds}$"
    if rounds > ROUNDS_ACCEPTED_MAX:
        raise ValueError(f"more than {ROUNDS_ACCEPTED_MAX} rounds")
    salt = rest.partition("$")[0].encode()[:_SALT_CHARS_MAX]
    return salt, rounds, f"{PREFIX}{stated}{salt.decode(errors='ignore')}"


def _repeat(block: bytes, length: int) -> bytes:
    return (block * (length // _DIGEST + 1))[:length]


def _rounds(key: bytes, salt: bytes, rounds: int) -> bytes:
    sha512 = hashlib.sha512
    length = len(key)
    inner = sha512(key + salt + key).digest()
    first = key + salt + _repeat(inner, length)
    bits = length
    while bits:
        first += inner if bits & 1 else key
        bits >>= 1
    digest = sha512(first).digest()
    key_sequence = _repeat(sha512(key * length).digest(), length)
    salt_sequence = _repeat(sha512(salt * (16 + digest[0])).digest(), len(salt))
    # What surrounds the digest depends on the round's parity and its remainders by 3 and 7: 42 cases.
    plans = []
    for number in range(42):
        middle = (salt_sequence if number % 3 else b"") + (key_sequence if number % 7 else b"")
        plans.append((key_sequence + middle, b"") if number & 1 else (b"", middle + key_sequence))
    for number in range(rounds):
        before, after = plans[number % 42]
        digest = sha512(before + digest + after).digest()
    return digest


def _encode(digest: bytes) -> str:
    a, b, c = 0, 21, 42
    text = []
    for _ in range(21):
        text.append(_base64(digest[a] << 16 | digest[b] << 8 | digest[c], 4))
        a, b, c = b + 1, c + 1, a + 1
    text.append(_base64(digest[63], 2))
    return "".join(text)


def _base64(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> shift & 0x3F] for shift in range(0, 6 * count, 6))
