"""The one list of modules that are compiled by Cython; every one has a sibling `.pxd` or is a `.pyx`."""

COMPILED_MODULES = [
    "fairlead.sql.lexer",
    "fairlead.sql.digest",
    "fairlead.sql.info",
    "fairlead.sql.cache",
    "fairlead.sql.parser",
    "fairlead.sql.settings",
    "fairlead.sql.statements",
    "fairlead.sql.classifier",
    "fairlead.protocol.tracker",
    "fairlead.cluster.board",
    "fairlead.net.syscalls",
    "fairlead.net.poller",
    "fairlead.net.channel",
]
