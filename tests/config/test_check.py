"""What `fairlead check` says."""

from __future__ import annotations

from typing import Any

from fairlead.config.check import check, check_file


def test_valid(place: Any, conf: Any) -> None:
    place.file.write_text(conf.replace("router_options=slave", "auth_all_servers=true"))
    code, text = check(place.file, basedir=place.base)
    assert code == 0
    assert "RCR] auth_all_servers: is deprecated" in text.splitlines()[0]
    assert "valid (2 servers, 2 services, 1 listener, 1 filter, 1 monitor)" in text
    assert not place.base.exists()


def test_every_problem_with_its_place(place: Any, conf: Any, capsys: Any) -> None:
    place.file.write_text(conf.replace("port=3001", "prt=3001").replace("=200ms", "=200"))
    assert check_file(place.file) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"error: {place.file}:9: [server1] prt: is not a parameter of a server")
    assert "(did you mean port?)" in lines[0]
    assert lines[1].startswith(
        f"error: {place.file}:22: [Monitor] monitor_interval: '200' has no unit; allowed:"
    )
    assert lines[2].endswith("2 problems, the configuration is not valid")


def test_missing_file(place: Any) -> None:
    code, text = check(place.file)
    assert code == 1
    assert f"{place.file}: cannot be read" in text
