"""A data plane without clients: it listens where it is told to, remembers what it was sent, can be asked."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from fairlead.cluster.board import W_SESSIONS, Board, worker_index
from fairlead.cluster.defs import ServerFacts, Snapshot
from fairlead.workers.messages import Accounts, ForwardKill, Kill, KillDone, Reply, ToSupervisor


class FakePlane:
    def __init__(
        self,
        index: int,
        board: Board,
        send: Callable[[ToSupervisor], None],
        loop: asyncio.AbstractEventLoop,
        paths: dict[str, str],
    ) -> None:
        if os.environ.get("FAKE_PLANE_DIES") == str(index):
            os._exit(9)
        self.index, self.board, self.send, self.paths = index, board, send, paths
        self.version = 0
        self.sockets: dict[str, socket.socket] = {}
        self.accounts: dict[str, int] = {}
        self.facts: list[str] = []
        self.log: list[str] = []
        self.replies: list[int] = []

    def apply(self, snapshot: Snapshot) -> dict[str, str]:
        if snapshot.globals.get("fail_in_worker") == self.index:
            raise RuntimeError("as told")
        if snapshot.globals.get("hang_in_worker") == self.index:
            time.sleep(60)
        errors: dict[str, str] = {}
        opened: dict[str, socket.socket] = {}
        for listener in snapshot.listeners:
            if listener.name in self.sockets:
                continue
            try:
                opened[listener.name] = self._listen(listener.params["address"], listener.params["port"])
            except OSError as error:
                errors[listener.name] = str(error)
        if errors:
            for one in opened.values():
                one.close()
            return errors
        self.sockets.update(opened)
        names = {listener.name for listener in snapshot.listeners}
        for name in [name for name in self.sockets if name not in names]:
            self.sockets.pop(name).close()
        self.version = snapshot.version
        self.board.set(worker_index(self.index, W_SESSIONS), 5)
        return {}

    def _listen(self, address: str, port: int) -> socket.socket:
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            one.bind((address, port))
            one.listen()
        except OSError:
            one.close()
            raise
        return one

    def set_accounts(self, message: Accounts) -> None:
        self.accounts[message.service] = message.version

    def set_facts(self, facts: list[ServerFacts]) -> None:
        self.facts += [one.name for one in facts]

    def hang_up(self, server: str, reason: str, gently: bool) -> None:
        self.log.append(f"hang_up {server}: {reason}")

    def kill(self, message: Kill) -> None:
        self.log.append(f"kill {message.session} of {message.origin}")
        if message.session != 666:
            self.send(KillDone(message.id, message.origin))

    def reply(self, message: Reply) -> None:
        self.replies.append(message.id)

    async def request(self, what: str, args: dict[str, Any]) -> Any:
        match what:
            case "sessions":
                return [{"id": str(self.index + 1)}]
            case "session" | "close_session":
                found = int(args["id"]) == self.index + 1
                return {"id": args["id"]} if found else None
            case "state":
                return {
                    "version": self.version,
                    "listening": sorted(self.sockets),
                    "accounts": self.accounts,
                    "facts": self.facts,
                    "log": self.log,
                    "replies": self.replies,
                    "fds": sorted(os.listdir("/proc/self/fd"), key=int),
                    "pid": os.getpid(),
                    "modules": [
                        m for m in ("uvicorn", "starlette", "cryptography") if m in __import__("sys").modules
                    ],
                }
            case "slow":
                await asyncio.sleep(30)
            case "hang":
                time.sleep(60)
            case "object":
                return object()
            case "forward_kill":
                kill = Kill(args["id"], -1, "connection", "", args["session"], "", 0, {})
                self.send(ForwardKill(kill))
                return None
            case "exit":
                os._exit(args["status"])
        raise KeyError(f"no request '{what}'")

    async def stop(self, drain_ms: int) -> None:
        if os.environ.get("FAKE_PLANE_DRAINS"):
            await asyncio.sleep(float(os.environ["FAKE_PLANE_DRAINS"]))
        if os.environ.get("FAKE_PLANE_IGNORES_STOP"):
            time.sleep(60)
