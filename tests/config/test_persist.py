"""Sections on disk: what is written is read again as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.config import persist

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), min_size=1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(user=TEXTS, password=TEXTS)
def test_any_text_comes_back(place: Any, user: str, password: str) -> None:
    for path in place.persistdir.glob("*.cnf"):
        path.unlink()
    store = place.load()
    store.commit(store.alter("services", "RWS", {"user": f"'{user}'", "password": f"'{password}'"}))
    params = place.load().get("services", "RWS").params
    assert (params["user"], params["password"]) == (user, password)


@pytest.mark.parametrize("name", ["a/b", ".hidden", "..", "~x", "%2F"])
def test_odd_names(place: Any, store: Any, name: str) -> None:
    store.commit(store.create("filters", name, "hintfilter"))
    assert place.load().names("filters") == ["Hint", name]
    store.commit(store.destroy("filters", name))
    assert place.persisted() == {}


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    persist.apply(tmp_path, {"a": "[a]\n", "b": "[b]\n"})
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    write = persist._write_aside
    calls: list[str] = []

    def full(directory: Path, text: str) -> str:
        calls.append(text)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(directory, text)

    monkeypatch.setattr(persist, "_write_aside", full)
    with pytest.raises(OSError):
        persist.apply(tmp_path, {"a": "[a]\nx=1\n", "b": "[b]\nx=1\n"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
