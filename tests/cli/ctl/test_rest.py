"""The connection to the API: kept alive, reopened, and clear words when it cannot be had."""

from __future__ import annotations

import subprocess

import pytest

from fairlead.cli.ctl.options import CtlError, Options
from fairlead.cli.ctl.rest import Client, query, segment, tls_context


def test_warnings_and_kept_connection(api):
    api.headers["Mxs-Warning"] = "one;two"
    api.get("servers", [])
    client = Client(api.host, Options())
    assert client.data("servers") == [] and client.data("servers") == []
    assert client.warnings == ["one", "two", "one", "two"]
    client.close()


def test_not_json(api):
    api.answers["GET", "x"] = (200, None)
    client = Client(api.host, Options())
    assert client.get("x") == {}
    client.close()


def test_plain_http_where_tls_is_wanted(api):
    client = Client(api.host, Options(secure=True, tls_verify_server_cert=False))
    with pytest.raises(CtlError, match="TLS"):
        client.get("servers")


def test_missing_certificate_files():
    with pytest.raises(CtlError, match="TLS options"):
        tls_context(Options(tls_ca_cert="/nowhere/ca.pem"))


def test_tls(api, tmp_path):
    import ssl

    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            str(key),
            "-out",
            str(cert),
            "-days",
            "1",
            "-subj",
            "/CN=test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    api.server.socket = context.wrap_socket(api.server.socket, server_side=True)
    api.get("servers", [])
    trusted = Client(api.host, Options(secure=True, tls_ca_cert=str(cert)))
    assert trusted.data("servers") == []
    trusted.close()
    with pytest.raises(CtlError, match="not trusted"):
        Client(api.host, Options(secure=True)).data("servers")
    blind = Client(api.host, Options(secure=True, tls_verify_server_cert=False))
    assert blind.data("servers") == []
    blind.close()


def test_paths():
    assert segment("a/b") == "a%2Fb"
    assert query(("a", 1), None, ("page[size]", "x y")) == "?a=1&page[size]=x%20y"
    assert query(None) == ""
