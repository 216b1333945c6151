"""The canonical form of a statement and its 64-bit hash, written into a scratch buffer that is reused.

Literals become `?`, comments go. The form is idempotent. Where two statements of one canonical form could
be read differently by the server, `ambiguous` is set and the form must not be used as a key.
"""

from __future__ import annotations

from fairlead.sql.tokens import CLASSES

_MULTIPLIER = 0x9E3779B97F4A7C15
_SCRATCH_KEPT = 1 << 20
_MASK64 = 0xFFFFFFFFFFFFFFFF


def _digest_classes() -> bytes:
    classes = bytearray(256)
    for group, characters in enumerate(("0123456789", "'\"", "`", "/", "#", "-"), 1):
        for character in characters:
            classes[ord(character)] = group
    return bytes(classes)


def _sign_context() -> bytes:
    table = bytearray(256)
    for character in "+-*/%&|^=<>(,":
        table[ord(character)] = 1
    return bytes(table)


_ACTIONS = _digest_classes()
_BEFORE_SIGN = _sign_context()


class Digest:
    """`run` leaves the canonical form in `scratch[:length]`, its `hash`, and whether it is `ambiguous`."""

    def __init__(self) -> None:
        self.scratch = bytearray(4096)
        self.length = 0
        self.hash = 0
        self.ambiguous = False
        # While this is a list, `run` puts in where each literal was: (position of its `?` in the form, the
        # sign that went with it or 0, begin and end of the rest of it in the text).
        self.spans: list[tuple[int, int, int, int]] | None = None

    def canonical(self) -> bytes:
        """The canonical form as an object of its own."""
        return bytes(self.scratch[: self.length])

    def shrink(self) -> None:
        """Give back the memory that an unusually long statement needed."""
        if len(self.scratch) > _SCRATCH_KEPT:
            self.scratch = bytearray(_SCRATCH_KEPT)

    def run(self, buf: bytearray, start: int, end: int, ansi: bool, no_escapes: bool, seed: int) -> int:
        """Canonicalise `buf[start:end]`; `seed` keeps forms of different reading modes apart. Returns the
        length."""
        if end - start > len(self.scratch):
            self.scratch = bytearray((end - start) * 2)
        p = buf
        out = self.scratch
        actions = _ACTIONS
        names = CLASSES
        i = start
        n = 0
        joined = -1
        ambiguous = False
        noted = self.spans is not None
        self.ambiguous = False
        while i < end:
            c = p[i]
            action = actions[c]
            if n == joined and n > 0:
                n = self._keep_apart(out, n, c)
                joined = -1
            if action == 0:
                out[n] = c
                n += 1
                i += 1
                while i < end and actions[p[i]] == 0:
                    out[n] = p[i]
                    n += 1
                    i += 1
            elif action == 1:
                before = out[n - 1] if n > 0 else 0
                if i == start or (before < 128 and (names[before] == 2 or names[before] == 3)):
                    out[n] = c
                    n += 1
                    i += 1
                    continue
                if before >= 128:
                    ambiguous = True
                j = self._number(p, i, end)
                if j == i:
                    out[n] = c
                    n += 1
                    i += 1
                    continue
                sign = 0
                if n > 1 and (before == 43 or before == 45):
                    j2 = n - 2
                    while j2 >= 0 and out[j2] <= 32:
                        j2 -= 1
                    if j2 >= 0 and _BEFORE_SIGN[out[j2]]:
                        n -= 1
                        sign = before
                if noted:
                    self.note(n, sign, i, j)
                out[n] = 63
                n += 1
                i = j
            elif action == 2:
                plain = no_escapes or (ansi and c == 34)
                j = self._string(p, i, end, plain)
                if j < 0 or (ansi and c == 34):
                    if j < 0:
                        j = end
                    while i < j:
                        out[n] = p[i]
                        n += 1
                        i += 1
                else:
                    if noted:
                        self.note(n, 0, i, j)
                    out[n] = 63
                    n += 1
                    i = j
            elif action == 3:
                j = self._string(p, i, end, True)
                if j < 0:
                    j = end
                while i < j:
                    out[n] = p[i]
                    n += 1
                    i += 1
            elif action == 4 and i + 1 < end and p[i + 1] == 42:
                if i + 2 < end and (p[i + 2] == 33 or p[i + 2] == 77):
                    j = i + 3
                    if p[i + 2] == 77:
                        if j < end and p[j] == 33:
                            j += 1
                        else:
                            ambiguous = True  # a comment after all
                    if j < end and names[p[j]] == 3:
                        ambiguous = True  # the form hides a version
                    out[n] = c
                    out[n + 1] = 42
                    out[n + 2] = p[i + 2]
                    n += 3
                    i += 3
                elif i + 3 < end and p[i + 2] == 42 and p[i + 3] == 47:
                    n = self._keep_apart(out, n, 32)
                    out[n] = 32
                    n += 1
                    i += 4
                else:
                    i += 2
                    while i + 1 < end and not (p[i] == 42 and p[i + 1] == 47):
                        i += 1
                    i = i + 2 if i + 1 < end else end
                    joined = n
            elif action == 5 or (action == 6 and i + 2 < end and p[i + 1] == 45 and p[i + 2] == 32):
                while i < end and p[i] != 10:
                    i += 1
                joined = n
            else:
                if action == 6 and i + 1 < end and p[i + 1] == 45:
                    if i + 2 >= end or p[i + 2] < 32 or p[i + 2] == 127:
                        ambiguous = True
                out[n] = c
                n += 1
                i += 1
        self.length = n
        if ambiguous:
            self.ambiguous = True
        self.hash = self._hash(out, n, seed)
        return n

    def note(self, position: int, sign: int, begin: int, end: int) -> None:
        """Remember where a literal was; `sign`: the character in front that went with it or 0."""
        if self.spans is not None:
            self.spans.append((position, sign, begin, end))

    def _keep_apart(self, out: bytearray, n: int, c: int) -> int:
        """A comment went before `c`: make sure that what now meets does not read as the start of a new
        comment."""
        if n > 0 and out[n - 1] == 47 and c == 42:
            out[n] = 32
            return n + 1
        if n == 0 or out[n - 1] != 45 or (c != 45 and c != 32):
            return n
        if n > 1 and out[n - 2] == 45:
            n = self._part_dashes(out, n)
        if c == 45:
            out[n] = 32
            n += 1
        return n

    def _part_dashes(self, out: bytearray, n: int) -> int:
        """The form ends with several dashes and a blank will follow: part them, or they begin a comment."""
        if n > 2 and out[n - 3] == 45:
            # There is no room to part all of them: every second one goes.
            self.ambiguous = True
            j = n - 2
            while j >= 0 and out[j] == 45:
                out[j] = 32
                j -= 2 if j > 0 and out[j - 1] == 45 else n
            return n
        out[n - 1] = 32
        out[n] = 45
        return n + 1

    def _number(self, p: bytearray, i: int, end: int) -> int:
        """Position behind the number at `i`; `i` itself if these digits begin an identifier."""
        names = CLASSES
        j = i
        dot = i  # where the number ends if what follows the dot turns out to be a name
        if p[i] == 48 and i + 2 < end and p[i + 1] | 32 == 120:
            j = i + 2
            while j < end and (names[p[j]] == 3 or 97 <= p[j] | 32 <= 102):
                j += 1
            if j == i + 2:
                return i
        else:
            while j < end and (names[p[j]] == 3 or (p[j] == 46 and (j + 1 >= end or p[j + 1] != 46))):
                if p[j] == 46 and dot == i:
                    dot = j
                j += 1
            if j + 1 < end and p[j] | 32 == 101:
                k = j + 1
                if k + 1 < end and (p[k] == 43 or p[k] == 45):
                    k += 1
                if names[p[k]] == 3:
                    while k < end and names[p[k]] == 3:
                        k += 1
                    j = k
        if j < end and (names[p[j]] == 2 or names[p[j]] == 3):
            return dot
        return j

    def _string(self, p: bytearray, i: int, end: int, plain: bool) -> int:
        """Position behind the quoted text at `i`, -1 if it never ends."""
        quote = p[i]
        i += 1
        while i < end:
            c = p[i]
            if c == quote:
                if i + 1 < end and p[i + 1] == quote:
                    i += 2
                    continue
                return i + 1
            if c == 92 and not plain:
                i += 1
            i += 1
        return -1

    def _hash(self, out: bytearray, n: int, seed: int) -> int:
        h = (((seed << 48) + n + 1) * _MULTIPLIER) & _MASK64
        i = 0
        while i + 8 <= n:
            w = out[i + 7]
            w = (w << 8) | out[i + 6]
            w = (w << 8) | out[i + 5]
            w = (w << 8) | out[i + 4]
            w = (w << 8) | out[i + 3]
            w = (w << 8) | out[i + 2]
            w = (w << 8) | out[i + 1]
            w = (w << 8) | out[i]
            h = ((h ^ w) * _MULTIPLIER) & _MASK64
            h ^= h >> 32
            i += 8
        w = 0
        while i < n:
            w = (w << 8) | out[i]
            i += 1
        h = ((h ^ w) * _MULTIPLIER) & _MASK64
        return h ^ (h >> 29)
