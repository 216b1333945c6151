"""The generated page is up to date, and the schema describes what the program takes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fairlead.config.docs import PAGE, json_schema, reference
from fairlead.config.globals import GLOBAL_PARAMS


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: python -m fairlead.config.docs"


def test_every_global_parameter_is_on_it() -> None:
    text = reference()
    assert [p.name for p in GLOBAL_PARAMS if not p.hidden and f"| `{p.name}` |" not in text] == []


_EXAMPLES = re.findall(r"```ini\n(.*?)```", (PAGE.parent / "configuration.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", _EXAMPLES)
def test_examples_of_the_guide_load(place: Any, example: str) -> None:
    assert len(_EXAMPLES) == 3
    for name in ("server1", "server2"):
        if f"[{name}]" not in example:
            example += f"\n[{name}]\ntype=server\naddress={name}\n"
    assert place.load(example).snapshot().services


def test_schema() -> None:
    schema = json_schema()
    assert schema["properties"]["fairlead"] == schema["properties"]["maxscale"]
    sections = schema["additionalProperties"]["anyOf"]
    (rws,) = [each for each in sections if "transaction_replay" in each["properties"]]
    assert {"type", "router", "user", "password"} <= set(rws["required"])
    assert rws["properties"]["router"]["enum"] == ["readwritesplit"]
    assert rws["properties"]["connection_timeout"] == rws["properties"]["wait_timeout"]
