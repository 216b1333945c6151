"""What a monitor knows of its servers in one tick: frozen values that the pure rules work on.

Nothing here knows how the facts were obtained. A server that cannot be reached keeps the replication facts of
the last successful look, because the rules count a lost server where it last stood.
"""

from __future__ import annotations

from msgspec import Struct

IO_YES = "Yes"
IO_NO = "No"
IO_CONNECTING = "Connecting"

# Errors of a login that is refused for what it is, not for the state of the server.
ACCESS_DENIED = frozenset({1045, 1698})


class SlaveConnection(Struct, frozen=True):
    """One row of SHOW ALL SLAVES STATUS. `was_connected`: the IO thread was seen connected to this source."""

    name: str = ""
    host: str = ""
    port: int = 3306
    source_id: int = -1
    io: str = IO_NO
    sql: bool = False
    lag: int | None = None
    gtid_io_pos: str = ""
    using_gtid: str = ""
    io_errno: int = 0
    io_error: str = ""
    sql_error: str = ""
    heartbeats: int = 0
    read_position: str = ""
    was_connected: bool = True

    @property
    def linked(self) -> bool:
        """It replicates or tries to."""
        return self.io != IO_NO and self.sql

    @property
    def half_stopped(self) -> bool:
        """Exactly one of its two threads is stopped."""
        return (self.io != IO_NO) != self.sql

    @property
    def stopped(self) -> bool:
        """Both threads are stopped."""
        return self.io == IO_NO and not self.sql

    @property
    def attempts(self) -> bool:
        """It is connected, or connects and is not refused by the source."""
        return self.sql and (
            self.io == IO_YES or (self.io == IO_CONNECTING and self.io_errno not in ACCESS_DENIED)
        )


class ServerView(Struct, frozen=True):
    """One server. `endpoints`: the (host, port) pairs under which the others may replicate from it.

    `permitted`: the monitor's account may look at the replication. `failures`: ticks in a row it is down.
    `marked`: it carries the lock with which the holder of the majority marks its primary.
    """

    name: str
    endpoints: frozenset[tuple[str, int]] = frozenset()
    running: bool = True
    maintenance: bool = False
    permitted: bool = True
    database: bool = True
    read_only: bool = False
    low_disk: bool = False
    server_id: int = -1
    gtid_domain: int | None = None
    gtid_current_pos: str = ""
    gtid_binlog_pos: str = ""
    failures: int = 0
    marked: bool = False
    connections: tuple[SlaveConnection, ...] = ()
