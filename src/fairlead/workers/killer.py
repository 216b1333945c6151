"""KILL on the servers: short connections in the issuer's name, all at once, each with a limit of time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fairlead.net.sqlclient import SqlClient, SqlError, SqlLost
from fairlead.session.kill import KillOrder, statements_for
from fairlead.session.session import Session

# Time for one KILL on one server, in seconds.
KILL_TIMEOUT = 5.0
# KILL connections open at once from one worker.
KILLS_AT_ONCE_MAX = 32

_log = logging.getLogger(__name__)
_slots = asyncio.Semaphore(KILLS_AT_ONCE_MAX)


async def carry_out(order: KillOrder, victims: list[Session], local_address: str) -> None:
    """Kill the server connections of the victims; a killed session that the servers allowed to be killed
    ends.
    """
    own_user = order.kind == "user" and order.user.lower() == order.issuer_user.lower()
    if order.kind == "connection" or own_user:
        for session in victims:
            if session.user == order.issuer_user or not any(each.thread_id for each in session.backends):
                session.kill_message = "Connection was killed"
    targets = statements_for(order, victims)
    results = await asyncio.gather(*(_kill(server, sql, order, local_address) for server, sql in targets))
    if (order.kind == "connection" or own_user) and (any(results) or not targets):
        for session in victims:
            if not session.closed and session.id != order.issuer:
                session.close(
                    "Killed by another connection",
                    code=1927,
                    sqlstate="70100",
                    message="Connection was killed",
                )
            elif not session.closed:
                session.close(
                    "Killed by itself", code=1927, sqlstate="70100", message="Connection was killed"
                )


async def _kill(server: Any, sql: str, order: KillOrder, local_address: str) -> bool:
    """Whether the server did it."""
    params = server.definition.params
    async with _slots:
        try:
            client = await SqlClient.connect(
                host=str(params.get("address") or ""),
                port=int(params.get("port") or 0),
                socket=str(params.get("socket") or ""),
                user=order.issuer_user,
                password_hash=order.issuer_password,
                tls=server.tls,
                local_address=local_address,
                connect_timeout=KILL_TIMEOUT,
                read_timeout=KILL_TIMEOUT,
            )
        except (SqlError, SqlLost) as error:
            _log.warning("KILL could not be sent to server '%s': %s", server.name, error)
            return False
        try:
            await client.query(sql)
            return True
        except SqlError as error:
            _log.info("Server '%s' refused '%s': %s", server.name, sql, error)
            return error.errno == 1094
        except SqlLost as error:
            _log.warning("KILL on server '%s': %s", server.name, error)
            return False
        finally:
            await client.close()
