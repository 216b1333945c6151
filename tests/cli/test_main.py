"""The command itself: version, help, and that starting it stays quick."""

from __future__ import annotations

import subprocess
import sys

from fairlead import __version__

START = "from fairlead.cli.main import main; main()"
CHECK_IMPORTS = """
import sys
sys.argv = ["fairlead", "ctl", "list", "--help"]
from fairlead.cli.main import main
try:
    main()
except SystemExit:
    pass
loaded = [n for n in sys.modules if n.startswith("fairlead.") and not n.startswith("fairlead.cli")]
loaded += [name for name in ("asyncio", "rich", "uvicorn", "msgspec") if name in sys.modules]
assert not loaded, loaded
"""


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)


def test_version():
    result = python(START, "--version")
    assert (result.returncode, result.stdout) == (0, f"Fairlead {__version__}\n")


def test_help_names_all_commands():
    output = python(START, "--help").stdout
    assert all(f"\n  {name} " in output for name in ("serve", "check", "keys", "passwd", "ctl"))


def test_unknown_command():
    assert python(START, "nonsense").returncode != 0
    assert python(START, "ctl", "nonsense").returncode == 1


def test_the_admin_client_imports_nothing_of_the_server():
    result = python(CHECK_IMPORTS)
    assert result.returncode == 0, result.stderr
