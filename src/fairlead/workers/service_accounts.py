"""The account managers of all services, one each, as the configuration says."""

from __future__ import annotations

from fairlead.accounts.manager import AccountManager
from fairlead.cluster.defs import Snapshot
from fairlead.workers.host import SupervisorHost
from fairlead.workers.messages import ReloadAccounts, ToWorker


class ServiceAccounts:
    """Starts, reconfigures and ends managers; answers the workers through `host.publish`."""

    def __init__(self, host: SupervisorHost) -> None:
        self._host = host
        self._managers: dict[str, AccountManager] = {}

    async def apply(self, snapshot: Snapshot) -> None:
        """Have a manager for every service of this configuration, and none for others."""
        wanted = {service.name for service in snapshot.services}
        for name in [name for name in self._managers if name not in wanted]:
            await self._managers.pop(name).stop()
            self._host.accounts.pop(name, None)
        for service in snapshot.services:
            manager = self._managers.get(service.name)
            if manager is None:
                manager = AccountManager(service.name, self._host, snapshot)
                self._managers[service.name] = manager
                manager.start()
            else:
                manager.configured(snapshot)

    def reload_wanted(self, index: int, message: ReloadAccounts) -> None:
        """A login missed in a worker."""
        manager = self._managers.get(message.service)
        if manager is not None:
            manager.request_reload(message.version)

    async def force_reload(self, service: str) -> bool:
        """Read the accounts of a service now."""
        manager = self._managers.get(service)
        return manager is not None and await manager.force_reload()

    def manager(self, service: str) -> AccountManager | None:
        """The manager of a service."""
        return self._managers.get(service)

    def messages(self) -> list[ToWorker]:
        """What a new worker has to know."""
        return list(self._host.accounts.values())

    async def stop(self) -> None:
        """End all managers."""
        for manager in self._managers.values():
            await manager.stop()
        self._managers.clear()
