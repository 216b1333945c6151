"""mariadbmon: observes a cluster with MariaDB replication."""
