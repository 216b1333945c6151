"""The product as the REST API sees it: the supervisor's parts behind the one interface of `ports.Product`."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.cluster import board as cells
from fairlead.cluster import gtid
from fairlead.cluster.board import Board
from fairlead.cluster.defs import ServerFacts, ServiceDef, Snapshot
from fairlead.config.store import Change, ConfigStore
from fairlead.routers.readwritesplit.causal import service_position
from fairlead.sql.classifier import Classifier
from fairlead.sql.types import RESULT_INVALID, mask_text, operation_text, result_text
from fairlead.workers.inforce import NotApplied
from fairlead.workers.pauses import PAUSE_MAX_MS
from fairlead.workers.ports import (
    AccountList,
    Json,
    MonitorFacade,
    ProductError,
    SessionInfo,
    ThreadInfo,
    UnknownCommand,
)

if TYPE_CHECKING:
    from fairlead.workers.supervisor import Supervisor

# A statement given to `classify` may have so many characters.
CLASSIFY_CHARS_MAX = 1_000_000


class SupervisedProduct:
    """Implements `ports.Product`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._changing = asyncio.Lock()
        self._service_started: dict[str, float] = {}
        self._classifier = Classifier(0)

    @property
    def store(self) -> ConfigStore:
        return self._supervisor.store

    @property
    def board(self) -> Board:
        return self._supervisor.board

    @property
    def started_at(self) -> float:
        return self._supervisor.started_at

    @property
    def monitors(self) -> MonitorFacade:
        return self._supervisor.monitors

    @property
    def stopping(self) -> bool:
        return self._supervisor.stop_wanted.is_set()

    @property
    def log_path(self) -> Path | None:
        return self._supervisor.log_file.path

    # -- configuration

    async def change(self, change: Change) -> None:
        async with self._changing:
            await self._change(change)

    async def read_again(self) -> list[str]:
        """Take over what the files say now; returns warnings. Raises ConfigErrors or ProductError."""
        async with self._changing:
            change = self.store.reload()
            await self._change(change)
            return list(change.warnings)

    async def _change(self, change: Change) -> None:
        if change.base_version != self.store.snapshot().version:
            raise ProductError("The configuration has been changed in the meantime; try again")
        before = self._snapshot
        await self._put_into_force(change.snapshot)
        try:
            self.store.commit(change)
        except BaseException:
            # What cannot be kept must not be in force either.
            with contextlib.suppress(ProductError):
                await self._put_into_force(before)
            raise

    async def _put_into_force(self, snapshot: Snapshot) -> None:
        try:
            await self._supervisor.in_force.change_to(snapshot)
        except NotApplied as error:
            raise ProductError(*error.errors) from None

    async def close_cut_off(self, before: Snapshot) -> None:
        now = self._supervisor.in_force.snapshot
        services = {service.name for service in now.services if not service.stopped}
        listeners = {listener.name for listener in now.listeners if not listener.stopped}
        for service in before.services:
            if not service.stopped and service.name not in services:
                await self._ask("close_listener_sessions", {"service": service.name})
        for listener in before.listeners:
            if not listener.stopped and listener.name not in listeners:
                await self._ask("close_listener_sessions", {"listener": listener.name})

    async def reload_tls(self) -> None:
        async with self._changing:
            self._supervisor.host.forget_tls()
            await self._put_into_force(self._snapshot)

    # -- states

    def service_state(self, service: str) -> str:
        definition = next((each for each in self._snapshot.services if each.name == service), None)
        if definition is None:
            return "Allocated"
        return "Stopped" if definition.stopped else "Started"

    def listener_state(self, listener: str) -> str:
        if listener in self._supervisor.in_force.failures:
            return "Failed"
        definition = next((each for each in self._snapshot.listeners if each.name == listener), None)
        if definition is None:
            return "Created"
        return (
            "Stopped"
            if definition.stopped or self.service_state(definition.service) == "Stopped"
            else "Running"
        )

    @property
    def _snapshot(self) -> Snapshot:
        return self._supervisor.in_force.snapshot

    def facts(self, server: str) -> ServerFacts | None:
        return self._supervisor.host.server_facts.get(server)

    def service_started_at(self, service: str) -> float:
        return self._service_started.setdefault(service, self.started_at)

    def router_diagnostics(self, service: str) -> dict[str, Json]:
        definition = self._service(service)
        if definition is None or definition.params.get("causal_reads", "none") == "none":
            return {}
        return {"last_gtid": gtid.text_of(service_position(self.board, definition.slot)) or None}

    def _service(self, name: str) -> ServiceDef | None:
        return next((each for each in self._snapshot.services if each.name == name), None)

    async def _reset_gtid(self, arguments: Sequence[str], verb: str) -> Json:
        """Forget the position of a readwritesplit service (spec routers_monitors.md A.1)."""
        if verb != "POST":
            raise UnknownCommand("`reset-gtid` is a POST")
        definition = self._service(arguments[0]) if len(arguments) == 1 else None
        if definition is None or definition.router != "readwritesplit":
            raise ProductError("The command needs the name of a readwritesplit service")
        await self._ask("reset_gtid", {"service": definition.name})
        return None

    def filter_diagnostics(self, filter_name: str) -> dict[str, Json] | None:
        return None

    # -- sessions and workers

    async def _ask(self, what: str, args: dict[str, Any] | None = None) -> dict[int, Any]:
        return await self._supervisor.table.request_all(what, args)

    async def sessions(self, rdns: bool = False) -> list[SessionInfo]:
        found = [each for answer in (await self._ask("sessions")).values() for each in answer]
        found.sort(key=lambda each: int(each["id"]))
        return [await self._info(each, rdns) for each in found]

    async def session(self, session_id: int, rdns: bool = False) -> SessionInfo | None:
        for answer in (await self._ask("session", {"id": session_id})).values():
            if answer is not None:
                return await self._info(answer, rdns)
        return None

    async def _info(self, found: dict[str, Any], rdns: bool) -> SessionInfo:
        remote = found["remote"]
        if rdns and remote and remote != "localhost":
            with contextlib.suppress(OSError):
                remote, _ = await asyncio.get_running_loop().getnameinfo((remote, 0))
        attributes = {
            "state": found["state"],
            "user": found["user"],
            "remote": remote,
            "port": found["port"],
            "database": found["database"],
            "connected": email.utils.formatdate(found["connected"], usegmt=True),
            "idle": found["idle"],
            "seconds_alive": found["seconds_alive"],
            "thread": found["thread"],
            "connections": found["connections"],
            "client": found["client"],
            "queries": found["queries"],
            "log": found["log"],
            "memory": {},
            "io_activity": 0,
            "parameters": {"log_debug": False, "log_info": False, "log_notice": False, "log_warning": False},
            "trx": found["trx"],
            "router": found["router"],
        }
        return SessionInfo(int(found["id"]), str(found["service"]), attributes, tuple(found["filters"]))

    async def close_session(self, session_id: int, ttl_s: float) -> bool:
        return any((await self._ask("close_session", {"id": session_id, "ttl": ttl_s})).values())

    async def alter_session(
        self, session_id: int, parameters: dict[str, Json], filters: Sequence[str] | None
    ) -> bool:
        if await self.session(session_id) is None:
            return False
        raise ProductError("Sessions cannot be altered in this version")

    async def restart_sessions(self, session_id: int | None) -> bool:
        if session_id is not None and await self.session(session_id) is None:
            return False
        raise ProductError("Sessions cannot be restarted in this version")

    async def threads(self) -> list[ThreadInfo]:
        answers = await self._ask("threads")
        return [
            ThreadInfo(index, listening=bool(answer["listening"]))
            for index, answer in sorted(answers.items())
        ]

    # -- accounts, log, commands, classifier

    async def pause_service(self, service: str, timeout_ms: int) -> int:
        if not 0 < timeout_ms <= PAUSE_MAX_MS:
            raise ProductError(
                f"A pause of {timeout_ms} ms is not possible; allowed: 1 to {PAUSE_MAX_MS} ms, like 30s"
            )
        answers = await self._ask("pause", {"service": service, "timeout_ms": timeout_ms})
        return sum(int(under_way) for under_way in answers.values())

    async def resume_service(self, service: str) -> None:
        await self._ask("resume", {"service": service})

    async def reload_accounts(self, service: str) -> None:
        if not await self._supervisor.accounts.force_reload(service):
            raise ProductError(f"The accounts of service '{service}' could not be read; the log says why")

    def accounts(self, service: str) -> AccountList:
        manager = self._supervisor.accounts.manager(service)
        if manager is None:
            return AccountList([])
        users = [
            {
                "user": each.user,
                "host": each.host,
                "plugin": each.plugin,
                "ssl": each.ssl,
                "super_priv": each.super_priv,
                "global_priv": each.global_db_priv,
                "proxy_priv": each.proxy_priv,
                "default_role": each.default_role,
            }
            for each in manager.accounts.accounts
            if not each.is_role
        ]
        return AccountList(users, manager.loaded_at)

    def rotate_logs(self) -> None:
        self._supervisor.rotate_logs()

    async def command(self, module: str, command: str, arguments: Sequence[str], verb: str) -> Json:
        if (module, command) == ("readwritesplit", "reset-gtid"):
            return await self._reset_gtid(arguments, verb)
        try:
            return await self._supervisor.monitors.command(module, command, list(arguments))
        except KeyError:
            raise UnknownCommand(f"Module `{module}` has no command `{command}`") from None
        except ValueError as error:
            raise ProductError(str(error)) from None

    async def classify(self, sql: str) -> dict[str, Json]:
        if len(sql) > CLASSIFY_CHARS_MAX:
            raise ProductError(f"The statement is longer than {CLASSIFY_CHARS_MAX} characters")
        text = bytearray(sql.encode("utf-8", "surrogateescape"))
        info = self._classifier.classify(text, 0, len(text))
        if info.parse_result == RESULT_INVALID:
            return {"parse_result": result_text(info.parse_result)}
        used = self._classifier.collect(text, 0, len(text))
        return {
            "canonical": info.canonical.decode("utf-8", "replace"),
            "fields": list(dict.fromkeys(str(field) for field in used.fields)),
            "functions": [
                {"name": function.name, "arguments": [str(field) for field in function.fields]}
                for function in used.functions
            ],
            "operation": operation_text(info.operation),
            "parse_result": result_text(info.parse_result),
            "type_mask": mask_text(info.type_mask),
        }

    async def classifier_cache(self, top: int) -> list[dict[str, Json]]:
        merged: dict[str, dict[str, Json]] = {}
        for entries in (await self._ask("classifier_cache", {"top": top})).values():
            for entry in entries:
                known = merged.setdefault(entry["canonical"], {**entry, "hits": 0})
                known["hits"] += entry["hits"]
        return sorted(merged.values(), key=lambda entry: -entry["hits"])[:top]

    async def memory(self) -> dict[str, int]:
        board = self.board
        used = sum(board.get(cells.worker_index(worker, cells.W_QC_SIZE)) for worker in range(board.workers))
        return {"query_classifier": used, "sessions": 0, "zombies": 0}
