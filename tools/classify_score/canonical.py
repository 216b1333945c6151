"""The canonical form a second time, byte by byte from the description of the rules and from nothing else."""

from __future__ import annotations

_NAME = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$")
_LETTER_BEHIND = _NAME | frozenset(range(128, 256))  # letters of other alphabets are letters
_DIGITS = frozenset(b"0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_BEFORE_SIGN = frozenset(b"+-*/%&|^=<>(,")


def _end_of_quoted(sql: bytes, i: int, escapes: bool) -> int | None:
    quote = sql[i]
    i += 1
    while i < len(sql):
        if escapes and sql[i] == 0x5C:
            i += 2
        elif sql[i] == quote:
            if sql[i + 1 : i + 2] != bytes([quote]):
                return i + 1
            i += 2
        else:
            i += 1
    return None


def _end_of_number(sql: bytes, i: int) -> int | None:
    """Behind the number at `i`; None if these digits are (the beginning of) a name."""
    j = i
    if sql[i] == 0x30 and sql[i + 1 : i + 2] in (b"x", b"X"):
        j = i + 2
        while j < len(sql) and sql[j] in _HEX:
            j += 1
        return None if j == i + 2 or (j < len(sql) and sql[j] in _LETTER_BEHIND) else j
    while j < len(sql) and (sql[j] in _DIGITS or (sql[j] == 0x2E and sql[j + 1 : j + 2] != b".")):
        j += 1
    if sql[j : j + 1] in (b"e", b"E"):
        k = j + 1
        if sql[k : k + 1] in (b"+", b"-"):
            k += 1
        if k < len(sql) and sql[k] in _DIGITS:
            while k < len(sql) and sql[k] in _DIGITS:
                k += 1
            j = k
    if j < len(sql) and sql[j] in _LETTER_BEHIND:
        # a letter is glued to it: the number, if any, is what stands before the first dot
        dot = sql.find(b".", i, j)
        return dot if dot > i else None
    return j


def _sign_is_absorbed(out: bytearray) -> bool:
    if not out or out[-1] not in b"+-":
        return False
    j = len(out) - 2
    while j >= 0 and out[j] <= 0x20:
        j -= 1
    return j >= 0 and out[j] in _BEFORE_SIGN


def canonical(sql: bytes) -> bytes:
    """Every literal becomes `?`, comments go."""
    out = bytearray()
    i = 0
    while i < len(sql):
        c = sql[i]
        two = sql[i : i + 2]
        if c in b"'\"" or c == 0x60:
            end = _end_of_quoted(sql, i, c != 0x60)
            if end is None:
                return bytes(out + sql[i:])
            out += sql[i:end] if c == 0x60 else b"?"
            i = end
        elif two == b"/*" and sql[i + 2 : i + 3] in (b"!", b"M"):
            out += sql[i : i + 3]
            i += 3
        elif sql[i : i + 4] == b"/**/":
            out += b" "
            i += 4
        elif two == b"/*":
            end = sql.find(b"*/", i + 2)
            i = len(sql) if end < 0 else end + 2
        elif c == 0x23 or sql[i : i + 3] == b"-- ":
            end = sql.find(b"\n", i)
            i = len(sql) if end < 0 else end
        elif c in _DIGITS and i > 0 and not (out and out[-1] in _NAME):
            end = _end_of_number(sql, i)
            if end is None:
                out.append(c)
                i += 1
            else:
                if _sign_is_absorbed(out):
                    del out[-1]
                out += b"?"
                i = end
        else:
            out.append(c)
            i += 1
    return bytes(out)
