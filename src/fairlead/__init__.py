"""Fairlead, an intelligent MariaDB proxy.

With `FAIRLEAD_PURE=1` in the environment the compiled modules are ignored and their Python source runs
instead: slower, but with ordinary tracebacks and a debugger.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType

__version__ = "0.1.0"


class _SourceOnly(importlib.abc.MetaPathFinder):
    """Finds modules of this package as source files only, so that compiled siblings stay unused."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith("fairlead.") or path is None:
            return None
        for directory in path:
            finder = importlib.machinery.FileFinder(
                directory, (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES)
            )
            spec = finder.find_spec(fullname)
            if spec is not None and spec.origin is not None:
                return spec
        return None


if os.environ.get("FAIRLEAD_PURE") == "1":
    sys.meta_path.insert(0, _SourceOnly())
