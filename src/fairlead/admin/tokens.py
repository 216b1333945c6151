"""Login tokens: JSON Web Tokens that this instance signs and accepts.

Invariant: only the one algorithm that tokens are signed with is ever accepted. Source: spec core.md d2, a4.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

DEFAULT_MAX_AGE_S = 28_800
_EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_REQUIRED = ["iss", "aud", "sub", "iat", "exp"]


class Tokens:
    """Signs and verifies with one key. ValueError if the configured algorithm and key do not fit."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.issuer = str(parameters.get("admin_jwt_issuer") or "maxscale")
        wanted = str(parameters.get("admin_jwt_algorithm") or "auto").upper()
        key_path = parameters.get("admin_ssl_key")
        if wanted.startswith("HS") or (wanted == "AUTO" and not key_path):
            self._algorithm = "HS256" if wanted == "AUTO" else wanted
            text = str(parameters.get("admin_jwt_key") or "")
            # HMAC wants a key as long as its output; a text of any length becomes one.
            secret = hashlib.sha512(text.encode()).digest() if text else secrets.token_bytes(64)
            self._private: Any = secret
            self._public: Any = secret
            return
        if not key_path:
            raise ValueError(f"admin_jwt_algorithm={wanted.lower()} needs admin_ssl_key")
        private = serialization.load_pem_private_key(Path(key_path).read_bytes(), None)
        self._private, self._public = private, private.public_key()
        fitting = _algorithms_of(private)
        if wanted != "AUTO" and wanted not in fitting:
            raise ValueError(f"The key '{key_path}' cannot be used for admin_jwt_algorithm={wanted.lower()}")
        chosen = fitting[0] if wanted == "AUTO" else wanted
        self._algorithm = "EdDSA" if chosen.startswith("ED") else chosen

    def issue(self, user: str, account: str, max_age_s: int) -> str:
        """A token for a user that has logged in."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": user,
            "sub": user,
            "iat": now,
            "exp": now + max_age_s,
            "account": account,
        }
        return jwt.encode(claims, self._private, algorithm=self._algorithm)

    def user_of(self, token: str) -> str | None:
        """The user a token was issued to; None if it is not (or no longer) good."""
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[self._algorithm],
                issuer=self.issuer,
                options={"require": _REQUIRED, "verify_aud": False},
            )
        except jwt.InvalidTokenError:
            return None
        user = claims["sub"]
        return user if isinstance(user, str) and claims["aud"] in (user, [user]) else None


def _algorithms_of(key: Any) -> list[str]:
    """What can be signed with a private key, the preferred algorithm first."""
    if isinstance(key, rsa.RSAPrivateKey):
        return ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"]
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _EC_ALGORITHMS:
        return [_EC_ALGORITHMS[key.curve.name]]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return ["ED25519"]
    if isinstance(key, ed448.Ed448PrivateKey):
        return ["ED448"]
    raise ValueError("tokens cannot be signed with this kind of admin_ssl_key")
