"""Kinds of tokens and classes of characters, shared by lexer, parser and digest; plain Python, so that all
can import it."""

from __future__ import annotations

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


def _character_classes() -> bytes:
    classes = bytearray(256)
    for character in " \t\n\v\f\r":
        classes[ord(character)] = 1
    for code in range(256):
        if code >= 0x80 or chr(code).isalpha() or chr(code) in "_$":
            classes[code] = 2
    for character in "0123456789":
        classes[ord(character)] = 3
    for group, characters in enumerate(("'\"", "`", "/", "-", "#", "@", ":", ".", "*"), 4):
        for character in characters:
            classes[ord(character)] = group
    for character, kind in (
        ("(", T_LPAREN),
        (")", T_RPAREN),
        (",", T_COMMA),
        (";", T_SEMI),
        ("=", T_EQ),
        ("?", T_PARAM),
    ):
        classes[ord(character)] = 32 + kind
    return bytes(classes)


CLASSES = _character_classes()
