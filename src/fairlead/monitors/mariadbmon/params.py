"""The parameters of the monitor of primary/replica clusters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fairlead.config.params import PARSED_ONLY, Finding, ModuleSpec, Param
from fairlead.config.values import (
    Bool,
    Count,
    Duration,
    Enum,
    EnumMask,
    Int,
    Password,
    Path,
    ReferenceList,
    Size,
    String,
)

_MASTER_CONDITIONS = (
    "connecting_slave", "connected_slave", "running_slave", "primary_monitor_master", "disk_space_ok"
)  # fmt: skip
_SLAVE_CONDITIONS = (
    "linked_master", "running_master", "writable_master", "primary_monitor_master", "disk_space_ok"
)  # fmt: skip
_NEED_UNIQUE_HOSTNAMES = ("auto_failover", "auto_rejoin", "switchover_on_low_disk_space")

PARAMS: tuple[Param, ...] = (
    Param("assume_unique_hostnames", Bool(), "true", "Recognise the source of a replica by host and port.",
          dynamic=True),
    Param("master_conditions", EnumMask(_MASTER_CONDITIONS, nothing="none"),
          "primary_monitor_master,disk_space_ok", "What a server must satisfy to be called Master.",
          dynamic=True),
    Param("slave_conditions", EnumMask(_SLAVE_CONDITIONS, nothing="none"), "none",
          "What a server must satisfy to be called Slave.", dynamic=True),
    Param("failcount", Count(1), "5", "Looks in a row that must find the primary down before it is given up.",
          dynamic=True),
    Param("enforce_writable_master", Bool(), "false", "Switch read_only off on the primary.", dynamic=True),
    Param("enforce_read_only_slaves", Bool(), "false", "Switch read_only on on the replicas.", dynamic=True),
    Param("enforce_read_only_servers", Bool(), "false",
          "Switch read_only on on every server but the primary.", dynamic=True),
    Param("maintenance_on_low_disk_space", Bool(), "true", "Put servers whose disk is full into maintenance.",
          dynamic=True),
    Param("cooperative_monitoring_locks", Enum(("none", "majority_of_all", "majority_of_running")), "none",
          "Agree with other instances by locks in the servers on who may act.", dynamic=True),
    Param("script_max_replication_lag", Int(-1), "-1",
          "Lag in seconds from which rlag_above is raised; -1: never.", dynamic=True),
    Param("auto_failover", Bool(), "false", "Promote a replica when the primary is lost.", dynamic=True,
          support=PARSED_ONLY),
    Param("auto_rejoin", Bool(), "false", "Bring servers that stand alone back into the cluster.",
          dynamic=True, support=PARSED_ONLY),
    Param("switchover_on_low_disk_space", Bool(), "false", "Replace the primary when its disk is full.",
          dynamic=True, support=PARSED_ONLY),
    Param("enforce_simple_topology", Bool(), "false", "One primary and direct replicas, kept so by force.",
          dynamic=True, support=PARSED_ONLY),
    Param("replication_user", String(), "", "User of the replication; empty: that of the monitor.",
          dynamic=True),
    Param("replication_password", Password(), "", "Password of replication_user.", dynamic=True),
    Param("replication_master_ssl", Bool(), "false", "Replicas connect with TLS.", dynamic=True),
    Param("replication_custom_options", String(), "", "Text appended to CHANGE MASTER TO.", dynamic=True),
    Param("failover_timeout", Duration("s"), "90s", "Limit for a failover.", dynamic=True,
          support=PARSED_ONLY),
    Param("switchover_timeout", Duration("s"), "90s", "Limit for a switchover and for a rejoin.",
          dynamic=True, support=PARSED_ONLY),
    Param("verify_master_failure", Bool(), "true", "Ask the replicas whether they still hear of the primary.",
          dynamic=True,
          support=PARSED_ONLY),
    Param("master_failure_timeout", Duration("s"), "10s", "How long they may have heard nothing.",
          dynamic=True,
          support=PARSED_ONLY),
    Param("servers_no_promotion", ReferenceList("server"), "", "Servers that never become primary.",
          dynamic=True,
          support=PARSED_ONLY),
    Param("promotion_sql_file", Path("r"), "", "Statements run on a new primary, one per line.",
          dynamic=True,
          support=PARSED_ONLY),
    Param("demotion_sql_file", Path("r"), "", "Statements run on a demoted primary, one per line.",
          dynamic=True,
          support=PARSED_ONLY),
    Param("handle_events", Bool(), "true", "Switch scheduled events off on replicas and on on a new primary.",
          dynamic=True,
          support=PARSED_ONLY),
    Param("cs_admin_port", Count(1, 65535), "8640", "Port of the ColumnStore daemon.", support=PARSED_ONLY),
    Param("cs_admin_base_path", String(), "/cmapi/0.4.0", "Base path of its API.", support=PARSED_ONLY),
    Param("cs_admin_api_key", String(), "", "Key for its API.", support=PARSED_ONLY),
    Param("ssh_user", String(), "", "User for rebuilding servers over SSH.", support=PARSED_ONLY),
    Param("ssh_keyfile", Path("r"), "", "Private key of ssh_user.", support=PARSED_ONLY),
    Param("ssh_check_host_key", Bool(), "true", "The host must be known to SSH.", dynamic=True,
          support=PARSED_ONLY),
    Param("ssh_timeout", Duration("s"), "10s", "Limit for SSH commands.", dynamic=True, support=PARSED_ONLY),
    Param("ssh_port", Count(1, 65535), "22", "Port of SSH.", dynamic=True, support=PARSED_ONLY),
    Param("rebuild_port", Count(1, 65535), "4444", "Port that a rebuilt server receives its data on.",
          dynamic=True, support=PARSED_ONLY),
    Param("mariabackup_use_memory", Size(), "1G", "Memory for preparing a backup.", dynamic=True,
          support=PARSED_ONLY),
    Param("mariabackup_parallel", Count(1, 1000), "1", "Threads of mariabackup.", dynamic=True,
          support=PARSED_ONLY),
    Param("backup_storage_address", String(), "", "Host that keeps backups.", dynamic=True,
          support=PARSED_ONLY),
    Param("backup_storage_path", String(), "", "Directory on that host.", dynamic=True, support=PARSED_ONLY),
)  # fmt: skip


def check(params: dict[str, Any]) -> Iterable[Finding]:
    """What is wrong with the parameters of one monitor."""
    if not params["assume_unique_hostnames"]:
        for name in _NEED_UNIQUE_HOSTNAMES:
            if params[name]:
                yield name, "is true while assume_unique_hostnames is false; allowed: true for both"
    if bool(params["replication_user"]) != bool(params["replication_password"]):
        missing = "replication_password" if params["replication_user"] else "replication_user"
        yield missing, "is not given; allowed: replication_user and replication_password together, or neither"


def imply(params: dict[str, Any]) -> list[str]:
    """What one parameter demands of others."""
    if params["enforce_simple_topology"]:
        for name in ("assume_unique_hostnames", "auto_failover", "auto_rejoin"):
            params[name] = True
    return []


SPEC = ModuleSpec(
    "mariadbmon", "Monitor", "Watches servers that replicate from one another", PARAMS,
    check=check, imply=imply, aliases=("mysqlmon",),
)  # fmt: skip
