"""Who is admitted, and with which answer everybody else is sent away."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

BOB = {"data": {"id": "bob", "type": "inet", "attributes": {"password": "pw", "account": "basic"}}}


def test_credentials_are_needed(api: Any) -> None:
    api.auth = None
    response = api.get("servers")
    assert response.status_code == 401
    assert response.json() == {"errors": [{"detail": "Access denied"}]}
    assert response.headers["www-authenticate"] == 'Basic realm="maxscale"'


def test_browsers_are_not_asked_again(api: Any) -> None:
    api.auth = None
    response = api.get("servers", headers={"X-Requested-With": "XMLHttpRequest"})
    assert response.status_code == 401
    assert "www-authenticate" not in response.headers


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !", "Basic " + base64.b64encode(b"admin").decode(), "Bearer x", "Bearer ", "Digest x",
     "Basic " + base64.b64encode(b"\xff:\xff").decode(), "Basic " + base64.b64encode(b"admin:no").decode()],
)  # fmt: skip
def test_bad_credentials(api: Any, header: str) -> None:
    api.auth = None
    assert api.get("servers", headers={"Authorization": header}).status_code == 401


def test_unknown_paths_tell_nothing_to_strangers(api: Any) -> None:
    api.auth = None
    assert api.get("nothing").status_code == 401


def test_basic_user_may_only_look(api: Any) -> None:
    assert api.post("users/inet", json=BOB).status_code == 204
    api.auth = ("bob", "pw")
    assert api.get("servers").status_code == 200
    assert api.request("OPTIONS", "servers").status_code == 200
    assert api.put("servers/server1/set?state=maintenance").status_code == 401


def test_token_of_a_basic_user_may_only_look(api: Any) -> None:
    api.post("users/inet", json=BOB)
    api.auth = ("bob", "pw")
    token = api.get("auth").json()["meta"]["token"]
    api.auth = None
    headers = {"Authorization": f"Bearer {token}"}
    assert api.get("servers", headers=headers).status_code == 200
    response = api.put("servers/server1/set?state=maintenance", headers=headers)
    assert response.status_code == 403
    assert response.json()["errors"] == [{"detail": "Administrative access required"}]


def test_claims(api: Any) -> None:
    token = api.get("auth?max-age=60").json()["meta"]["token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["aud"], claims["iss"]) == ("admin", "admin", "maxscale")
    assert claims["account"] == "admin"
    assert claims["exp"] - claims["iat"] == 60


def test_age_of_tokens_is_limited(make_product: Any, client_of: Any) -> None:
    api = client_of(make_product(admin_jwt_max_age="1h"))
    claims = jwt.decode(api.get("auth").json()["meta"]["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 3600
    assert api.get("auth?max-age=x").status_code == 400


def test_cookie(api: Any) -> None:
    response = api.get("auth?persist=yes")
    assert response.status_code == 204
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("token_sig=")
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    assert "Max-Age" not in cookie and "Secure" not in cookie
    assert "Max-Age=60" in api.get("auth?persist=yes&max-age=60").headers["set-cookie"]
    api.auth = None
    assert api.get("servers").status_code == 200
    response = api.get("auth?logout=yes")
    assert response.status_code == 200
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert api.get("servers").status_code == 401


def test_a_token_alone_gives_no_new_token(api: Any) -> None:
    token = api.get("auth").json()["meta"]["token"]
    api.auth = None
    assert api.get("auth", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_token_of_a_removed_user(api: Any) -> None:
    api.post("users/inet", json=BOB)
    api.auth = ("bob", "pw")
    headers = {"Authorization": f"Bearer {api.get('auth').json()['meta']['token']}"}
    api.auth = ("admin", "mariadb")
    assert api.delete("users/inet/bob").status_code == 204
    api.auth = None
    assert api.get("servers", headers=headers).status_code == 401


def test_forged_tokens(api: Any) -> None:
    api.auth = None
    claims = {"iss": "maxscale", "aud": "admin", "sub": "admin", "iat": 1, "exp": 2**33, "account": "admin"}
    unsigned = jwt.encode(claims, None, algorithm="none")
    other_key = jwt.encode(claims, "x" * 64, algorithm="HS256")
    for token in (unsigned, other_key, "a.b.c"):
        assert api.get("servers", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_tokens_of_another_issuer(make_product: Any, client_of: Any) -> None:
    one = client_of(make_product(admin_jwt_key="same", admin_jwt_issuer="one"))
    token = one.get("auth").json()["meta"]["token"]
    other = client_of(make_product(admin_jwt_key="same", admin_jwt_issuer="two"))
    other.auth = one.auth = None
    headers = {"Authorization": f"Bearer {token}"}
    assert one.get("servers", headers=headers).status_code == 200
    assert other.get("servers", headers=headers).status_code == 401


def test_secure_gui_wants_encrypted_logins(make_product: Any, client_of: Any) -> None:
    product = make_product()
    product.store.snapshot().globals["admin_secure_gui"] = True
    api = client_of(product)
    assert api.details("GET", "auth", 401) == "Connection is not encrypted"
    assert api.get("servers").status_code == 200


def test_no_authentication(make_product: Any, client_of: Any) -> None:
    api = client_of(make_product(admin_auth="false"))
    api.auth = None
    assert api.get("servers").status_code == 200
    assert api.put("servers/server1/set?state=maintenance").status_code == 204


@pytest.mark.parametrize(
    ("writing", "reading", "look", "change"),
    [
        ("%", "%", 200, 204),
        ("10.%", "%", 200, 401),
        ("10.%", "10.%", 401, 401),
        ("127.0.0.0/8", "10.%", 200, 204),
    ],
)
def test_hosts(make_product: Any, client_of: Any, writing: str, reading: str, look: int, change: int) -> None:
    product = make_product(admin_readwrite_hosts=writing, admin_readonly_hosts=reading)
    api = client_of(product)
    api._transport.client = ("127.0.0.1", 1234)  # type: ignore[attr-defined]
    assert api.get("servers").status_code == look
    assert api.put("servers/server1/set?state=drain").status_code == change


def test_overridden_method_is_judged(api: Any, product: Any) -> None:
    """A read-only user cannot hide a change behind a method that is allowed."""
    api.post("users/inet", json=BOB)
    api.auth = ("bob", "pw")
    override = {"X-HTTP-Method-Override": "PUT"}
    assert api.get("servers/server1/set?state=drain", headers=override).status_code == 401
    assert product.monitors.calls == []
    api.auth = ("admin", "mariadb")
    assert api.get("servers/server1/set?state=drain", headers=override).status_code == 204
    assert api.post("servers", headers={"X-HTTP-Method-Override": "GET"}).status_code == 200
    assert api.post("servers", headers={"X-HTTP-Method-Override": "TRACE"}).status_code == 405


def test_failures_are_logged(api: Any, caplog: Any) -> None:
    api.auth = ("admin", "wrong")
    api.get("servers")
    assert "Authentication of a REST API client" in caplog.text
    assert "wrong" not in caplog.text


def test_stopping(api: Any, product: Any) -> None:
    product.stopping = True
    assert api.details("GET", "servers", 503) == "MaxScale is shutting down"


def test_the_file_is_as_the_reference_has_it(api: Any, product: Any) -> None:
    api.post("users/inet", json=BOB)
    stored = json.loads((product.store.paths.datadir / "passwd").read_text())
    assert [(each["name"], each["account"]) for each in stored] == [("admin", "admin"), ("bob", "basic")]
