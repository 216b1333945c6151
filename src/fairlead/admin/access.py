"""Who may do what: hosts, then credentials, then the kind of account.

Invariant: nothing of a request is looked at before it has been admitted here, and what is judged is the
method that will be executed. Source: spec core.md d1 (status codes), d2, h18.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import logging
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

from fairlead.accounts.patterns import HostRule, reduce_address
from fairlead.admin.http import Answer, ApiError, Call
from fairlead.admin.query import number
from fairlead.admin.tokens import DEFAULT_MAX_AGE_S, Tokens
from fairlead.admin.users import ADMIN, BASIC, User, Users
from fairlead.workers.ports import Product

logger = logging.getLogger(__name__)

COOKIE = "token_sig"
REALM = 'Basic realm="maxscale"'
# How long a reverse look-up of a client's name may take.
NAME_TIMEOUT_S = 2.0
TOKEN_AGE_S_MAX = 10 * 365 * 86_400


class Access:
    """Admits requests."""

    def __init__(self, product: Product, users: Users, tokens: Tokens) -> None:
        self._product = product
        self._users = users
        self._tokens = tokens

    async def admit(self, call: Call) -> None:
        """Set the user of the call, or raise the ApiError that refuses it."""
        parameters = self._product.store.snapshot().globals
        may_write = await self._check_host(call)
        if not parameters.get("admin_auth", True):
            call.account = ADMIN
            if not call.is_reading and not may_write:
                raise self._refusal(call)
            return
        token = _token_of(call)
        if token is not None:
            user = self._user_of_token(token)
            refusal = ApiError(403, "Administrative access required")
        else:
            user = await self._user_of_password(call)
            refusal = self._refusal(call)
        if user is None:
            if parameters.get("admin_log_auth_failures", True):
                logger.warning("Authentication of a REST API client at '%s' failed", call.client_address)
            raise self._refusal(call)
        call.user, call.account = user.name, user.account
        if call.is_reading or call.segments[:1] == ["sql"]:
            return
        if not may_write:
            raise self._refusal(call)
        if not user.is_admin:
            raise refusal

    def _refusal(self, call: Call) -> ApiError:
        if call.request.headers.get("x-requested-with", "").lower() == "xmlhttprequest":
            return ApiError(401, "Access denied")
        return ApiError(401, "Access denied", headers={"WWW-Authenticate": REALM})

    # -- hosts

    async def _check_host(self, call: Call) -> bool:
        """Whether the host may change things; 401 if it may not even look."""
        parameters = self._product.store.snapshot().globals
        writing = tuple(parameters.get("admin_readwrite_hosts") or ("%",))
        reading = tuple(parameters.get("admin_readonly_hosts") or ("%",))
        address = reduce_address(call.client_address)
        name: str | None = None
        names_matter = any(HostRule(each).may_be_name for each in writing + reading)
        if names_matter and not parameters.get("skip_name_resolve") and not _fits(writing, address, None):
            name = await _name_of(address)
        if _fits(writing, address, name):
            return True
        if _fits(reading, address, name):
            return False
        raise self._refusal(call)

    # -- credentials

    def _user_of_token(self, token: str) -> User | None:
        name = self._tokens.user_of(token)
        return self._users.get(name) if name is not None else None

    async def _user_of_password(self, call: Call) -> User | None:
        scheme, _, encoded = call.request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        return await self._users.authenticate(name, password) if colon else None

    # -- GET /auth

    async def login(self, call: Call) -> Answer:
        """A token, as document or as cookie. The caller has been admitted."""
        parameters = self._product.store.snapshot().globals
        secure = call.scheme == "https"
        if call.flag("logout"):
            return Answer(200, cookie=_cookie("", secure, 0))
        if parameters.get("admin_gui", True) and parameters.get("admin_secure_gui", True) and not secure:
            raise ApiError(401, "Connection is not encrypted")
        user = await self._user_of_password(call)
        if user is None:
            raise self._refusal(call)
        given = "max-age" in call.options
        age = number(call.options, "max-age", 0, TOKEN_AGE_S_MAX, DEFAULT_MAX_AGE_S)
        ceiling = int(parameters.get("admin_jwt_max_age") or 0) // 1000
        age = min(age, ceiling) if ceiling > 0 else age
        token = self._tokens.issue(user.name, ADMIN if user.is_admin else BASIC, age)
        if call.flag("persist"):
            return Answer(204, cookie=_cookie(token, secure, age if given else None))
        return Answer(200, {"meta": {"token": token}})


def _token_of(call: Call) -> str | None:
    """The token of a request; a cookie counts before a header. `/auth` wants a password."""
    if call.segments == ["auth"]:
        return None
    try:
        cookie = SimpleCookie(call.request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    if cookie is not None and cookie.value:
        return str(cookie.value)
    scheme, _, token = call.request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookie(value: str, secure: bool, max_age: int | None) -> str:
    parts = [f"{COOKIE}={value}", "HttpOnly", "SameSite=Strict", "Path=/"]
    if secure:
        parts.append("Secure")
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    return "; ".join(parts)


def _fits(patterns: Iterable[str], address: str, name: str | None) -> bool:
    return any(_fits_one(pattern, address, name) for pattern in patterns)


def _fits_one(pattern: str, address: str, name: str | None) -> bool:
    if "/" in pattern:
        try:
            return ipaddress.ip_address(address) in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    return HostRule(pattern).matches(address, name.lower() if name else None)


async def _name_of(address: str) -> str | None:
    """The name of an address, only if the name leads back to the address."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(NAME_TIMEOUT_S):
            name, _ = await loop.getnameinfo((address, 0), socket.NI_NAMEREQD)
            found = await loop.getaddrinfo(name, None)
    except (OSError, TimeoutError):
        return None
    return name if address in {reduce_address(str(entry[4][0])) for entry in found} else None
