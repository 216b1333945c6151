"""Compile the hot modules. One list; `FAIRLEAD_SKIP_CYTHON=1` builds nothing, a failing compiler is an
error.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import Extension, setup

SRC = Path(__file__).parent / "src"


def extensions() -> list[Extension]:
    if os.environ.get("FAIRLEAD_SKIP_CYTHON") == "1":
        return []
    from Cython.Build import cythonize

    names: list[str] = []
    exec((SRC / "fairlead" / "compiled.py").read_text(), scope := {})
    names.extend(scope["COMPILED_MODULES"])
    modules = []
    for name in names:
        path = SRC / name.replace(".", "/")
        source = path.with_suffix(".pyx") if path.with_suffix(".pyx").exists() else path.with_suffix(".py")
        relative = str(source.relative_to(Path(__file__).parent))
        modules.append(Extension(name, [relative], extra_compile_args=["-O2", "-g0", "-Wno-unused-function"]))
    return cythonize(
        modules,
        compiler_directives={"language_level": "3", "boundscheck": False, "wraparound": False,
                             "initializedcheck": False, "cdivision": True, "annotation_typing": False},
        include_path=[str(SRC)],
        build_dir="build/cython",
        nthreads=2,
        quiet=True,
    )


setup(ext_modules=extensions())
