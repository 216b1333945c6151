"""TLS contexts: what they accept, what they refuse, and in which words."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

from fairlead.net.tls import listener_context, peer_problem, server_context, verify_peer_host

NOW = datetime.datetime.now(datetime.UTC)


@dataclass
class Pair:
    cert: Path
    key: Path
    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    def params(self, ca: Pair | None = None, **more):
        result = {"ssl": True, "ssl_cert": str(self.cert), "ssl_key": str(self.key), **more}
        if ca is not None:
            result["ssl_ca"] = str(ca.cert)
        return result

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


class Certs:
    """Certificates and keys in files."""

    def __init__(self, directory: Path):
        self.directory = directory

    def make(self, name, issuer=None, usages=(), names=(), addresses=(), ca=False, password=None) -> Pair:
        private = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(hours=1))
            .not_valid_after(NOW + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names or addresses:
            alternatives = [x509.DNSName(one) for one in names]
            alternatives += [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(issuer.private if issuer else private, hashes.SHA256())
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        chain = certificate.public_bytes(serialization.Encoding.PEM)
        if issuer is not None and issuer.certificate.issuer != issuer.certificate.subject:
            chain += issuer.certificate.public_bytes(serialization.Encoding.PEM)
        cert.write_bytes(chain)
        encryption = (
            serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        )
        key.write_bytes(
            private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return Pair(cert, key, certificate, private)

    def revoke(self, issuer: Pair, revoked: Pair) -> Path:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(revoked.certificate.serial_number)
            .revocation_date(NOW)
            .build()
        )
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(NOW - datetime.timedelta(hours=1))
            .next_update(NOW + datetime.timedelta(days=1))
            .add_revoked_certificate(entry)
            .sign(issuer.private, hashes.SHA256())
        )
        path = self.directory / "crl.pem"
        path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
        return path


@pytest.fixture(scope="module")
def certs(tmp_path_factory) -> Certs:
    return Certs(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def ca(certs) -> Pair:
    return certs.make("authority", ca=True)


@pytest.fixture(scope="module")
def proxy(certs, ca) -> Pair:
    return certs.make("proxy", ca, [Usage.SERVER_AUTH], ["localhost"], ["127.0.0.1"])


@pytest.fixture(scope="module")
def client(certs, ca) -> Pair:
    return certs.make("client", ca, [Usage.CLIENT_AUTH], [], ["127.0.0.1"])


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str | None = None):
    """Run a handshake in memory; returns both ends. Raises what either of them raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server, server_hostname=host)]
    ends.append(server.wrap_bio(to_server, to_client, server_side=True))
    waiting = list(ends)
    for _ in range(20):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            # With TLS 1.3 the server's verdict on the client's certificate arrives with the first data.
            ends[1].write(b"x")
            ends[0].read(1)
            return ends
    raise AssertionError("the handshake does not end")


def plain_client(**limits) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in limits.items():
        setattr(context, name, value)
    return context


# -- versions and ciphers


@pytest.mark.parametrize("given", ["TLSv1.2", ("TLSv12",), ["TLSv1.2"]])
def test_exact_versions(proxy, given):
    context = listener_context(proxy.params(ssl_version=given))
    assert handshake(context, plain_client())[0].version() == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        handshake(context, plain_client(minimum_version=ssl.TLSVersion.TLSv1_3))


def test_only_the_newest(proxy):
    context = listener_context(proxy.params(ssl_version=("TLSv1.3",)))
    assert handshake(context, plain_client())[0].version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        handshake(context, plain_client(maximum_version=ssl.TLSVersion.TLSv1_2))


def test_versions_with_a_hole(proxy):
    context = listener_context(proxy.params(ssl_version="TLSv1.1,TLSv1.3", ssl_cipher="DEFAULT:@SECLEVEL=0"))
    assert handshake(context, plain_client())[0].version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        handshake(context, plain_client(maximum_version=ssl.TLSVersion.TLSv1_2))


@pytest.mark.parametrize("given", [None, (), "MAX", ("MAX",)])
def test_all_versions(proxy, given):
    context = listener_context(proxy.params(ssl_version=given))
    assert handshake(context, plain_client())[0].version() == "TLSv1.3"
    assert handshake(context, plain_client(maximum_version=ssl.TLSVersion.TLSv1_2))[0].version() == "TLSv1.2"


def test_ciphers(proxy):
    params = proxy.params(ssl_version="TLSv1.2", ssl_cipher="ECDHE-ECDSA-AES128-GCM-SHA256")
    cipher = handshake(listener_context(params), plain_client())[0].cipher()
    assert cipher[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_wrong_words(proxy):
    with pytest.raises(ValueError, match=r"ssl_version=SSLv3 is unknown; use MAX or some of TLSv1\.0, "):
        listener_context(proxy.params(ssl_version="SSLv3"))
    with pytest.raises(ValueError, match="ssl_cipher=NOTHING selects no cipher"):
        listener_context(proxy.params(ssl_cipher="NOTHING"))


# -- whose certificate is demanded


def test_client_certificates(certs, ca, proxy, client):
    stranger = certs.make("stranger", certs.make("other_authority", ca=True), [Usage.CLIENT_AUTH])
    anybody = listener_context(proxy.params(ca))
    verified = listener_context(proxy.params(ca, ssl_verify_peer_certificate=True))
    for pair, welcome in ((None, False), (stranger, False), (client, True)):
        context = plain_client()
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        handshake(anybody, context)
        if welcome:
            handshake(verified, context)
        else:
            with pytest.raises(ssl.SSLError):
                handshake(verified, context)


def test_certificate_of_a_server(certs, ca, proxy):
    listener = listener_context(proxy.params())
    other = certs.make("yet_another", ca=True)
    handshake(listener, server_context({"ssl": True}), "10.0.0.1")
    handshake(listener, server_context({"ssl": True, "ssl_ca": str(other.cert)}), "10.0.0.1")
    verified = server_context({"ssl_ca": str(ca.cert), "ssl_verify_peer_certificate": True})
    handshake(listener, verified, "10.0.0.1")
    with pytest.raises(ssl.SSLError):
        handshake(listener, server_context({"ssl_ca": str(other.cert), "ssl_verify_peer_certificate": True}))


@pytest.mark.parametrize("verified", [True, False])
def test_the_systems_authorities_only_to_verify(proxy, monkeypatch, verified):
    """OpenSSL reads their directory in every handshake, even of one that verifies nothing."""
    loaded = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda context, purpose: loaded.append(purpose))
    server_context({"ssl": True, "ssl_verify_peer_certificate": verified})
    listener_context(proxy.params(ssl_verify_peer_certificate=verified))
    assert loaded == ([ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH] if verified else [])


@pytest.mark.parametrize("verified", [True, False])
def test_name_of_a_server(ca, proxy, verified):
    listener = listener_context(proxy.params())
    context = server_context(
        {"ssl_ca": str(ca.cert), "ssl_verify_peer_certificate": verified, "ssl_verify_peer_host": True}
    )
    for host in ("127.0.0.1", "localhost"):
        handshake(listener, context, host)
    for host in ("127.0.0.2", "example.com"):
        with pytest.raises(ssl.SSLCertVerificationError, match=f"not for '{host}'"):
            handshake(listener, context, host)


def test_own_certificate_towards_servers(ca, proxy, client):
    listener = listener_context(proxy.params(ca, ssl_verify_peer_certificate=True))
    handshake(listener, server_context(client.params(ca)), "127.0.0.1")
    with pytest.raises(ssl.SSLError):
        handshake(listener, server_context({"ssl_ca": str(ca.cert)}), "127.0.0.1")


def test_depth_of_the_chain(certs, ca):
    middle = certs.make("middle", ca, ca=True)
    inner = certs.make("inner", middle, ca=True)
    leaf = certs.make("leaf", inner, [Usage.SERVER_AUTH])
    leaf.cert.write_bytes(leaf.cert.read_bytes() + middle.cert.read_bytes())
    listener = listener_context(leaf.params())
    params = {"ssl_ca": str(ca.cert), "ssl_verify_peer_certificate": True}
    handshake(listener, server_context({**params, "ssl_cert_verify_depth": 3}), "x.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="chain is 3 deep, ssl_cert_verify_depth allows 2"):
        handshake(listener, server_context({**params, "ssl_cert_verify_depth": 2}), "x.example")


def test_host_of_a_client(ca, proxy, client):
    params = proxy.params(ca, ssl_verify_peer_certificate=True, ssl_verify_peer_host=True)
    context = plain_client()
    context.load_cert_chain(client.cert, client.key)
    served = handshake(listener_context(params), context)[1]
    assert peer_problem(served, params, "127.0.0.1") is None
    assert peer_problem(served, params, "10.0.0.1") == "the peer's certificate is not for '10.0.0.1'"
    assert peer_problem(served, {}, "10.0.0.1") is None
    served = handshake(listener_context(proxy.params()), plain_client())[1]
    assert peer_problem(served, params, "10.0.0.1") is None


def test_revoked_certificate(certs, ca, proxy, client):
    other = certs.make("other_client", ca, [Usage.CLIENT_AUTH])
    crl = certs.revoke(ca, client)
    listener = listener_context(proxy.params(ca, ssl_verify_peer_certificate=True, ssl_crl=str(crl)))
    context = plain_client()
    context.load_cert_chain(other.cert, other.key)
    handshake(listener, context)
    context = plain_client()
    context.load_cert_chain(client.cert, client.key)
    with pytest.raises(ssl.SSLError, match="revoked"):
        handshake(listener, context)


# -- names in certificates


def test_names(certs):
    pair = certs.make(
        "cn.example", names=["db.example.com", "*.lan.example"], addresses=["10.0.0.1", "fe80::1"]
    )
    for host in ("db.example.com", "DB.example.com.", "x.lan.example", "10.0.0.1", "fe80::1", "[fe80::1]"):
        assert verify_peer_host(pair.der, host), host
    for host in ("example.com", "a.b.lan.example", "lan.example", "10.0.0.2", "cn.example", ""):
        assert not verify_peer_host(pair.der, host), host
    assert verify_peer_host(certs.make("cn.example").der, "cn.example")
    assert verify_peer_host(certs.make("10.0.0.7").der, "10.0.0.7")
    assert not verify_peer_host(b"no certificate", "cn.example")


# -- files


def refusal(make, params) -> str:
    with pytest.raises(ValueError) as error:
        make(params)
    return str(error.value)


def test_missing_parameters(proxy):
    for name, other in (("ssl_cert", "ssl_key"), ("ssl_key", "ssl_cert")):
        params = proxy.params()
        del params[name]
        assert refusal(listener_context, params) == (
            f"{name} is not set; a listener with ssl=true needs both ssl_cert and ssl_key"
        )
        assert refusal(server_context, params) == (
            f"{other} is set but {name} is not; a server needs both of them or none"
        )


def test_missing_and_useless_files(tmp_path, certs, ca, proxy):
    text = refusal(listener_context, proxy.params(ssl_cert="/no/such/cert.pem"))
    assert text.startswith(
        "ssl_cert=/no/such/cert.pem: the file does not exist; a PEM file with the certificate"
    )
    assert "this is not a file" in refusal(listener_context, proxy.params(ssl_key=str(tmp_path)))
    assert "ssl_ca=/nothing: the file does not" in refusal(server_context, {"ssl_ca": "/nothing"})
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    for name, words in (
        ("ssl_cert", "no PEM certificate was found"), ("ssl_key", "no usable private key was found"),
        ("ssl_ca", "authorities is needed"), ("ssl_crl", "no PEM revocation list was found"),
    ):  # fmt: skip
        text = refusal(listener_context, proxy.params(**{name: str(junk)}))
        assert text.startswith(f"{name}={junk}: ") and words in text, text


def test_key_of_another(proxy, client):
    text = refusal(listener_context, proxy.params(ssl_key=str(client.key)))
    assert text.startswith(f"ssl_key={client.key} does not belong to ssl_cert={proxy.cert}")


def test_encrypted_key(certs, ca):
    pair = certs.make("secret", ca, password=b"word")
    assert "the key is encrypted with a passphrase" in refusal(listener_context, pair.params())


def test_usages(certs, ca, proxy, client):
    assert refusal(listener_context, client.params()) == (
        f"ssl_cert={client.cert}: the certificate may be used for clientAuth only (extended key usage);"
        " a listener needs one for serverAuth, or one without that restriction"
    )
    assert "a server object needs one for clientAuth" in refusal(server_context, proxy.params())
    for usages in ([], [Usage.ANY_EXTENDED_KEY_USAGE], [Usage.CLIENT_AUTH, Usage.SERVER_AUTH]):
        pair = certs.make("many", ca, usages)
        listener_context(pair.params())
        server_context(pair.params())


# -- through asyncio, as the SQL client uses it


@pytest.mark.parametrize("host, welcome", [("127.0.0.1", True), ("localhost", True), ("example.com", False)])
def test_name_of_a_server_through_asyncio(ca, proxy, host, welcome):
    context = server_context(
        {"ssl_ca": str(ca.cert), "ssl_verify_peer_certificate": True, "ssl_verify_peer_host": True}
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    async def scenario() -> bytes:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=listener_context(proxy.params()))
        async with server, asyncio.timeout(10):
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=host
            )
            data = await reader.read()
            writer.close()
            return data

    if welcome:
        assert asyncio.run(scenario()) == b"hello"
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match=r"not for 'example\.com'"):
            asyncio.run(scenario())
