"""One client's life: login, statements, transaction state, history, replies, server connections, KILL."""
