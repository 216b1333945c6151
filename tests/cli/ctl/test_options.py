"""The configuration file and what overrides it."""

from __future__ import annotations

import pytest

from fairlead.cli.ctl.options import CtlError, Options, resolve, split_host, timeout_seconds


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_defaults():
    assert resolve({}) == Options(hosts=("127.0.0.1:8989",))


def test_files_of_the_home_directory(home):
    write(
        home / ".maxctrl.cnf", "[maxctrl]\nuser = bob\npassword=12%34\nhosts=a:1,b\ntimeout=5s\nsecure=true\n"
    )
    options = resolve({"user": "eve"})
    assert (options.user, options.password, options.hosts) == ("eve", "12%34", ("a:1", "b"))
    assert (options.timeout, options.secure) == (5.0, True)
    write(home / ".fairctl.cnf", "[fairctl]\nuser=own\n")
    assert resolve({}).user == "own"


def test_an_open_file_is_refused(home):
    file = write(home / "x.cnf", "[maxctrl]\npassword=x\n", 0o640)
    with pytest.raises(CtlError, match="0640"):
        resolve({"config": str(file)})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.conf", "[maxctrl]\n", "must end in .cnf"),
        ("x.cnf", "[other]\n", "no section"),
        ("x.cnf", "[maxctrl]\nusr=1\n", "unknown option `usr`"),
        ("x.cnf", "[maxctrl]\ntsv=maybe\n", "neither true"),
        ("x.cnf", "nonsense\n", "x.cnf"),
    ],
)
def test_wrong_files(home, name, text, message):
    with pytest.raises(CtlError, match=message):
        resolve({"config": str(write(home / name, text))})


def test_missing_file(home):
    with pytest.raises(CtlError, match="cannot be read"):
        resolve({"config": str(home / "none.cnf")})


@pytest.mark.parametrize(
    ("text", "seconds"), [("10000", 10), ("500ms", 0.5), ("2s", 2), ("3m", 180), ("1h", 3600)]
)
def test_timeouts(text, seconds):
    assert timeout_seconds(text) == seconds


def test_hosts():
    assert split_host("a") == ("a", 8989)
    assert split_host("a:1") == ("a", 1)
    assert split_host("[::1]:2") == ("::1", 2)
    assert split_host("https://a:3/") == ("a", 3)
    for wrong in ("a:b", "::1", "a:0"):
        with pytest.raises(CtlError):
            split_host(wrong)
