"""TLS contexts of listeners and servers, built from their parameters and checked completely before they are
used.

Invariant: a context that exists is usable - files readable, key and certificate of one pair, certificate
allowed for its purpose - and accepts exactly the versions asked for. Every ValueError names parameter,
file, what was found and what is needed. Source: spec core.md a8.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VERSIONS = {
    "TLSv1.0": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_WITHOUT = {
    "TLSv1.0": ssl.OP_NO_TLSv1,
    "TLSv1.1": ssl.OP_NO_TLSv1_1,
    "TLSv1.2": ssl.OP_NO_TLSv1_2,
    "TLSv1.3": ssl.OP_NO_TLSv1_3,
}
_SYNONYMS = {name.replace(".", ""): name for name in _VERSIONS}
DEFAULT_VERIFY_DEPTH = 9

_USAGE_NAMES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
}


def listener_context(params: Mapping[str, Any]) -> ssl.SSLContext:
    """The context with which clients of a listener are served. ValueError if it cannot be."""
    for name in ("ssl_cert", "ssl_key"):
        if not params.get(name):
            raise ValueError(f"{name} is not set; a listener with ssl=true needs both ssl_cert and ssl_key")
    context = _context(ssl.PROTOCOL_TLS_SERVER, params)
    _load_own(context, params, ExtendedKeyUsageOID.SERVER_AUTH, "a listener")
    _load_authorities(context, params, ssl.Purpose.CLIENT_AUTH)
    if params.get("ssl_crl"):
        _load_revocations(context, str(params["ssl_crl"]))
    context.verify_mode = ssl.CERT_REQUIRED if params.get("ssl_verify_peer_certificate") else ssl.CERT_NONE
    return context


def server_context(params: Mapping[str, Any]) -> ssl.SSLContext:
    """The context with which a server is connected to. ValueError if it cannot be.

    Pass the server's address as `server_hostname`: ssl_verify_peer_host compares the certificate with it.
    """
    if bool(params.get("ssl_cert")) != bool(params.get("ssl_key")):
        found, missing = ("ssl_cert", "ssl_key") if params.get("ssl_cert") else ("ssl_key", "ssl_cert")
        raise ValueError(f"{found} is set but {missing} is not; a server needs both of them or none")
    context = _context(ssl.PROTOCOL_TLS_CLIENT, params)
    context.check_hostname = False
    if params.get("ssl_cert"):
        _load_own(context, params, ExtendedKeyUsageOID.CLIENT_AUTH, "a server object")
    _load_authorities(context, params, ssl.Purpose.SERVER_AUTH)
    if params.get("ssl_crl"):
        _load_revocations(context, str(params["ssl_crl"]))
    context.verify_mode = ssl.CERT_REQUIRED if params.get("ssl_verify_peer_certificate") else ssl.CERT_NONE
    return context


# -- the peer's certificate, when the handshake is over


def verify_peer_host(certificate: bytes, host: str) -> bool:
    """Whether a certificate (DER) names this host: an address or a name, `*` allowed as a whole first label.

    The common name counts only if there are no alternative names.
    """
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        alternatives = _alternative_names(parsed)
    except ValueError:
        return False
    try:
        address = ipaddress.ip_address(host.strip("[]").split("%", 1)[0])
    except ValueError:
        address = None
    if alternatives is not None:
        if address is not None:
            return address in alternatives.get_values_for_type(x509.IPAddress)
        return any(_name_matches(name, host) for name in alternatives.get_values_for_type(x509.DNSName))
    names = [str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return any(name == str(address) if address is not None else _name_matches(name, host) for name in names)


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _name_matches(pattern: str, host: str) -> bool:
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern.startswith("*."):
        first, dot, rest = host.partition(".")
        return bool(first and dot) and rest == pattern[2:] and "." in rest
    return pattern == host


def peer_problem(tls: ssl.SSLObject | ssl.SSLSocket, params: Mapping[str, Any], host: str) -> str | None:
    """What is wrong with the peer's certificate in the eyes of `params`; None if nothing is.

    For listeners `host` is the client's address. A peer without certificate has no host to be verified.
    """
    certificate = tls.getpeercert(binary_form=True)
    if certificate is None:
        return None
    if params.get("ssl_verify_peer_certificate"):
        depth = int(params.get("ssl_cert_verify_depth", DEFAULT_VERIFY_DEPTH))
        found = _chain_depth(tls)
        if found > depth:
            return f"the peer's certificate chain is {found} deep, ssl_cert_verify_depth allows {depth}"
    if params.get("ssl_verify_peer_host") and not verify_peer_host(certificate, host):
        return f"the peer's certificate is not for '{host}'"
    return None


def _chain_depth(tls: ssl.SSLObject | ssl.SSLSocket) -> int:
    """Distance from the peer's certificate to the trusted root; 0 if it cannot be told."""
    # Public only since Python 3.13.
    chain = getattr(tls, "get_verified_chain", None) or getattr(
        getattr(tls, "_sslobj", None), "get_verified_chain", None
    )
    certificates = chain() if chain is not None else None
    return len(certificates) - 1 if certificates else 0


# -- building


class _Context(ssl.SSLContext):
    """A context that remembers its parameters, so that connections made with it can judge their peers."""

    params: Mapping[str, Any]


def _refuse_if_wrong(tls: ssl.SSLObject | ssl.SSLSocket) -> None:
    context = tls.context
    host = tls.server_hostname
    if tls.server_side or not isinstance(context, _Context) or not host:
        return
    problem = peer_problem(tls, context.params, host)
    if problem is not None:
        raise ssl.SSLCertVerificationError(1, problem)


class _CheckedObject(ssl.SSLObject):
    """Looks at the depth of the chain and the name in the certificate when the handshake ends."""

    def do_handshake(self) -> None:
        super().do_handshake()
        _refuse_if_wrong(self)


class _CheckedSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        _refuse_if_wrong(self)


def _context(protocol: int, params: Mapping[str, Any]) -> _Context:
    context = _Context(protocol)
    context.params = params
    context.sslobject_class = _CheckedObject
    context.sslsocket_class = _CheckedSocket
    _set_versions(context, params.get("ssl_version"))
    cipher = params.get("ssl_cipher")
    if cipher:
        try:
            context.set_ciphers(str(cipher))
        except ssl.SSLError:
            raise ValueError(f"ssl_cipher={cipher} selects no cipher; see 'openssl ciphers'") from None
    return context


def _set_versions(context: ssl.SSLContext, given: str | tuple[str, ...] | list[str] | None) -> None:
    """Allow exactly the versions given; MAX (or nothing) allows what the library holds safe."""
    words = given.split(",") if isinstance(given, str) else list(given or ())
    names = [_SYNONYMS.get(word.strip(), word.strip()) for word in words if word.strip()]
    for name in names:
        if name != "MAX" and name not in _VERSIONS:
            raise ValueError(f"ssl_version={name} is unknown; use MAX or some of {', '.join(_VERSIONS)}")
    if not names or "MAX" in names:
        return
    wanted = [name for name in _VERSIONS if name in names]
    with warnings.catch_warnings():
        # Old versions are marked deprecated; the administrator has asked for them by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _VERSIONS[wanted[0]]
        context.maximum_version = _VERSIONS[wanted[-1]]
        for name, option in _WITHOUT.items():
            if name not in wanted:
                context.options |= option


def _read(name: str, path: str, needed: str) -> bytes:
    file = Path(path)
    if not file.exists():
        problem = "the file does not exist"
    elif not file.is_file():
        problem = "this is not a file"
    elif not os.access(file, os.R_OK):
        problem = "the file is not readable for this process"
    else:
        try:
            return file.read_bytes()
        except OSError as error:
            problem = error.strerror or str(error)
    raise ValueError(f"{name}={path}: {problem}; {needed} is needed")


def _load_own(
    context: ssl.SSLContext, params: Mapping[str, Any], usage: x509.ObjectIdentifier, whose: str
) -> None:
    cert_path, key_path = str(params["ssl_cert"]), str(params["ssl_key"])
    needed = "a PEM file with the certificate, and its chain behind it,"
    pem = _read("ssl_cert", cert_path, needed)
    key_pem = _read("ssl_key", key_path, "a PEM file with the private key")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise ValueError(f"ssl_cert={cert_path}: no PEM certificate was found; {needed} is needed") from None
    _check_key(certificate, key_pem, cert_path, key_path)
    _check_usage(certificate, usage, cert_path, whose)
    try:
        context.load_cert_chain(cert_path, key_path)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"ssl_cert={cert_path}, ssl_key={key_path}: {_words(error)}") from None


def _check_key(certificate: x509.Certificate, key_pem: bytes, cert_path: str, key_path: str) -> None:
    needed = "an unencrypted private key in PEM form is needed"
    try:
        key = serialization.load_pem_private_key(key_pem, None)
    except TypeError:
        raise ValueError(f"ssl_key={key_path}: the key is encrypted with a passphrase; {needed}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"ssl_key={key_path}: no usable private key was found; {needed}") from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise ValueError(
            f"ssl_key={key_path} does not belong to ssl_cert={cert_path} (their public keys differ);"
            " the key with which the certificate was requested is needed"
        )


def _check_usage(certificate: x509.Certificate, needed: x509.ObjectIdentifier, path: str, whose: str) -> None:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    except ValueError:
        raise ValueError(f"ssl_cert={path}: the extensions of the certificate cannot be read") from None
    if needed in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages:
        return
    found = ", ".join(_USAGE_NAMES.get(usage, usage.dotted_string) for usage in usages)
    raise ValueError(
        f"ssl_cert={path}: the certificate may be used for {found} only (extended key usage);"
        f" {whose} needs one for {_USAGE_NAMES[needed]}, or one without that restriction"
    )


def _load_authorities(context: ssl.SSLContext, params: Mapping[str, Any], purpose: ssl.Purpose) -> None:
    path = params.get("ssl_ca") or params.get("ssl_ca_cert")
    if not path:
        # Where nothing is verified nobody needs them; but OpenSSL would look for the issuer of every
        # certificate, its own too, and read the system's whole directory of authorities in each handshake.
        if params.get("ssl_verify_peer_certificate"):
            context.load_default_certs(purpose)
        return
    needed = "a PEM file with the certificates of the authorities"
    _read("ssl_ca", str(path), needed)
    try:
        context.load_verify_locations(str(path))
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"ssl_ca={path}: {_words(error)}; {needed} is needed") from None


def _load_revocations(context: ssl.SSLContext, path: str) -> None:
    needed = "a PEM file with a certificate revocation list"
    pem = _read("ssl_crl", path, needed)
    try:
        x509.load_pem_x509_crl(pem)
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError, ValueError):
        raise ValueError(f"ssl_crl={path}: no PEM revocation list was found; {needed} is needed") from None
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def _words(error: OSError) -> str:
    """OpenSSL's own words without codes and source lines."""
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else (error.strerror or str(error))
