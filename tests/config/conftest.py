"""A small configuration and a function that loads it, or one made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairlead.config.store import ConfigErrors, ConfigStore

TEXT = """\
[maxscale]
threads=2
admin_secure_gui=false
log_throttling=0,0ms,0ms

[server1]
type=server
address=127.0.0.1
port=3001

[server2]
type=server
address=127.0.0.1
port=3002

[Monitor]
type=monitor
module=mariadbmon
servers=server1,server2
user=monitor_user
password=monitor_pw
monitor_interval=200ms

[Hint]
type=filter
module=hintfilter

[RWS]
type=service
router=readwritesplit
servers=server1,server2
user=service_user
password=service_pw
filters=Hint
max_slave_connections=1

[RCR]
type=service
router=readconnroute
cluster=Monitor
user=service_user
password=service_pw
router_options=slave

[RWS-Listener]
type=listener
service=RWS
address=127.0.0.1
port=4006
"""


class Place:
    """A directory with a configuration file and a base directory."""

    def __init__(self, directory: Path):
        self.file = directory / "maxscale.cnf"
        self.base = directory / "base"
        self.persistdir = self.base / "var/lib/maxscale/maxscale.cnf.d"

    def load(self, text: str = TEXT, **arguments: Any) -> ConfigStore:
        self.file.write_text(text)
        return ConfigStore.load(self.file, basedir=self.base, **arguments)

    def problems(self, text: str) -> list[str]:
        """What is wrong with a configuration, without the name of the file."""
        with pytest.raises(ConfigErrors) as error:
            self.load(text)
        return [str(problem).removeprefix(f"{self.file}:") for problem in error.value.problems]

    def persisted(self) -> dict[str, str]:
        """The files of changes at run time."""
        return {path.stem: path.read_text() for path in self.persistdir.glob("*.cnf")}


@pytest.fixture
def conf() -> str:
    """The text of the small configuration."""
    return TEXT


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def store(place: Place) -> ConfigStore:
    return place.load()
