"""Cuts a statement into tokens, held in flat integer arrays that are reused; it owns no meaning beyond keyword numbers.

The rules are those of the server's own lexer, because a comment or a string that ends elsewhere than the server thinks
is how a write hides inside a read. What cannot be told from the text alone (the version of an executable comment) is
reported, not guessed: the caller reads the statement both ways.
"""

from __future__ import annotations

from array import array

from fairlead.sql.keywords import KEYWORD_MASK, WORDS

T_END = 0
T_WORD = 1
T_QUOTED = 2  # identifier in quotes
T_STRING = 3
T_NUMBER = 4
T_USERVAR = 5  # @name
T_SYSVAR = 6  # the @@ in front of a name
T_ASSIGN = 7  # :=
T_LPAREN = 8
T_RPAREN = 9
T_COMMA = 10
T_DOT = 11
T_SEMI = 12
T_EQ = 13
T_STAR = 14
T_OP = 15
T_PARAM = 16  # ? or, in Oracle mode, :name
T_BAD = 17  # a quote that never ends

LOOKAHEAD = 8  # tokens of kind T_END behind the last one, so that looking ahead needs no check
QUALIFIED_SHIFT = 16  # the keyword number of a word that stands beside a dot, hence is a plain name

_LONGEST_WORD = 28
_MOST_TOKENS = 1 << 22
_ROOM_KEPT = 1 << 16
# an executable comment of a version in this range is read by every supported server
_OLDEST_IGNORED = 50700
_OLDEST_TEN = 100000
_OLDEST_SUPPORTED = 100600


def _character_classes() -> bytes:
    classes = bytearray(256)
    for character in b" \t\n\v\f\r":
        classes[character] = 1
    for character in range(256):
        if character >= 0x80 or bytes((character,)).isalpha() or character in b"_$":
            classes[character] = 2
    for character in b"0123456789":
        classes[character] = 3
    for group, characters in ((4, b"'\""), (5, b"`"), (6, b"/"), (7, b"-"), (8, b"#"), (9, b"@"), (10, b":"),
                              (11, b"."), (12, b"*")):  # fmt: skip
        for character in characters:
            classes[character] = group
    for character, kind in ((b"(", T_LPAREN), (b")", T_RPAREN), (b",", T_COMMA), (b";", T_SEMI), (b"=", T_EQ),
                            (b"?", T_PARAM)):  # fmt: skip
        classes[character[0]] = 32 + kind
    return bytes(classes)


CLASSES = _character_classes()


class Lexer:
    """Tokens of one statement: `kind`, `code` (keyword number and flags), `beg` and `fin` (offsets), `count` of them."""

    def __init__(self) -> None:
        self.kind = array("i", bytes(4 * 256))
        self.code = array("i", bytes(4 * 256))
        self.beg = array("i", bytes(4 * 256))
        self.fin = array("i", bytes(4 * 256))
        self.room = 256
        self.count = 0
        self.bad = False
        self.multi = False  # something stands behind a semicolon
        self.comments = False
        self.versioned = False  # an executable comment with a version number was seen
        self.uncertain = False  # ... one that some supported servers read and others skip

    def _resize(self, room: int) -> None:
        for name in ("kind", "code", "beg", "fin"):
            kept = array("i", getattr(self, name)[: min(room, self.room)])
            kept.frombytes(bytes(4 * (room - len(kept))))
            setattr(self, name, kept)
        self.room = room

    def shrink(self) -> None:
        """Give back the memory that an unusually long statement needed."""
        if self.room > _ROOM_KEPT:
            self._resize(_ROOM_KEPT)

    def run(self, buf: bytearray, start: int, end: int, oracle: bool, ansi: bool, no_escapes: bool, skip: bool) -> int:
        """Tokenize `buf[start:end]`; `skip`: drop executable comments of an uncertain version. Returns the count."""
        p = buf
        classes = CLASSES
        words = WORDS
        i = start
        n = 0
        previous = T_END
        executable = False
        ended = False
        self.bad = self.multi = self.comments = self.versioned = self.uncertain = False
        while i < end:
            c = p[i]
            k = classes[c]
            if k == 1:
                i += 1
                continue
            if n + LOOKAHEAD + 1 >= self.room:
                if n > _MOST_TOKENS:
                    self.bad = True
                    break
                self._resize(self.room * 4)
            j = i + 1
            code = 0
            if k == 2 or k == 3:
                if k == 3 and previous != T_DOT:
                    j = self._number(p, i, end)
                    kind = T_NUMBER
                    if j < end and (classes[p[j]] == 2 or classes[p[j]] == 3):
                        kind = T_WORD
                        j = i + 1
                        while j < end and (classes[p[j]] == 2 or classes[p[j]] == 3):
                            j += 1
                else:
                    kind = T_WORD
                    while j < end and (classes[p[j]] == 2 or classes[p[j]] == 3):
                        j += 1
                    if j - i <= _LONGEST_WORD:
                        found = words.get(bytes(p[i:j]).upper())
                        if found is not None:
                            code = found
                            if previous == T_DOT or (
                                previous != T_SYSVAR
                                and j + 1 < end
                                and p[j] == 46
                                and (classes[p[j + 1]] == 2 or p[j + 1] == 96)
                            ):
                                code = (code & KEYWORD_MASK) << QUALIFIED_SHIFT
            elif k > 32:
                kind = k - 32
            elif k == 4:
                j = self._string(p, i, end, no_escapes or (ansi and c == 34))
                kind = T_QUOTED if ansi and c == 34 else T_STRING
                if j < 0:
                    kind = T_BAD
                    j = end
                    self.bad = True
            elif k == 5:
                j = self._string(p, i, end, True)
                kind = T_QUOTED
                if j < 0:
                    kind = T_BAD
                    j = end
                    self.bad = True
            elif k == 6:
                kind = T_OP
                if j < end and p[j] == 42:
                    self.comments = True
                    body = j + 1
                    if body < end and p[body] == 77 and body + 1 < end and p[body + 1] == 33:
                        body += 1
                    if body < end and p[body] == 33 and not executable:
                        i = self._executable(p, body + 1, end, p[body - 1] == 77, skip)
                        executable = i >= 0
                        if i < 0:
                            i = self._comment(p, -i, end, True)
                        continue
                    i = self._comment(p, j + 1, end, False)
                    continue
            elif k == 7:
                kind = T_OP
                if j < end and p[j] == 45 and (j + 1 >= end or p[j + 1] <= 32 or p[j + 1] == 127):
                    self.comments = True
                    while i < end and p[i] != 10:
                        i += 1
                    continue
            elif k == 8:
                self.comments = True
                while i < end and p[i] != 10:
                    i += 1
                continue
            elif k == 9:
                kind = T_OP
                if j < end:
                    c = p[j]
                    k = classes[c]
                    if c == 64:
                        kind = T_SYSVAR
                        j += 1
                    elif k == 2 or k == 3 or c == 46:
                        kind = T_USERVAR
                        while j < end and (classes[p[j]] == 2 or classes[p[j]] == 3 or p[j] == 46):
                            j += 1
                    elif k == 4 or k == 5:
                        kind = T_USERVAR
                        j = self._string(p, j, end, no_escapes or k == 5 or (ansi and c == 34))
                        if j < 0:
                            kind = T_BAD
                            j = end
                            self.bad = True
            elif k == 10:
                kind = T_OP
                if j < end and p[j] == 61:
                    kind = T_ASSIGN
                    j += 1
                elif oracle and j < end and (classes[p[j]] == 2 or classes[p[j]] == 3):
                    kind = T_PARAM
                    while j < end and (classes[p[j]] == 2 or classes[p[j]] == 3):
                        j += 1
            elif k == 11:
                kind = T_DOT
                if j < end and classes[p[j]] == 3 and (i == start or self._ends_value(p[i - 1])):
                    kind = T_NUMBER
                    j = self._number(p, i, end)
            elif k == 12:
                kind = T_STAR
                if executable and j < end and p[j] == 47:
                    executable = False
                    i = j + 1
                    continue
            else:
                kind = T_OP
            if kind == T_SEMI:
                ended = True
            elif ended:
                self.multi = True
            self.kind[n] = kind
            self.code[n] = code
            self.beg[n] = i
            self.fin[n] = j
            n += 1
            previous = kind
            i = j
        if executable:
            self.bad = True
        for i in range(n, n + LOOKAHEAD):
            self.kind[i] = T_END
            self.code[i] = 0
            self.beg[i] = end
            self.fin[i] = end
        self.count = n
        return n

    def _ends_value(self, c: int) -> bool:
        """True if a dot behind this character cannot qualify a name, hence may begin a number."""
        return CLASSES[c] != 2 and CLASSES[c] != 3 and c != 96 and c != 34

    def _number(self, p: bytearray, i: int, end: int) -> int:
        """Position behind the number that begins at `i` with a digit or a dot."""
        classes = CLASSES
        if p[i] == 48 and i + 2 < end and (p[i + 1] | 32 == 120 or p[i + 1] | 32 == 98):
            j = i + 2
            while j < end and classes[p[j]] == 3 or (j < end and 97 <= p[j] | 32 <= 102):
                j += 1
            if j > i + 2:
                return j
        j = i
        while j < end and classes[p[j]] == 3:
            j += 1
        if j < end and p[j] == 46:
            j += 1
            while j < end and classes[p[j]] == 3:
                j += 1
        if j + 1 < end and p[j] | 32 == 101:
            k = j + 1
            if k + 1 < end and (p[k] == 43 or p[k] == 45):
                k += 1
            if classes[p[k]] == 3:
                while k < end and classes[p[k]] == 3:
                    k += 1
                return k
        return j

    def _string(self, p: bytearray, i: int, end: int, plain: bool) -> int:
        """Position behind the quoted text that begins at `i`, -1 if it never ends; `plain`: no backslash escapes."""
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

    def _comment(self, p: bytearray, i: int, end: int, nested: bool) -> int:
        """Position behind the comment whose text begins at `i`; `nested`: comments inside it are skipped as a whole."""
        while i + 1 < end:
            if p[i] == 42 and p[i + 1] == 47:
                return i + 2
            if nested and p[i] == 47 and p[i + 1] == 42:
                i = self._comment(p, i + 2, end, False)
                continue
            i += 1
        self.bad = True
        return end

    def _executable(self, p: bytearray, i: int, end: int, mariadb: bool, skip: bool) -> int:
        """Where the code of an executable comment begins; minus that position if the comment is to be skipped."""
        digits = 0
        version = 0
        while digits < 6 and i + digits < end and CLASSES[p[i + digits]] == 3:
            version = version * 10 + p[i + digits] - 48
            digits += 1
        if digits < 5:
            return i
        self.versioned = True
        i += digits
        certain = version < _OLDEST_IGNORED or _OLDEST_TEN <= version <= _OLDEST_SUPPORTED
        if mariadb and version < _OLDEST_TEN:
            certain = True
        if certain:
            return i
        self.uncertain = True
        return -i if skip else i
