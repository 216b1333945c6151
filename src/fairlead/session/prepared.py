"""A prepared statement as the client knows it; every server connection has an id of its own for it."""

from __future__ import annotations

from typing import Any

from fairlead.sql.info import QueryInfo


class Prepared:
    """`id` is what the client uses. `types` is the last parameter type block the client sent (it sends it
    once); `version` tells the blocks apart, so that each server connection gets the newest before it
    needs it.
    """

    def __init__(self, statement_id: int, info: QueryInfo, database: str = "") -> None:
        self.id = statement_id
        self.info = info
        # The default database when it was prepared, which is what its names mean; empty if that is not known.
        self.database = database
        self.parameters = 0
        # Routing hints in the text of the PREPARE, for its executions.
        self.hints: tuple[Any, ...] = ()
        self.columns = 0
        self.types = b""
        self.version = 0
        # Index of the backend that holds an open cursor, or pieces of long data, of this statement; -1: none.
        self.cursor_on = -1
        self.long_data_on = -1
        # How often the client has prepared it and not closed it: more than once only where equal texts are
        # one statement (reuse_prepared_statements). Its text then, else empty.
        self.uses = 1
        self.text = b""
