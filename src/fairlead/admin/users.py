"""The users of the REST API: the file `passwd` in the data directory and who has proven to know a password.

Invariant: there is always at least one user, and the file on disk is always complete: it is replaced, never
written in place. Source: spec core.md d2.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from collections import OrderedDict
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec

from fairlead.admin import crypt

logger = logging.getLogger(__name__)

FILE_NAME = "passwd"
SETTING = "$6$MXS"
ADMIN, BASIC = "admin", "basic"
DEFAULT_USER, DEFAULT_PASSWORD = "admin", "mariadb"

# Verified passwords that are remembered, and for how long.
REMEMBERED_MAX = 256
REMEMBERED_S = 600.0
# Passwords that wait to be hashed at the same time; more than that are refused at once.
WAITING_MAX = 64
PASSWORD_CHARS_MAX = 1024
FILE_BYTES_MAX = 16 * 1024 * 1024
_NAME = re.compile(r"[^\x00-\x1f\x7f:/]{1,128}")
# Hashing this costs the same as hashing the password of a user that exists.
_NOBODY = f"{SETTING}$x"


class UserError(Exception):
    """A change of the users is refused."""


class User(msgspec.Struct, frozen=True):
    """A user as in the file. Times are human texts, or null if nobody knows."""

    name: str
    account: str = BASIC
    password: str = ""
    created: str | float | None = None
    last_update: str | float | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the user may change things."""
        return self.account == ADMIN


class Users:
    """The users file."""

    def __init__(self, datadir: Path) -> None:
        self.path = datadir / FILE_NAME
        self._users: dict[str, User] = {}
        self._last_logins: dict[str, str] = {}
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._hashing = asyncio.Lock()
        self._waiting = 0
        self._load()

    def _load(self) -> None:
        """Read the file; OSError or ValueError if it is there but cannot be used."""
        try:
            with self.path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            user = _new_user(DEFAULT_USER, DEFAULT_PASSWORD, ADMIN)
            self._write({user.name: user})
            logger.warning("Created the default REST API user '%s'; change its password", DEFAULT_USER)
            return
        try:
            users = msgspec.json.decode(content, type=list[User])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"The users file '{self.path}' cannot be read: {error}") from None
        if not users:
            raise ValueError(f"The users file '{self.path}' names no user")
        self._users = {user.name: user for user in users}

    def _write(self, users: dict[str, User]) -> None:
        temporary = self.path.with_name(f".{FILE_NAME}.{os.getpid()}.tmp")
        content = msgspec.json.format(msgspec.json.encode(list(users.values())), indent=4)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._users = users

    # -- looking

    def names(self) -> list[str]:
        """All users, in the order of the file."""
        return list(self._users)

    def get(self, name: str) -> User | None:
        """A user by name."""
        return self._users.get(name)

    def attributes(self, name: str) -> dict[str, Any]:
        """What the API shows of a user."""
        user = self._users[name]
        return {
            "name": user.name,
            "account": user.account,
            "created": _shown_time(user.created),
            "last_update": _shown_time(user.last_update),
            "last_login": self._last_logins.get(name),
        }

    # -- logging in

    async def authenticate(self, name: str, password: str) -> User | None:
        """The user if that is the password; every unknown password costs one hash, one at a time."""
        user = self._users.get(name)
        if len(password) > PASSWORD_CHARS_MAX:
            return None
        if user is not None and self._remembers(user, password):
            self._logged_in(user)
            return user
        if self._waiting >= WAITING_MAX:
            return None
        self._waiting += 1
        try:
            async with self._hashing:
                stored = user.password if user is not None else _NOBODY
                fits = await asyncio.to_thread(crypt.verify, password, stored)
        finally:
            self._waiting -= 1
        if user is None or not fits or self._users.get(name) != user:
            return None
        self._remembered[self._mark(user, password)] = time.monotonic() + REMEMBERED_S
        while len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        self._logged_in(user)
        return user

    def _mark(self, user: User, password: str) -> bytes:
        text = "\0".join((user.name, user.password, password)).encode()
        return hmac.new(self._key, text, hashlib.sha256).digest()

    def _remembers(self, user: User, password: str) -> bool:
        mark = self._mark(user, password)
        until = self._remembered.get(mark)
        if until is None:
            return False
        if until < time.monotonic():
            del self._remembered[mark]
            return False
        self._remembered.move_to_end(mark)
        return True

    def _logged_in(self, user: User) -> None:
        self._last_logins[user.name] = _now()

    # -- changing

    async def add(self, name: str, password: str, account: str) -> None:
        """Create a user."""
        if not _NAME.fullmatch(name):
            raise UserError(f"'{name}' is not a valid user name")
        if account not in (ADMIN, BASIC):
            raise UserError(f"'{account}' is not an account type; allowed: {ADMIN}, {BASIC}")
        if name in self._users:
            raise UserError(f"User '{name}' exists already")
        _check_password(password)
        user = await asyncio.to_thread(_new_user, name, password, account)
        self._write({**self._users, name: user})

    async def set_password(self, name: str, password: str) -> None:
        """Give a user another password."""
        _check_password(password)
        hashed = await asyncio.to_thread(crypt.sha512_crypt, password, SETTING)
        user = self._users.get(name)
        if user is None:
            raise UserError(f"User '{name}' has been removed")
        changed = msgspec.structs.replace(user, password=hashed, last_update=_now())
        self._write({**self._users, name: changed})

    def remove(self, name: str) -> None:
        """Delete a user, but not the last one, and not the last that may change anything."""
        others = {key: user for key, user in self._users.items() if key != name}
        if not others:
            raise UserError("The last user cannot be deleted")
        if self._users[name].is_admin and not any(user.is_admin for user in others.values()):
            raise UserError("The last administrator cannot be deleted")
        self._write(others)
        self._last_logins.pop(name, None)


def _check_password(password: str) -> None:
    if not password:
        raise UserError("The password is empty")
    if len(password) > PASSWORD_CHARS_MAX:
        raise UserError(f"The password is longer than {PASSWORD_CHARS_MAX} characters")


def _new_user(name: str, password: str, account: str) -> User:
    now = _now()
    return User(name, account, crypt.sha512_crypt(password, SETTING), now, now)


def _now() -> str:
    return formatdate(usegmt=True)


def _shown_time(value: str | float | None) -> str | None:
    return formatdate(value, usegmt=True) if isinstance(value, int | float) else value
