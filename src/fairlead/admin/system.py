"""The product itself as resources: version, machine, workers, log settings, memory."""

from __future__ import annotations

import os
import time
from typing import Any

from fairlead import __version__
from fairlead.admin import numbers
from fairlead.admin.http import Call
from fairlead.admin.loads import LoadHistory
from fairlead.admin.resources import Resource, date_text, resource
from fairlead.workers.ports import Product, ThreadInfo

Json = Any


def maxscale(call: Call, product: Product) -> Resource:
    """`/maxscale`."""
    store = product.store
    snapshot = store.snapshot()
    attributes = {
        "parameters": store.parameters_json("maxscale"),
        "version": __version__,
        "commit": "",
        "started_at": date_text(product.started_at),
        "activated_at": date_text(product.started_at),
        "uptime": max(0, int(time.time() - product.started_at)),
        "process_datadir": str(store.paths.datadir),
        "config_sync": None,
        "system": {"machine": _machine(), "os": _os(), "maxscale": _limits(snapshot.globals)},
    }
    return resource(call, "maxscale", "maxscale", attributes, path=("maxscale",))


def _machine() -> dict[str, Json]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = os.cpu_count() or 1
    available = len(os.sched_getaffinity(0))
    return {
        "cores_available": available,
        "cores_physical": cores,
        "cores_virtual": float(available),
        "memory_available": memory,
        "memory_physical": memory,
    }


def _os() -> dict[str, Json]:
    name = os.uname()
    return {
        "machine": name.machine,
        "nodename": name.nodename,
        "release": name.release,
        "sysname": name.sysname,
        "version": name.version,
    }


def _limits(parameters: dict[str, Any]) -> dict[str, Json]:
    return {
        "query_classifier_cache_size": parameters.get("query_classifier_cache_size"),
        "threads": parameters.get("threads"),
    }


def thread(call: Call, product: Product, info: ThreadInfo, history: LoadHistory) -> Resource:
    """One of `/maxscale/threads`."""
    load = info.load if info.load is not None else history.load()
    stats = numbers.thread_statistics(product.board, info.id, load)
    stats.update(info.stats)
    stats["state"] = info.state
    stats["listening"] = info.listening
    return resource(
        call, "threads", str(info.id), {"stats": stats}, path=("maxscale", "threads", str(info.id))
    )


def log_settings(call: Call, product: Product) -> Resource:
    """`/maxscale/logs`."""
    shown = product.store.parameters_json("maxscale")
    names = ("maxlog", "syslog", "log_warning", "log_notice", "log_info", "log_debug", "log_augmentation")
    parameters = {name: shown.get(name) for name in names}
    parameters["highprecision"] = shown.get("ms_timestamp")
    parameters["throttling"] = shown.get("log_throttling")
    on = [name for name in ("warning", "notice", "info", "debug") if shown.get(f"log_{name}")]
    attributes = {
        "log_file": str(product.log_path) if product.log_path else None,
        "log_priorities": ["alert", "error", *on],
        "parameters": parameters,
    }
    return resource(call, "logs", "logs", attributes, path=("maxscale", "logs"))


# Names of the log parameters in PATCH /maxscale/logs that differ from the global ones.
LOG_PARAMETERS = {"highprecision": "ms_timestamp", "throttling": "log_throttling"}


def module(call: Call, info: dict[str, Json]) -> Resource:
    """A module as the store tells it, with absolute links."""
    name = info["id"]
    attributes = dict(info["attributes"])
    where = ("maxscale", "modules", name)
    attributes["commands"] = [
        {**command, "links": {"self": call.link(*where, command["id"])}}
        for command in attributes.get("commands", [])
    ]
    return resource(call, "modules", name, attributes, path=where)
