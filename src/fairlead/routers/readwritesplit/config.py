"""The parameters of a readwritesplit service in the form the router needs, with the settings that imply
others.
"""

from __future__ import annotations

from typing import Any

FAIL_INSTANTLY = 0
FAIL_ON_WRITE = 1
ERROR_ON_WRITE = 2

LEAST_CURRENT_OPERATIONS = 0
LEAST_CONNECTIONS = 1
LEAST_BEHIND = 2
ADAPTIVE = 3

_FAILURE_MODES = {
    "fail_instantly": FAIL_INSTANTLY,
    "fail_on_write": FAIL_ON_WRITE,
    "error_on_write": ERROR_ON_WRITE,
}
_CRITERIA = {
    "least_current_operations": LEAST_CURRENT_OPERATIONS,
    "least_router_connections": LEAST_CONNECTIONS,
    "least_global_connections": LEAST_CONNECTIONS,
    "least_behind_master": LEAST_BEHIND,
    "adaptive_routing": ADAPTIVE,
}


class RwsConfig:
    """What a session keeps of the configuration that was current when it began."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.max_slave_connections = int(params["max_slave_connections"])
        self.slave_connections = min(int(params["slave_connections"]), self.max_slave_connections)
        # Seconds; 0: no limit.
        self.max_replication_lag = int(params["max_replication_lag"]) // 1000
        self.variables_on_all = params["use_sql_variables_in"] == "all"
        self.master_reconnection = bool(params["master_reconnection"])
        self.master_failure_mode = _FAILURE_MODES[str(params["master_failure_mode"])]
        self.criteria = _CRITERIA[str(params["slave_selection_criteria"]).lower()]
        self.master_accept_reads = bool(params["master_accept_reads"])
        # The reference checks either flag for either trigger; so does the documentation of its users.
        self.strict = bool(params["strict_multi_stmt"]) or bool(params["strict_sp_calls"])
        self.strict_multi_stmt = bool(params["strict_multi_stmt"])
        self.strict_sp_calls = bool(params["strict_sp_calls"])
        self.strict_tmp_tables = bool(params["strict_tmp_tables"])
        self.retry_failed_reads = bool(params["retry_failed_reads"])
        self.retry_lagging_reads = bool(params["retry_lagging_reads"])
        self.lazy_connect = bool(params["lazy_connect"])
        self.delayed_retry = bool(params["delayed_retry"])
        self.retry_timeout_ms = int(params["delayed_retry_timeout"])
        self.transaction_replay = bool(params["transaction_replay"])
        # Bytes; a transaction of so many is not repeated.
        self.replay_max_size = int(params["transaction_replay_max_size"])
        self.replay_attempts = int(params["transaction_replay_attempts"])
        # 0: attempts are limited, not their time.
        self.replay_timeout_ms = int(params["transaction_replay_timeout"])
        self.replay_retry_on_deadlock = bool(params["transaction_replay_retry_on_deadlock"])
        self.replay_retry_on_mismatch = bool(params["transaction_replay_retry_on_mismatch"])
        self.replay_safe_commit = bool(params["transaction_replay_safe_commit"])
        # Which results have to be equal: also OK packets, also what depends on generated ids.
        self.replay_oks = params["transaction_replay_checksum"] == "full"
        self.replay_insert_ids = params["transaction_replay_checksum"] != "no_insert_id"
        self.optimistic_trx = bool(params["optimistic_trx"])
        self.causal_reads = str(params["causal_reads"])
        self.is_causal = self.causal_reads != "none"
        # Seconds that a replica has to catch up.
        self.causal_timeout_s = int(params["causal_reads_timeout"]) // 1000
        self.history_limit = int(params["max_sescmd_history"])
