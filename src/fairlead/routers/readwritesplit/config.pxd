cdef class RwsConfig:
    cdef readonly long long max_slave_connections
    cdef readonly long long slave_connections
    cdef readonly long long max_replication_lag
    cdef readonly bint variables_on_all
    cdef readonly bint master_reconnection
    cdef readonly int master_failure_mode
    cdef readonly int criteria
    cdef readonly bint master_accept_reads
    cdef readonly bint strict
    cdef readonly bint strict_multi_stmt
    cdef readonly bint strict_sp_calls
    cdef readonly bint strict_tmp_tables
    cdef readonly bint retry_failed_reads
    cdef readonly bint retry_lagging_reads
    cdef readonly bint lazy_connect
    cdef readonly bint delayed_retry
    cdef readonly long long retry_timeout_ms
    cdef readonly bint transaction_replay
    cdef readonly long long replay_max_size
    cdef readonly long long replay_attempts
    cdef readonly long long replay_timeout_ms
    cdef readonly bint replay_retry_on_deadlock
    cdef readonly bint replay_retry_on_mismatch
    cdef readonly bint replay_safe_commit
    cdef readonly bint replay_oks
    cdef readonly bint replay_insert_ids
    cdef readonly bint optimistic_trx
    cdef readonly str causal_reads
    cdef readonly bint is_causal
    cdef readonly long long causal_timeout_s
    cdef readonly long long history_limit
