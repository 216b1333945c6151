"""The two log levels that the standard library lacks, and the names the log file prints."""

from __future__ import annotations

import logging

NOTICE = 25
ALERT = 60

# Names in the log file and in the REST API, by level.
LEVEL_NAMES: dict[int, str] = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    NOTICE: "notice",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    ALERT: "alert",
}

logging.addLevelName(NOTICE, "NOTICE")
logging.addLevelName(ALERT, "ALERT")
