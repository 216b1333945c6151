"""The table of modules."""

from __future__ import annotations

import pytest

from fairlead.config.modules import BUILT_IN, UNAVAILABLE, find_module
from fairlead.config.objects import parameter_table


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("Router", "ReadWriteSplit", "readwritesplit"),
        ("Monitor", "mysqlmon", "mariadbmon"),
        ("Protocol", "MariaDBClient", "mariadbprotocol"),
        ("Authenticator", "mysqlauth", "mariadbauth"),
        ("Filter", "hintfilter", "hintfilter"),
    ],
)
def test_names_and_aliases(kind: str, name: str, found: str) -> None:
    assert find_module(kind, name).name == found


def test_known_but_not_available() -> None:
    for kind, names in UNAVAILABLE.items():
        assert not {spec.name for spec in BUILT_IN if spec.kind == kind} & names
        for name in names:
            with pytest.raises(ValueError, match="known but not available"):
                find_module(kind, name)


def test_defaults_are_valid() -> None:
    for kind, module in (
        ("maxscale", ""), ("servers", ""), ("services", "readwritesplit"), ("services", "readconnroute"),
        ("listeners", "mariadbprotocol"), ("filters", "hintfilter"), ("monitors", "mariadbmon"),
    ):  # fmt: skip
        for param in parameter_table(kind, module).values():
            assert param.doc.endswith("."), param.name
            if not param.required:
                native = param.default_value()
                shown = None if native is None else param.type.to_json(native)
                if shown is not None and param.type.name != "password":
                    assert param.type.from_json(shown) == native, param.name
