"""`fairlead serve`: from a configuration file to a running supervisor, and its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from fairlead.config.store import ConfigErrors, ConfigStore
from fairlead.workers import kernel, logfile
from fairlead.workers.instance import AlreadyRunning, Instance
from fairlead.workers.logfile import FILE_NAME, LogFile
from fairlead.workers.loglines import settings_of
from fairlead.workers.supervisor import Exit, Options, StartRest, Supervisor

logger = logging.getLogger(__name__)


def serve(
    config: Path,
    *,
    basedir: Path | None,
    overrides: dict[str, str],
    log_to_stdout: bool,
    start_rest: StartRest | None = None,
) -> int:
    """Run until the end. `start_rest` starts the REST API for a product."""
    try:
        store = ConfigStore.load(config, basedir=basedir, overrides=overrides)
    except ConfigErrors as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return Exit.BAD_CONFIG
    except OSError as error:
        print(f"{config}: {error}", file=sys.stderr)
        return Exit.BAD_CONFIG
    log_path = None if log_to_stdout else Path(store.paths.logdir) / FILE_NAME
    log_file = LogFile(log_path, settings_of(store.snapshot().globals))
    logfile.install(log_file)
    log_file.write_faults()
    kernel.set_process_name("fairlead")
    kernel.raise_descriptor_limit()
    instance = Instance(Path(store.paths.datadir), Path(store.paths.piddir))
    try:
        instance.acquire()
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        logger.error("%s", error)
        return Exit.ALREADY_RUNNING
    except OSError as error:
        print(f"Cannot lock this instance: {error}", file=sys.stderr)
        logger.error("Cannot lock this instance: %s", error)
        return Exit.INTERNAL
    try:
        for warning in store.warnings:
            logger.warning("%s", warning)
        return asyncio.run(_run(store, log_file, Options(log_to_stdout=log_to_stdout), start_rest))
    finally:
        instance.release()


async def _run(store: ConfigStore, log_file: LogFile, options: Options, start_rest: StartRest | None) -> int:
    os.umask(0o027)
    return await Supervisor(store, log_file, options, start_rest).run()
