"""The parameters of readwritesplit and what they demand of each other."""

from __future__ import annotations

import re
from typing import Any

from fairlead.config.params import Command, CommandArgument, ModuleSpec, Param
from fairlead.config.values import Bool, Count, Duration, Enum, Size, StringList
from fairlead.sql.functions import NEVER_READS

_CRITERIA = (
    "least_current_operations",
    "adaptive_routing",
    "least_behind_master",
    "least_router_connections",
    "least_global_connections",
)
_CAUSAL = ("none", "local", "global", "fast", "fast_global", "universal", "fast_universal")
_CAUSAL_SYNONYMS = {"false": "none", "off": "none", "0": "none", "true": "local", "on": "local", "1": "local"}

# A name of ASCII characters without quotes, perhaps behind that of a database.
_FUNCTION = re.compile(r"(?:[^\s.,`'\"()]+\.)?[^\s.,`'\"()]+", re.ASCII)


class FunctionList(StringList):
    """Names of stored functions: `function` in any database, or `database.function`."""

    def parse(self, text: str) -> tuple[str, ...]:
        return _functions(super().parse(text))

    def from_json(self, value: Any) -> tuple[str, ...]:
        return _functions(super().from_json(value))

    def allowed(self) -> str:
        return "names 'function' or 'database.function' separated by ','"


def _functions(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as the classifier writes them: functions in lower case, databases as they are."""
    found = []
    for name in names:
        if not name.isascii() or not _FUNCTION.fullmatch(name):
            raise ValueError(f"'{name}' is no name of a function; allowed: function or database.function")
        database, dot, function = name.rpartition(".")
        if function.lower() in NEVER_READS:
            raise ValueError(f"'{name}' locks or counts, so it cannot be declared to be a read")
        found.append(f"{database}{dot}{function.lower()}")
    return tuple(found)


PARAMS: tuple[Param, ...] = (
    Param(
        "max_slave_connections",
        Count(0, 255),
        "255",
        "Most replica connections of a session; 0: everything goes to the primary.",
        dynamic=True,
    ),
    Param(
        "slave_connections",
        Count(0, 255),
        "255",
        "Replica connections opened when a session starts.",
        dynamic=True,
    ),
    Param(
        "max_replication_lag",
        Duration("s"),
        "0s",
        "Replicas that lag so much are not used; 0s: no limit.",
        dynamic=True,
        aliases=("max_slave_replication_lag",),
    ),
    Param(
        "use_sql_variables_in",
        Enum(("all", "master")),
        "all",
        "Where user variables are set and read.",
        dynamic=True,
    ),
    Param(
        "master_reconnection",
        Bool(),
        "true",
        "A session may connect to another primary than it began with.",
        dynamic=True,
    ),
    Param(
        "master_failure_mode",
        Enum(("fail_instantly", "fail_on_write", "error_on_write")),
        "fail_on_write",
        "What happens to a session without primary.",
        dynamic=True,
    ),
    Param(
        "slave_selection_criteria",
        Enum(_CRITERIA, {word.upper(): word for word in _CRITERIA}),
        "least_current_operations",
        "Which replica a read goes to.",
        dynamic=True,
    ),
    Param("master_accept_reads", Bool(), "false", "The primary takes its share of the reads.", dynamic=True),
    Param(
        "strict_multi_stmt",
        Bool(),
        "false",
        "After several statements in one the session stays on the primary.",
        dynamic=True,
    ),
    Param("strict_sp_calls", Bool(), "false", "After CALL the session stays on the primary.", dynamic=True),
    Param(
        "strict_tmp_tables", Bool(), "true", "A session whose temporary tables are lost ends.", dynamic=True
    ),
    Param(
        "retry_failed_reads",
        Bool(),
        "true",
        "Reads lost with a replica are repeated elsewhere.",
        dynamic=True,
    ),
    Param(
        "retry_lagging_reads",
        Bool(),
        "false",
        "Reads whose replica falls behind meanwhile (max_replication_lag) are repeated elsewhere.",
        dynamic=True,
    ),
    Param(
        "delayed_retry",
        Bool(),
        "false",
        "Statements that found no server are tried again.",
        dynamic=True,
    ),
    Param("delayed_retry_timeout", Duration(), "10s", "For how long.", dynamic=True),
    Param(
        "transaction_replay",
        Bool(),
        "false",
        "Transactions lost with their server are repeated.",
        dynamic=True,
    ),
    Param(
        "transaction_replay_max_size",
        Size(),
        "1Mi",
        "Larger ones are not.",
        dynamic=True,
    ),
    Param("transaction_replay_attempts", Count(), "5", "Attempts.", dynamic=True),
    Param(
        "transaction_replay_timeout",
        Duration(),
        "30s",
        "Time limit; not 0s: instead of the attempts.",
        dynamic=True,
    ),
    Param(
        "transaction_replay_retry_on_deadlock",
        Bool(),
        "false",
        "Repeat also after a deadlock.",
        dynamic=True,
    ),
    Param(
        "transaction_replay_retry_on_mismatch",
        Bool(),
        "false",
        "Begin again when results differ.",
        dynamic=True,
    ),
    Param(
        "transaction_replay_safe_commit",
        Bool(),
        "true",
        "Never repeat a transaction whose COMMIT was sent.",
        dynamic=True,
    ),
    Param(
        "transaction_replay_checksum",
        Enum(("full", "result_only", "no_insert_id")),
        "full",
        "Which results must be equal.",
        dynamic=True,
    ),
    Param(
        "optimistic_trx",
        Bool(),
        "false",
        "Begin transactions on a replica.",
        dynamic=True,
    ),
    Param(
        "causal_reads",
        Enum(_CAUSAL, _CAUSAL_SYNONYMS),
        "none",
        "Reads see earlier writes.",
        dynamic=True,
    ),
    Param(
        "causal_reads_timeout",
        Duration("s"),
        "10s",
        "How long a replica may take to catch up.",
        dynamic=True,
    ),
    Param("lazy_connect", Bool(), "false", "Open no connections before they are needed.", dynamic=True),
    Param(
        "reuse_prepared_statements",
        Bool(),
        "false",
        "Prepare equal statements of a session once.",
        dynamic=True,
    ),
    Param(
        "read_functions",
        FunctionList(),
        "",
        "Stored functions that only read, so that calls of them may go to replicas.",
        dynamic=True,
    ),
    Param(
        "learn_read_functions",
        Bool(),
        "false",
        "Learn from a server which stored functions are NO SQL or READS SQL DATA, and take them for reads.",
        dynamic=True,
    ),
)


def imply(params: dict[str, Any]) -> list[str]:
    """Apply the implied settings; the later rules win."""
    warnings: list[str] = []
    if params["causal_reads"] != "none":
        params["retry_failed_reads"] = True
    if params["optimistic_trx"]:
        params["transaction_replay"] = True
    if params["transaction_replay"]:
        params["delayed_retry"] = True
        longest = max(params["delayed_retry_timeout"], params["transaction_replay_timeout"])
        params["delayed_retry_timeout"] = longest
    if params["transaction_replay"] or params["lazy_connect"]:
        params["master_reconnection"] = True
        params["master_failure_mode"] = "fail_on_write"
    if params.get("disable_sescmd_history") and params["master_reconnection"]:
        params["master_reconnection"] = False
        warnings.append("disable_sescmd_history=true switches master_reconnection off")
    return warnings


SPEC = ModuleSpec(
    "readwritesplit",
    "Router",
    "Writes go to the primary, reads to the replicas",
    PARAMS,
    (
        Command(
            "reset-gtid",
            "Forget the GTID position of a service, which global causal reads wait for.",
            "POST",
            (CommandArgument("SERVICE", "The readwritesplit service"),),
        ),
    ),
    imply=imply,
)
