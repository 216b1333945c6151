"""readwritesplit: writes to the primary, reads to the replicas, session state everywhere."""
