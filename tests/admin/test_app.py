"""The API on a real socket: start, stop, TLS, clients that do not behave."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fairlead.admin import app, http

Action = Callable[[app.Server, str], Awaitable[Any]]


def serve(product: Any, action: Action, scheme: str = "http") -> Any:
    async def run() -> Any:
        server = await app.start(product)
        try:
            return await action(server, f"{scheme}://127.0.0.1:{server.address[1]}/v1/")
        finally:
            await server.stop()

    return asyncio.run(run())


def client(verify: Any = True) -> httpx.AsyncClient:
    return httpx.AsyncClient(auth=("admin", "mariadb"), verify=verify, trust_env=False)


def test_serve(make_product: Any) -> None:
    async def action(_: app.Server, base: str) -> None:
        async with client() as rest:
            answers = await asyncio.gather(*(rest.get(base + "servers") for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
            assert "date" in answers[0].headers and "server" not in answers[0].headers
            assert (await rest.head(base + "servers")).headers["content-length"] == str(
                len(answers[0].content)
            )
            assert (await rest.delete(base + "servers/spare")).status_code == 204

    serve(make_product(admin_port=0), action)


def test_port_in_use(make_product: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        product = make_product(admin_port=other.getsockname()[1])
        with pytest.raises(OSError, match=r"127\.0\.0\.1:"):
            asyncio.run(app.start(product))


def test_broken_users_file(make_product: Any) -> None:
    product = make_product(admin_port=0)
    (product.store.paths.datadir / "passwd").write_text("x")
    with pytest.raises(OSError, match="users file"):
        asyncio.run(app.start(product))


def test_stop_does_not_wait_for_idle_clients(make_product: Any) -> None:
    async def action(server: app.Server, base: str) -> None:
        async with client() as rest:
            await rest.get(base + "servers")
            await asyncio.wait_for(server.stop(), 2)
            with pytest.raises(httpx.ConnectError):
                await client().get(base + "servers")

    serve(make_product(admin_port=0), action)


def test_large_and_endless_bodies(make_product: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_BYTES_MAX", 1000)
    monkeypatch.setattr(http, "BODY_TIMEOUT_S", 0.2)

    async def endless() -> Any:
        while True:
            yield b"x" * 100
            await asyncio.sleep(0.001)

    async def action(server: app.Server, base: str) -> None:
        async with client() as rest:
            assert (await rest.patch(base + "maxscale", content=b"x" * 2000)).status_code == 413
            # The answer may get lost, because the client is still sending when the connection is closed.
            with contextlib.suppress(httpx.ReadError, httpx.WriteError):
                assert (await rest.patch(base + "maxscale", content=endless())).status_code == 413
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(
            b"PATCH /v1/maxscale HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
            b"Authorization: Basic YWRtaW46bWFyaWFkYg==\r\n\r\n{"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        async with client() as rest:
            assert (await rest.get(base + "servers")).status_code == 200

    serve(make_product(admin_port=0), action)


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = directory / "cert.pem", directory / "key.pem"
    cert_path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_path, key_path


def test_tls(make_product: Any, tmp_path: Path) -> None:
    """HTTPS only, tokens signed with the key of the certificate, and a new certificate without a restart."""
    cert, key = certificate(tmp_path, "first")
    product = make_product(admin_port=0, admin_ssl_cert=cert, admin_ssl_key=key)

    def common_name(port: int) -> str:
        pem = ssl.get_server_certificate(("127.0.0.1", port))
        found = x509.load_pem_x509_certificate(pem.encode()).subject
        return str(found.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    async def action(server: app.Server, base: str) -> None:
        port = server.address[1]
        async with client(verify=False) as rest:
            response = await rest.get(base + "servers/server1")
            assert response.json()["links"]["self"].startswith(f"https://127.0.0.1:{port}/v1/")
            response = await rest.get(base + "auth?persist=yes")
            assert "Secure" in response.headers["set-cookie"]
            token = (await rest.get(base + "auth")).json()["meta"]["token"]
        async with httpx.AsyncClient(verify=False, trust_env=False) as rest:
            headers = {"Authorization": f"Bearer {token}"}
            assert (await rest.get(base + "servers", headers=headers)).status_code == 200
            with pytest.raises(httpx.HTTPError):
                await rest.get(base.replace("https", "http") + "servers")
        assert await asyncio.to_thread(common_name, port) == "first"
        certificate(tmp_path, "second")
        async with client(verify=False) as rest:
            assert (await rest.post(base + "maxscale/tls/reload")).status_code == 204
        assert await asyncio.to_thread(common_name, port) == "second"
        cert.write_text("broken")
        async with client(verify=False) as rest:
            assert (await rest.post(base + "maxscale/tls/reload")).status_code == 400
        assert await asyncio.to_thread(common_name, port) == "second"

    serve(product, action, "https")
