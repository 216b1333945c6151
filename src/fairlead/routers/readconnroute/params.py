"""The parameters of readconnroute."""

from __future__ import annotations

from fairlead.config.params import ModuleSpec, Param
from fairlead.config.values import Bool, Duration, EnumMask

PARAMS: tuple[Param, ...] = (
    Param("router_options", EnumMask(("master", "slave", "synced", "running")), "running",
          "States of which a server must have one.", dynamic=True),
    Param("master_accept_reads", Bool(), "true",
          "The primary may be chosen where only replicas are asked for.", dynamic=True),
    Param("max_replication_lag", Duration("s"), "0s",
          "Servers that lag so much are not chosen; 0s: no limit.", dynamic=True),
)  # fmt: skip

SPEC = ModuleSpec("readconnroute", "Router", "Each session goes to one server", PARAMS)
