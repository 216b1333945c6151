"""Which stored functions a service takes for pure reads: what it declares and what was learned from a server.

One object for all sessions of a service, also across changes of its configuration, so that a function that is
no longer trusted is not trusted by any session. Invariant: what is not known for certain is not covered.
"""

from __future__ import annotations

from typing import Any

from fairlead.accounts.model import LearnedFunctions
from fairlead.sql.info import QueryInfo


class ReadFunctions:
    """Names are `f` and `db.f`: functions in lower case, databases as they are written."""

    def __init__(self) -> None:
        self._declared: frozenset[str] = frozenset()
        self._learns = False
        self._qualified: frozenset[str] = frozenset()
        self._unqualified: frozenset[str] = frozenset()

    def configure(self, params: dict[str, Any]) -> None:
        """Take over what the parameters of the service say."""
        self._declared = frozenset(params.get("read_functions") or ())
        self._learns = bool(params.get("learn_read_functions"))

    def learn(self, found: LearnedFunctions) -> None:
        """Take over what a server says, in place of what was learned before."""
        self._qualified = frozenset(found.qualified)
        self._unqualified = frozenset(found.unqualified)

    def judge(self, info: QueryInfo, database: str) -> QueryInfo:
        """What a statement is, given what is known of the functions that it calls."""
        if info.reading is not None and self.cover(info.called, database):
            return info.reading
        return info

    def cover(self, called: tuple[str, ...], database: str) -> bool:
        """Whether all these calls are reads; `database` is the default one, empty if that is not known."""
        return all(self._covers(name, database) for name in called)

    def _covers(self, name: str, database: str) -> bool:
        if name in self._declared:
            return True
        _, dot, function = name.rpartition(".")
        if dot:
            return function in self._declared or (self._learns and name in self._qualified)
        if not database:
            return False
        name = f"{database}.{name}"
        return name in self._declared or (self._learns and name in self._unqualified)
