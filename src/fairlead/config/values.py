"""The types of parameter values: text or JSON in, one native value out, and back.

A type never touches other objects; what is wrong is a `ValueError` that tells what was found and what is
allowed. Native values are plain data (int, str, bool, None, tuple, dict), so that they cross process borders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

JsonSchema = dict[str, Any]


class ValueType:
    """A string; the base of all types. `name` is what the REST API calls the type."""

    name = "string"
    unit: str | None = None

    def parse(self, text: str) -> Any:
        """The native value of a text."""
        return text

    def from_json(self, value: Any) -> Any:
        """The native value of a JSON value."""
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a string; allowed: {self.allowed()}")
        return self.parse(value)

    def to_json(self, native: Any) -> Any:
        """How the REST API shows a native value."""
        return native

    def to_text(self, native: Any) -> str:
        """How a configuration file spells a native value."""
        return "" if native is None else str(native)

    def allowed(self) -> str:
        """What may be written, for error messages and the reference page."""
        return "a text"

    def warning(self, text: str) -> str | None:
        """What is odd about a text that can be parsed, if anything."""
        return None

    def schema(self) -> JsonSchema:
        """JSON Schema of the text form or its JSON equivalent."""
        return {"type": "string"}


def shown(value: Any) -> str:
    """A value as error messages quote it."""
    return f"'{value}'" if isinstance(value, str) else str(value)


def unquote(text: str) -> str:
    """The text without one pair of matching quotes around the whole of it."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


class String(ValueType):
    """A text; one pair of quotes around the whole value is dropped. The empty text is null in JSON."""

    def parse(self, text: str) -> str:
        return unquote(text)

    def to_json(self, native: Any) -> Any:
        return native or None

    def to_text(self, native: Any) -> str:
        text = "" if native is None else str(native)
        return f'"{text}"' if unquote(text) != text or text != text.strip() else text


class Password(String):
    """A secret, never shown. Decryption is the business of the store, which knows the key."""

    name = "password"

    def parse(self, text: str) -> str:
        return unquote(text)

    def to_json(self, native: Any) -> Any:
        return "*****" if native else None

    def allowed(self) -> str:
        return "a password, as it is or encrypted with 'fairlead passwd'"


class Bool(ValueType):
    """true or false, in eight spellings."""

    name = "bool"
    _words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }

    def parse(self, text: str) -> bool:
        value = self._words.get(text.lower())
        if value is None:
            raise ValueError(f"'{text}' is not a boolean; allowed: {self.allowed()}")
        return value

    def from_json(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.parse(value)
        raise ValueError(f"{shown(value)} is not a boolean; allowed: {self.allowed()}")

    def to_text(self, native: Any) -> str:
        return "true" if native else "false"

    def allowed(self) -> str:
        return "true, yes, on, 1, false, no, off, 0"

    def schema(self) -> JsonSchema:
        return {"anyOf": [{"type": "boolean"}, {"enum": sorted(self._words)}]}


class Int(ValueType):
    """A whole number within limits."""

    name = "int"

    def __init__(self, minimum: int | None = None, maximum: int | None = None):
        self.minimum = minimum
        self.maximum = maximum

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
            raise ValueError(f"'{text}' is not a whole number; allowed: {self.allowed()}")
        return self._limited(int(text))

    def _limited(self, value: int) -> int:
        too_low = self.minimum is not None and value < self.minimum
        if too_low or (self.maximum is not None and value > self.maximum) or abs(value) >= 2**63:
            raise ValueError(f"{value} is out of range; allowed: {self.allowed()}")
        return value

    def from_json(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"{shown(value)} is not a whole number; allowed: {self.allowed()}")
        return self.parse(value) if isinstance(value, str) else self._limited(value)

    def allowed(self) -> str:
        if self.minimum is None and self.maximum is None:
            return "a whole number"
        if self.maximum is None:
            return f"a whole number from {self.minimum}"
        if self.minimum is None:
            return f"a whole number up to {self.maximum}"
        return f"a whole number from {self.minimum} to {self.maximum}"

    def schema(self) -> JsonSchema:
        number: JsonSchema = {"type": "integer"}
        if self.minimum is not None:
            number["minimum"] = self.minimum
        if self.maximum is not None:
            number["maximum"] = self.maximum
        return {"anyOf": [number, {"type": "string", "pattern": "^[+-]?[0-9]+$"}]}


class Count(Int):
    """A whole number that is not negative."""

    name = "count"

    def __init__(self, minimum: int = 0, maximum: int | None = None):
        super().__init__(minimum, maximum)


class Threads(Count):
    """A number of workers; `auto` is one per core."""

    def __init__(self) -> None:
        super().__init__(1)

    def parse(self, text: str) -> int:
        return cores() if text == "auto" else super().parse(text)

    def allowed(self) -> str:
        return "auto (one per core) or a whole number from 1"

    def schema(self) -> JsonSchema:
        return {"anyOf": [*super().schema()["anyOf"], {"const": "auto"}]}


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_UNITS_MS = {"h": 3_600_000, "min": 60_000, "m": 60_000, "s": 1000, "ms": 1}


class Duration(ValueType):
    """A time span in milliseconds. The suffix is mandatory; `granularity="s"` allows whole seconds only."""

    name = "duration"
    unit = "ms"

    def __init__(self, granularity: str = "ms", signed: bool = False):
        self.granularity = granularity
        self.signed = signed

    def parse(self, text: str) -> int:
        milliseconds = self._milliseconds(text)
        if self.granularity == "s" and milliseconds:
            if abs(milliseconds) < 1000:
                raise ValueError(f"'{text}' is less than a second; allowed: {self.allowed()}")
            milliseconds -= (milliseconds % 1000) if milliseconds > 0 else -(-milliseconds % 1000)
        return milliseconds

    def _milliseconds(self, text: str) -> int:
        match = re.fullmatch(r"([+-]?[0-9]{1,15})(h|min|m|ms|s)", text, re.IGNORECASE)
        if match is None:
            if re.fullmatch(r"[+-]?[0-9]+", text):
                raise ValueError(f"'{text}' has no unit; allowed: {self.allowed()} (did you mean {text}s?)")
            raise ValueError(f"'{text}' is not a duration; allowed: {self.allowed()}")
        value = int(match[1]) * _UNITS_MS[match[2].lower()]
        if value < 0 and not self.signed:
            raise ValueError(f"'{text}' is negative; allowed: {self.allowed()}")
        if abs(value) >= 2**62:
            raise ValueError(f"'{text}' is too large; allowed: {self.allowed()}")
        return value

    def from_json(self, value: Any) -> int:
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a duration; allowed: a string with {self.allowed()}")
        return self.parse(value)

    def to_json(self, native: Any) -> Any:
        return f"{native}ms"

    def to_text(self, native: Any) -> str:
        return f"{native}ms"

    def allowed(self) -> str:
        whole = " of whole seconds" if self.granularity == "s" else ""
        return f"a number with one of the suffixes h, m, min, s, ms{whole}, for example 10s"

    def warning(self, text: str) -> str | None:
        if self.granularity == "s" and self._milliseconds(text) % 1000:
            return f"'{text}' is shortened to {self.parse(text) // 1000}s: only whole seconds count here"
        return None

    def schema(self) -> JsonSchema:
        sign = "[+-]?" if self.signed else "[+]?"
        return {"type": "string", "pattern": f"^{sign}[0-9]+([hH]|[mM]([iI][nN]|[sS])?|[sS])$"}


_SIZE_UNITS = {
    "": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4,
    "ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4,
}  # fmt: skip


class Size(ValueType):
    """A number of bytes."""

    name = "size"

    def parse(self, text: str) -> int:
        match = re.fullmatch(r"([0-9]{1,18})([kmgt]i?)?", text, re.IGNORECASE)
        if match is None:
            raise ValueError(f"'{text}' is not a size; allowed: {self.allowed()}")
        return self._limited(int(match[1]) * _SIZE_UNITS[(match[2] or "").lower()])

    def _limited(self, value: int) -> int:
        if not 0 <= value < 2**63:
            raise ValueError(f"{value} is out of range; allowed: {self.allowed()}")
        return value

    def from_json(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"{shown(value)} is not a size; allowed: {self.allowed()}")
        return self.parse(value) if isinstance(value, str) else self._limited(value)

    def allowed(self) -> str:
        return "bytes, or a number with one of the suffixes k, M, G, T (1000) or Ki, Mi, Gi, Ti (1024)"

    def schema(self) -> JsonSchema:
        text = {"type": "string", "pattern": "^[0-9]+([kKmMgGtT][iI]?)?$"}
        return {"anyOf": [{"type": "integer", "minimum": 0}, text]}


class Percent(ValueType):
    """A share from 0% to 100%."""

    name = "percent"

    def parse(self, text: str) -> int:
        match = re.fullmatch(r"([0-9]{1,3})%", text)
        if match is None or int(match[1]) > 100:
            raise ValueError(f"'{text}' is not a percentage; allowed: {self.allowed()}")
        return int(match[1])

    def to_json(self, native: Any) -> Any:
        return f"{native}%"

    def to_text(self, native: Any) -> str:
        return f"{native}%"

    def allowed(self) -> str:
        return "0% to 100%"


class Enum(ValueType):
    """One word of a list; case matters. `synonyms` are other spellings that are taken too."""

    name = "enum"

    def __init__(self, values: Iterable[str], synonyms: Mapping[str, str] | None = None):
        self.values = tuple(values)
        self.synonyms = dict(synonyms or {})

    def parse(self, text: str) -> str:
        word = self.synonyms.get(text, text)
        if word not in self.values:
            raise ValueError(
                f"'{text}' is unknown; allowed: {self.allowed()}{did_you_mean(text, self.values)}"
            )
        return word

    def from_json(self, value: Any) -> str:
        if isinstance(value, bool):
            return self.parse("true" if value else "false")
        return str(super().from_json(value))

    def allowed(self) -> str:
        return ", ".join(self.values)

    def schema(self) -> JsonSchema:
        return {"enum": [*self.values, *self.synonyms]}


class EnumList(ValueType):
    """Words of a list, separated by commas; a JSON array in the REST API."""

    name = "enum list"

    def __init__(self, values: Iterable[str], synonyms: Mapping[str, str] | None = None):
        self.values = tuple(values)
        self.synonyms = dict(synonyms or {})

    def parse(self, text: str) -> tuple[str, ...]:
        return self._words(split_list(unquote(text), ","))

    def _words(self, words: Iterable[str]) -> tuple[str, ...]:
        found: list[str] = []
        for each in words:
            word = self.synonyms.get(each, each)
            if word not in self.values:
                raise ValueError(
                    f"'{each}' is unknown; allowed: {self.allowed()}{did_you_mean(each, self.values)}"
                )
            if word not in found:
                found.append(word)
        return tuple(found)

    def from_json(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return self._words(value)
        if isinstance(value, str):
            return self.parse(value)
        raise ValueError(f"{shown(value)} is not a list of words; allowed: {self.allowed()}")

    def to_json(self, native: Any) -> Any:
        return list(native)

    def to_text(self, native: Any) -> str:
        return ",".join(native)

    def allowed(self) -> str:
        return "a list of: " + ", ".join(self.values)


class EnumMask(EnumList):
    """A set of words of a list. `everything` is a word for all of them, `nothing` one for none."""

    name = "enum_mask"

    def __init__(
        self, values: Iterable[str], everything: str | None = None, nothing: str | None = None,
        synonyms: Mapping[str, str] | None = None,
    ):  # fmt: skip
        super().__init__(values, synonyms)
        self.everything = everything
        self.nothing = nothing

    def _words(self, words: Iterable[str]) -> tuple[str, ...]:
        wanted = list(words)
        if self.everything is not None and self.everything in wanted:
            return self.values
        if self.nothing is not None and wanted in ([self.nothing], []):
            return ()
        chosen = super()._words(wanted)
        return tuple(word for word in self.values if word in chosen)

    def to_json(self, native: Any) -> Any:
        return self.to_text(native)

    def to_text(self, native: Any) -> str:
        if self.nothing is not None and not native:
            return self.nothing
        if self.everything is not None and tuple(native) == self.values:
            return self.everything
        return ",".join(native)

    def all_words(self) -> tuple[str, ...]:
        """The words that may be written, with those for all and none."""
        extra = tuple(word for word in (self.nothing, self.everything) if word is not None)
        return extra + self.values

    def allowed(self) -> str:
        return "a list of: " + ", ".join(self.all_words())


class Regex(ValueType):
    """A regular expression between slashes; the native value has none."""

    name = "regex"

    def parse(self, text: str) -> str | None:
        pattern = unquote(text)
        if len(pattern) >= 2 and pattern[0] == pattern[-1] == "/":
            pattern = pattern[1:-1]
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"'{text}' is not a regular expression: {error}; allowed: {self.allowed()}"
            ) from None
        return pattern or None

    def to_json(self, native: Any) -> Any:
        return f"/{native}/" if native else None

    def to_text(self, native: Any) -> str:
        return f"/{native}/" if native else ""

    def allowed(self) -> str:
        return "/pattern/"

    def warning(self, text: str) -> str | None:
        bare = unquote(text)
        if bare and not (len(bare) >= 2 and bare[0] == bare[-1] == "/"):
            return f"the regular expression '{bare}' should stand between slashes: /{bare}/"
        return None


class Path(ValueType):
    """A path. `check`: "r" a readable file, "d" a directory. Relative ones are completed by the store."""

    name = "path"

    def __init__(self, check: str | None = None):
        self.check = check

    def parse(self, text: str) -> str | None:
        return unquote(text) or None

    def verify(self, path: str) -> None:
        """Raise if the complete path does not satisfy `check`."""
        if self.check == "r":
            if not os.path.exists(path):
                raise ValueError(f"the file '{path}' does not exist; allowed: a readable file")
            if os.path.isdir(path) or not os.access(path, os.R_OK):
                raise ValueError(f"'{path}' cannot be read; allowed: a readable file")
        elif self.check == "d" and os.path.exists(path) and not os.path.isdir(path):
            raise ValueError(f"'{path}' is not a directory; allowed: a directory")

    def allowed(self) -> str:
        return "the path of a readable file" if self.check == "r" else "a path"


class PathList(ValueType):
    """Paths separated by colons."""

    name = "pathlist"

    def parse(self, text: str) -> tuple[str, ...]:
        return tuple(split_list(unquote(text), ":"))

    def from_json(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        return tuple(super().from_json(value))

    def to_json(self, native: Any) -> Any:
        return list(native)

    def to_text(self, native: Any) -> str:
        return ":".join(native)

    def allowed(self) -> str:
        return "paths separated by colons"


def split_list(text: str, delimiter: str) -> list[str]:
    """The non-empty pieces of a list, without blanks around them."""
    return [piece for piece in (part.strip() for part in text.split(delimiter)) if piece]


class StringList(ValueType):
    """Texts separated by a delimiter."""

    name = "stringlist"

    def __init__(self, delimiter: str = ","):
        self.delimiter = delimiter

    def parse(self, text: str) -> tuple[str, ...]:
        return tuple(split_list(unquote(text), self.delimiter))

    def from_json(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(item.strip() for item in value if item.strip())
        return tuple(super().from_json(value))

    def to_json(self, native: Any) -> Any:
        return list(native)

    def to_text(self, native: Any) -> str:
        return self.delimiter.join(native)

    def allowed(self) -> str:
        return f"a list separated by '{self.delimiter}'"

    def schema(self) -> JsonSchema:
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


class Reference(ValueType):
    """The name of an object of a kind (server, service, monitor, filter, module)."""

    def __init__(self, kind: str):
        self.kind = kind
        self.name = kind

    def parse(self, text: str) -> str | None:
        return unquote(text) or None

    def allowed(self) -> str:
        article = "an" if self.kind[0] in "aeiou" else "a"
        return f"the name of {article} {self.kind}"


class ReferenceList(StringList):
    """Names of objects of a kind."""

    def __init__(self, kind: str, delimiter: str = ","):
        super().__init__(delimiter)
        self.kind = kind
        self.name = f"{kind}list"

    def allowed(self) -> str:
        return f"names of {self.kind}s separated by '{self.delimiter}'"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The valid word that looks most like this one, if any does."""
    import difflib

    candidates = list(words)
    lower = {each.lower(): each for each in candidates}
    if word.lower() in lower:
        return lower[word.lower()]
    matches = difflib.get_close_matches(word.lower().replace("-", "_"), lower, n=1, cutoff=0.6)
    return lower[matches[0]] if matches else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing."""
    found = nearest(word, words)
    return f" (did you mean {found}?)" if found and found != word else ""
