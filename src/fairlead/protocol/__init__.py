"""MariaDB's wire protocol, bytes <-> meaning, for both sides of a connection. No sockets, no clock."""
