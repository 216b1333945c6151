"""Who a client is and which databases it may choose: judgements on one `AccountSet`, without any I/O.

Invariant: a directory never changes; new accounts are a new directory. Source: spec core.md c3.
"""

from __future__ import annotations

from msgspec import Struct

from fairlead.accounts.model import Account, AccountSet
from fairlead.accounts.patterns import HostRule, first_wildcard, like, reduce_address, unescape

ER_DBACCESS_DENIED = 1044
ER_BAD_DB = 1049

# The role every account has, under a name that no other role can have.
PUBLIC_ROLE = "PUBLIC"
LOCAL_HOST = "localhost"
# The database that everybody may choose.
INFORMATION_SCHEMA = "information_schema"
_SCHEMA_CHARS = len(INFORMATION_SCHEMA)


class DirectoryOptions(Struct, frozen=True):
    """What a listener and its service say about matching.

    `lower_case_table_names`: 0 names of databases are compared exactly, 1 and 2 without regard to case.
    """

    match_host: bool = True
    lower_case_table_names: int = 0
    enable_root_user: bool = False
    strip_db_esc: bool = True
    anonymous: bool = False


class _Grants:
    """The databases in which one grantee has a privilege."""

    __slots__ = ("exact", "patterns")

    def __init__(self) -> None:
        self.exact: set[str] = set()
        self.patterns: list[str] = []

    def allow(self, database: str) -> bool:
        if database in self.exact:
            return True
        for pattern in self.patterns:  # noqa: SIM110 (a generator costs more)
            if like(pattern, database):
                return True
        return False


class _Candidate:
    """An account that may be a user's, and from where."""

    __slots__ = ("account", "rule")

    def __init__(self, rule: HostRule, account: Account) -> None:
        self.rule = rule
        self.account = account


def _place(candidate: _Candidate) -> tuple[int, int, str]:
    return candidate.rule.sort_key


class AccountDirectory:
    """Accounts indexed by user, grants by grantee."""

    def __init__(self, accounts: AccountSet, options: DirectoryOptions | None = None) -> None:
        self.options = options = options or DirectoryOptions()
        self._fold_names = options.lower_case_table_names != 0
        self._match_host = options.match_host
        self._rules: dict[str, HostRule] = {}
        self._users: dict[str, list[Account]] = {}
        self._ordered: dict[str, tuple[_Candidate, ...]] = {}
        self._roles: dict[str, Account] = {}
        for account in accounts.accounts:
            if account.is_role:
                self._roles[account.user] = account
            elif account.user != "root" or options.enable_root_user:
                self._users.setdefault(account.user, []).append(account)
        # By user, or role, and by host.
        self._grants: dict[str, dict[str, _Grants]] = {}
        for grant in accounts.grants:
            self._add_grant(grant.user, grant.host, grant.db, grant.pattern)
        self._granted_roles: dict[tuple[str, str], set[str]] = {}
        for role in accounts.roles:
            self._granted_roles.setdefault((role.user, role.host.lower()), set()).add(role.role)
        self._databases = frozenset(self._fold(name) for name in accounts.databases)

    def _fold(self, name: str) -> str:
        return name.lower() if self._fold_names else name

    def _add_grant(self, user: str, host: str, database: str, pattern: bool) -> None:
        grants = self._grants.setdefault(user, {}).setdefault(host.lower(), _Grants())
        database = self._fold(database)
        if not pattern:
            grants.exact.add(database)
            if self.options.strip_db_esc:
                grants.exact.add(unescape(database))
        elif first_wildcard(database) < 0:
            grants.exact.add(unescape(database))
        else:
            grants.patterns.append(database)

    # -- who

    def needs_name(self, user: str, address: str = "") -> bool:
        """Whether the client's host name has to be looked up before `find` can be answered.

        With an address: only if an account that is compared by name comes before the first one that the
        address alone matches.
        """
        if not self._match_host or address == LOCAL_HOST:
            return False
        address = reduce_address(address)
        for candidate in self._candidates(user):
            if address and candidate.rule.matches(address):
                return False
            if candidate.rule.may_be_name:
                return True
        return False

    def find(self, user: str, address: str, host_name: str | None = None) -> Account | None:
        """The account of a client, or None. `address`: an IP address, or `localhost` for a Unix socket."""
        address = reduce_address(address)
        if host_name is not None:
            host_name = host_name.lower()
        for candidate in self._candidates(user):
            if not self._match_host or candidate.rule.matches(address, host_name):
                return candidate.account
        return None

    def has_user(self, user: str) -> bool:
        """Whether there is any account of that name, wherever its host."""
        return user in self._users

    def _candidates(self, user: str) -> tuple[_Candidate, ...]:
        """The accounts that may be this user's, in the order in which they are tried."""
        ordered = self._ordered.get(user)
        if ordered is None:
            if user not in self._users and not self.options.anonymous:
                return ()
            ordered = self._in_order(self._users.get(user, []))
            if self.options.anonymous and user:
                anonymous = [account for account in self._users.get("", ()) if account.proxy_priv]
                ordered += self._in_order(anonymous)
            if user in self._users:
                self._ordered[user] = ordered
        return ordered

    def _in_order(self, accounts: list[Account]) -> tuple[_Candidate, ...]:
        candidates = [_Candidate(self._rule(account.host), account) for account in accounts]
        candidates.sort(key=_place)
        return tuple(candidates)

    def _rule(self, host: str) -> HostRule:
        rule = self._rules.get(host)
        if rule is None:
            rule = self._rules[host] = HostRule(host)
        return rule

    # -- where to

    def check_database(self, account: Account, database: str, role: str | None = None) -> int:
        """0 if the account may choose the database, else 1049 (there is none) or 1044 (no privilege in it).

        `role` is the current role, the empty string none; None stands for the account's default role.
        """
        if self._fold_names:
            database = database.lower()
        if len(database) == _SCHEMA_CHARS and database.lower() == INFORMATION_SCHEMA:
            return 0
        if self._databases and database not in self._databases:
            return ER_BAD_DB
        if account.global_db_priv:
            return 0
        owner, host = account.user, account.host.lower()
        if self._granted(owner, host, database):
            return 0
        # Grants to '' count for every user from that host.
        for where in (host, "%", ""):
            if self._granted("", where, database):
                return 0
        first = account.default_role if role is None else role
        if first and first not in self._granted_roles.get((owner, host), ()):
            first = ""
        if self._allowed_by_roles((first, PUBLIC_ROLE), database):
            return 0
        return ER_DBACCESS_DENIED

    def _granted(self, user: str, host: str, database: str) -> bool:
        hosts = self._grants.get(user)
        grants = hosts.get(host) if hosts is not None else None
        return grants is not None and grants.allow(database)

    def _allowed_by_roles(self, roles: tuple[str, ...], database: str) -> bool:
        """Whether one of the roles, or a role granted to one of them, has a privilege in the database."""
        open_roles = [role for role in roles if role]
        seen = set(open_roles)
        while open_roles:
            role = open_roles.pop()
            account = self._roles.get(role)
            if account is not None and account.global_db_priv:
                return True
            if self._granted(role, "", database):
                return True
            further = self._granted_roles.get((role, ""), set()) - seen
            seen |= further
            open_roles.extend(further)
        return False
