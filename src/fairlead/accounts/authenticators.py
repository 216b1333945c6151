"""How a client proves who it is: one `Authenticator` per method, one `AuthExchange` per login, both without
I/O.

An exchange ends with `Accepted` or `Refused`; until then the caller sends what `SwitchTo` and `NeedMore`
ask for. Invariant: an exchange for an account that does not exist takes the same steps as one that fails.
Source: core.md c4.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from hmac import compare_digest

from msgspec import Struct

from fairlead.accounts.directory import DirectoryOptions
from fairlead.accounts.model import Account
from fairlead.protocol.auth import sha1, xor

NATIVE_PLUGIN = "mysql_native_password"
SCRAMBLE_BYTES = 20
_SCRAMBLE_BYTES = SCRAMBLE_BYTES
# What the token of an account without a usable hash is compared with.
_NO_HASH = bytes(SCRAMBLE_BYTES)
_from_hex = bytes.fromhex
# Of a caller's plugin name that is printed or compared, at most so many characters.
PLUGIN_NAME_CHARS_MAX = 64

# -- outcomes


class SwitchTo(Struct, frozen=True):
    """Ask the client to use another plugin (AuthSwitchRequest); `data` is what follows the plugin's name."""

    plugin: str
    data: bytes


class NeedMore(Struct, frozen=True):
    """Send this (AuthMoreData) and wait for the client's answer."""

    data: bytes


class Accepted(Struct, frozen=True):
    """The client is who it says. `sha1_password`: SHA1(password), for the servers; empty without password."""

    sha1_password: bytes


class Refused(Struct, frozen=True):
    """The login fails with this error. `detail`: words for the log only."""

    errno: int
    sqlstate: str
    message: str
    detail: str = ""


Outcome = SwitchTo | NeedMore | Accepted | Refused


def access_denied(user: str, host: str, password: bool) -> Refused:
    """The error for a wrong password or an unknown account."""
    using = "YES" if password else "NO"
    return Refused(1045, "28000", f"Access denied for user '{user}'@'{host}' (using password: {using})")


def database_denied(user: str, host: str, database: str, errno: int) -> Refused:
    """The error for a verdict of `AccountDirectory.check_database`."""
    if errno == 1049:
        return Refused(1049, "42000", f"Unknown database '{database}'")
    return Refused(1044, "42000", f"Access denied for user '{user}'@'{host}' to database '{database}'")


def plugin_not_loaded(plugin: str) -> Refused:
    """The error for an account whose plugin no authenticator of the listener serves."""
    return Refused(1524, "HY000", f"Plugin '{plugin}' is not loaded")


# -- options


class AuthOptions(Struct, frozen=True):
    """`authenticator_options` of a listener; `warnings` are to be logged once."""

    skip_authentication: bool = False
    match_host: bool = True
    lower_case_table_names: int = 0
    log_password_mismatch: bool = False
    warnings: tuple[str, ...] = ()

    def directory(self, enable_root_user: bool = False, strip_db_esc: bool = True) -> DirectoryOptions:
        """These options, with those of the service, as the directory of accounts takes them."""
        return DirectoryOptions(
            match_host=self.match_host,
            lower_case_table_names=self.lower_case_table_names,
            enable_root_user=enable_root_user,
            strip_db_esc=strip_db_esc,
        )


_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_BOOLEANS = ("skip_authentication", "match_host", "log_password_mismatch", "clear_pw_passthrough")
_IGNORED = ("cache_dir", "inject_service_user")
_KNOWN = (*_BOOLEANS, "lower_case_table_names", *_IGNORED)


def parse_options(text: str) -> AuthOptions:
    """The options in `k=v,k=v`; ValueError says which one is wrong and what is allowed."""
    values: dict[str, bool | int] = {}
    warnings: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key not in _KNOWN:
            raise ValueError(_unknown_option(key))
        if not equals:
            raise ValueError(f"authenticator_options: '{part}' has no value; write {key}=VALUE")
        if key in _IGNORED:
            warnings.append(f"authenticator_options: {key} has no effect and is ignored")
        elif key == "lower_case_table_names":
            values[key] = _table_names(value)
        else:
            values[key] = _boolean(key, value)
    if values.pop("clear_pw_passthrough", False):
        raise ValueError("authenticator_options: clear_pw_passthrough=true is not supported yet")
    return AuthOptions(warnings=tuple(warnings), **values)  # type: ignore[arg-type]


def _unknown_option(key: str) -> str:
    near = difflib.get_close_matches(key, _KNOWN, 1)
    hint = f"; did you mean '{near[0]}'?" if near else f"; known are: {', '.join(_KNOWN)}"
    return f"authenticator_options: unknown option '{key}'{hint}"


def _boolean(key: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ValueError(f"authenticator_options: {key}={value} is not a boolean; use true or false")


def _table_names(value: str) -> int:
    if value not in ("0", "1", "2"):
        raise ValueError(f"authenticator_options: lower_case_table_names={value} is not one of 0, 1, 2")
    return int(value)


# -- authenticators


class AuthExchange:
    """One login: `begin` with what the client's login packet holds, then `step` with each further answer."""

    def begin(self, client_plugin: str, token: bytes) -> Outcome:
        """The client's login packet."""
        raise NotImplementedError

    def step(self, data: bytes) -> Outcome:
        """The client's answer to what the last outcome asked for."""
        raise NotImplementedError


class Authenticator:
    """One method. `plugins`: those of the accounts it serves; `client_plugin`: the one that clients use."""

    def __init__(self, name: str, plugins: frozenset[str], client_plugin: str) -> None:
        self.name = name
        self.plugins = plugins
        self.client_plugin = client_plugin

    def start(self, account: Account | None, user: str, host: str, scramble: bytes) -> AuthExchange:
        """An exchange for this account; None: for an account that does not exist."""
        raise NotImplementedError


def stored_hash(account: Account | None) -> bytes | None:
    """SHA1(SHA1(password)) of an account; empty without password; None if no password can match."""
    if account is None:
        return None
    password = account.password
    if not password:
        return b""
    try:
        stored = _from_hex(password)
    except ValueError:
        return None
    return stored if len(stored) == _SCRAMBLE_BYTES else None


class NativeExchange(AuthExchange):
    """mysql_native_password: token = SHA1(pw) XOR SHA1(scramble + SHA1(SHA1(pw)))."""

    def __init__(
        self, account: Account | None, user: str, host: str, scramble: bytes, options: AuthOptions
    ) -> None:
        assert len(scramble) == _SCRAMBLE_BYTES
        self._user = user
        self._host = host
        self._scramble = scramble
        self._options = options
        self._known = account is not None
        self._stored = stored_hash(account)
        self._switched = False
        self._ended = False

    def begin(self, client_plugin: str, token: bytes) -> Outcome:
        """The client's login packet; another plugin than ours is answered with a switch."""
        if client_plugin and client_plugin != NATIVE_PLUGIN:
            self._switched = True
            return SwitchTo(NATIVE_PLUGIN, self._scramble + b"\0")
        return self._judge(token)

    def step(self, data: bytes) -> Outcome:
        """The client's answer to the switch."""
        assert self._switched and not self._ended
        return self._judge(data)

    def _judge(self, token: bytes) -> Outcome:
        assert not self._ended
        self._ended = True
        if token and len(token) != _SCRAMBLE_BYTES:
            return access_denied(self._user, self._host, True)
        stored = self._stored or _NO_HASH
        sha1_password = xor(token, sha1(self._scramble + stored)) if token else b""
        if self._known and self._options.skip_authentication:
            return Accepted(sha1_password)
        if self._stored == b"":
            return access_denied(self._user, self._host, True) if token else Accepted(b"")
        found = sha1(sha1_password)
        if token and compare_digest(found, stored) and self._stored is not None:
            return Accepted(sha1_password)
        refused = access_denied(self._user, self._host, bool(token))
        if self._options.log_password_mismatch and self._known:
            detail = f"password hash of the account: {stored.hex()}, of the client: {found.hex()}"
            return Refused(refused.errno, refused.sqlstate, refused.message, detail)
        return refused


class NativeAuthenticator(Authenticator):
    """`mariadbauth`: accounts with mysql_native_password, or without a plugin."""

    def __init__(self, options: AuthOptions | None = None) -> None:
        Authenticator.__init__(self, "mariadbauth", frozenset((NATIVE_PLUGIN, "")), NATIVE_PLUGIN)
        self.options = options or AuthOptions()

    def start(self, account: Account | None, user: str, host: str, scramble: bytes) -> AuthExchange:
        """An exchange for this account; None: for an account that does not exist."""
        return NativeExchange(account, user, host, scramble, self.options)


_ALIASES = {"mysqlauth": "mariadbauth"}
_PLANNED = ("ed25519auth", "pamauth", "gssapiauth")


class AuthenticatorSet:
    """The authenticators of a listener, in the order of its configuration."""

    def __init__(self, names: Iterable[str], options: str) -> None:
        """From `authenticator` and `authenticator_options`; ValueError says what is wrong with them."""
        self.options = parse_options(options)
        self.authenticators: tuple[Authenticator, ...] = tuple(
            self._make(name) for name in dict.fromkeys(_names(names)) or ("mariadbauth",)
        )

    def _make(self, name: str) -> Authenticator:
        if name == "mariadbauth":
            return NativeAuthenticator(self.options)
        if name in _PLANNED:
            raise ValueError(f"authenticator: '{name}' is not supported yet; only 'mariadbauth' is")
        raise ValueError(f"authenticator: '{name}' is unknown; use 'mariadbauth'")

    def choose(self, account: Account | None) -> Authenticator | Refused:
        """Who serves this account; for an account that does not exist the first one, which will refuse it."""
        if account is None:
            return self.authenticators[0]
        plugin = account.plugin
        for authenticator in self.authenticators:
            if plugin in authenticator.plugins:
                return authenticator
        return plugin_not_loaded(plugin[:PLUGIN_NAME_CHARS_MAX])


def _names(names: Iterable[str]) -> list[str]:
    cleaned = [name.strip().lower() for name in names]
    return [_ALIASES.get(name, name) for name in cleaned if name]
