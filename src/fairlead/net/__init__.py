"""Bytes in and out of the kernel: the poller, channels, listeners, TLS, the PROXY protocol."""
