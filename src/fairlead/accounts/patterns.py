"""How the server compares names with patterns: LIKE with `\\` as escape, and the host part of an account.

Pure functions and values. Invariant: matching takes time proportional to pattern times text at worst,
whatever a client sends.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

# Addresses of clients that are remembered in the form in which they are compared.
ADDRESSES_MAX = 1024

# Kinds of the host part of an account.
_ANY = 0
_EXACT = 1
_LIKE = 2
_MASK = 3


def like(pattern: str, text: str) -> bool:
    """Whether `text` as a whole matches `pattern`: `%` any characters, `_` one, `\\x` the character x."""
    p = t = 0
    retry_p = -1
    retry_t = 0
    pattern_end, text_end = len(pattern), len(text)
    while t < text_end:
        if p < pattern_end:
            char = pattern[p]
            if char == "%":
                retry_p = p = p + 1
                retry_t = t
                continue
            width = 1
            if char == "\\" and p + 1 < pattern_end:
                width = 2
                fits = pattern[p + 1] == text[t]
            else:
                fits = char == "_" or char == text[t]
            if fits:
                p += width
                t += 1
                continue
        if retry_p < 0:
            return False
        retry_t += 1
        p, t = retry_p, retry_t
    while p < pattern_end and pattern[p] == "%":
        p += 1
    return p == pattern_end


def first_wildcard(pattern: str) -> int:
    """Position of the first `%` or `_` that is not escaped; -1 if there is none."""
    position = 0
    end = len(pattern)
    while position < end:
        char = pattern[position]
        if char == "\\":
            position += 1
        elif char == "%" or char == "_":
            return position
        position += 1
    return -1


def unescape(pattern: str) -> str:
    """The text that a pattern without wildcards stands for."""
    if "\\" not in pattern:
        return pattern
    characters: list[str] = []
    position = 0
    while position < len(pattern):
        if pattern[position] == "\\" and position + 1 < len(pattern):
            position += 1
        characters.append(pattern[position])
        position += 1
    return "".join(characters)


def reduce_address(address: str) -> str:
    """The address as accounts are compared with it: IPv4 in IPv6 is IPv4, a scope (`%eth0`) is left out."""
    return _reduce_ipv6(address) if ":" in address else address


@lru_cache(ADDRESSES_MAX)
def _reduce_ipv6(address: str) -> str:
    try:
        parsed = ipaddress.IPv6Address(address.split("%", 1)[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped if mapped is not None else parsed)


@lru_cache(ADDRESSES_MAX)
def _ipv4(text: str) -> int | None:
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError:
        return None


class HostRule:
    """The host part of an account, ready to be compared with clients.

    `may_be_name`: a host name, as opposed to an address, can match in a way that no address does.
    """

    __slots__ = ("kind", "mask", "may_be_name", "network", "sort_key", "text")

    def __init__(self, host: str) -> None:
        self.text = host.lower()
        self.network = self.mask = 0
        wildcard = first_wildcard(self.text)
        if self.text in ("", "%"):
            self.kind = _ANY
        elif wildcard >= 0:
            self.kind = _LIKE
        else:
            self.kind = _EXACT
            base, slash, mask = self.text.partition("/")
            network, mask_bits = _ipv4(base), _ipv4(mask)
            if slash and network is not None and mask_bits is not None:
                self.kind, self.network, self.mask = _MASK, network, mask_bits
            else:
                self.text = unescape(self.text)
        if self.kind == _ANY:
            wildcard = 0
        # Without a wildcard first; then the later the first wildcard stands the earlier; then by name.
        self.sort_key = (0, 0, self.text) if wildcard < 0 else (1, -wildcard, self.text)
        self.may_be_name = (
            self.kind not in (_ANY, _MASK) and ":" not in self.text and any(map(str.isalpha, self.text))
        )

    def matches(self, address: str, name: str | None = None) -> bool:
        """Whether a client at `address` (reduced; `localhost`: Unix socket), known as `name`, is meant."""
        if self.kind == _ANY:
            return True
        if self.kind == _EXACT:
            return self.text == address or self.text == name
        if self.kind == _MASK:
            number = _ipv4(address)
            return number is not None and number & self.mask == self.network
        return like(self.text, address) or (name is not None and like(self.text, name))
