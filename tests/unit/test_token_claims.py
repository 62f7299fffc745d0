"""Tokens of common identity providers: settings name the claims of user and scopes."""

import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shirase.access import tokens
from shirase.access.tokens import ADMIN, WRITE, Identity
from shirase.errors import Unauthenticated
from shirase.keys import FixedKeys, secret_keys
from shirase.settings import Settings
from tests.unit.test_settings import GOOD

SECRET = GOOD["JWT_SECRET"]
KEYS = FixedKeys(secret_keys(SECRET))
UUID = "3f1c2d4e-0000-4000-8000-000000000042"
EVERYDAY = {"iat": 1, "jti": "x", "azp": "client", "nbf": 1}

# Issuer: its settings here, the claims of its access tokens, their user, and our scopes in them.
ISSUERS: dict[str, tuple[dict[str, str], dict[str, Any], str, set[str]]] = {
    "auth0": (
        {"JWT_ISSUER": "https://t.auth0.com/", "JWT_AUDIENCE": "https://api", "JWT_SCOPE_CLAIMS": "permissions"},
        {
            "iss": "https://t.auth0.com/",
            "aud": ["https://api", "https://t.auth0.com/userinfo"],
            "sub": "auth0|5f7c8ec7",
            "scope": "openid profile notifications:admin",
            "permissions": ["notifications:write"],
        },
        "auth0|5f7c8ec7",
        {WRITE},
    ),
    "auth0 machine": (
        {"JWT_SCOPE_CLAIMS": "scope permissions"},
        {"sub": "abc@clients", "gty": "client-credentials", "scope": "notifications:write"},
        "abc@clients",
        {WRITE},
    ),
    "auth0 namespaced": (
        {"JWT_USER_CLAIM": "https://example.com/employee", "JWT_SCOPE_CLAIMS": "https://example.com/roles"},
        {"sub": "auth0|1", "https://example.com/employee": "e-7", "https://example.com/roles": ["notifications:admin"]},
        "e-7",
        {ADMIN},
    ),
    "keycloak": (
        {
            "JWT_AUDIENCE": "account",
            "JWT_SCOPE_CLAIMS": "realm_access.roles resource_access.shirase.roles",
            "JWT_WRITE_SCOPES": "notify",
            "JWT_ADMIN_SCOPES": "operator",
        },
        {
            "aud": "account",
            "sub": UUID,
            "typ": "Bearer",
            "realm_access": {"roles": ["offline_access", "operator"]},
            "resource_access": {"shirase": {"roles": ["notify"]}, "account": {"roles": ["manage-account"]}},
            "scope": "email profile",
            "preferred_username": "mei",
        },
        UUID,
        {WRITE, ADMIN},
    ),
    "keycloak user name": (
        {"JWT_USER_CLAIM": "preferred_username"},
        {"sub": UUID, "preferred_username": "mei", "realm_access": {"roles": ["notifications:write"]}},
        "mei",
        set(),
    ),
    "azure ad delegated": (
        {"JWT_USER_CLAIM": "oid", "JWT_SCOPE_CLAIMS": "scp,roles", "JWT_WRITE_SCOPES": "Notifications.Write"},
        {"sub": "pairwise", "oid": UUID, "scp": "User.Read Notifications.Write", "ver": "2.0", "tid": UUID},
        UUID,
        {WRITE},
    ),
    "azure ad application": (
        {"JWT_USER_CLAIM": "oid", "JWT_SCOPE_CLAIMS": "scp,roles", "JWT_WRITE_SCOPES": "Notifications.Write"},
        {"sub": UUID, "oid": UUID, "roles": ["Notifications.Write"], "appid": "x"},
        UUID,
        {WRITE},
    ),
    "cognito": (
        {"JWT_USER_CLAIM": "username", "JWT_WRITE_SCOPES": "shirase/notifications:write"},
        {
            "sub": UUID,
            "username": "mei",
            "token_use": "access",
            "client_id": "c",
            "scope": "shirase/notifications:write",
        },
        "mei",
        {WRITE},
    ),
    "cognito groups": (
        {"JWT_SCOPE_CLAIMS": "cognito:groups", "JWT_ADMIN_SCOPES": "operators"},
        {"sub": UUID, "token_use": "access", "cognito:groups": ["operators"]},
        UUID,
        {ADMIN},
    ),
    "simplejwt": ({"JWT_USER_CLAIM": "user_id"}, {"token_type": "access", "user_id": 42}, "42", set()),
    "simplejwt text": ({"JWT_USER_CLAIM": "user_id"}, {"token_type": "access", "user_id": "42"}, "42", set()),
    "our own": ({}, {"sub": "42", "scope": "a notifications:write"}, "42", {WRITE}),
    "number as sub": ({}, {"sub": 42}, "42", set()),
}


def verified(settings: dict[str, str], claims: dict[str, Any]) -> Identity:
    body = {"exp": int(time.time()) + 86_400} | claims
    token = jwt.PyJWS().encode(
        json.dumps(body).encode(), SECRET, "HS256"
    )  # including claims that PyJWT refuses to sign
    return tokens.verify(KEYS, Settings.from_env(GOOD | settings), token)


@pytest.mark.parametrize("issuer", ISSUERS)
def test_tokens_of_each_issuer_name_their_user_and_scopes(issuer: str) -> None:
    settings, claims, user, scopes = ISSUERS[issuer]
    identity = verified(settings, EVERYDAY | claims)
    assert identity.user_id == user
    assert {scope for scope in (WRITE, ADMIN) if identity.may(scope)} == scopes


@pytest.mark.parametrize("issuer", ISSUERS)
def test_a_token_without_the_claim_of_its_user_is_refused(issuer: str) -> None:
    settings, claims, _, _ = ISSUERS[issuer]
    name = settings.get("JWT_USER_CLAIM", "sub")
    with pytest.raises(Unauthenticated, match="it lacks exp or the user's id"):
        verified(settings, EVERYDAY | {key: value for key, value in claims.items() if key != name})


@pytest.mark.parametrize("issuer", ISSUERS)
@pytest.mark.parametrize("value", [True, 4.2, "", "a\nb", [], ["42"], {"id": 42}])
def test_what_is_no_user_id_is_refused_in_every_claim(issuer: str, value: Any) -> None:
    settings, claims, _, _ = ISSUERS[issuer]
    name = settings.get("JWT_USER_CLAIM", "sub")
    with pytest.raises(Unauthenticated, match="is not a user id"):
        verified(settings, EVERYDAY | claims | {name: value})


@pytest.mark.parametrize("scopes", [None, 1, True, {"notifications:write": True}, [["notifications:write"]], [1, None]])
def test_scopes_of_another_shape_grant_nothing(scopes: Any) -> None:
    assert verified({}, {"sub": "42", "scope": scopes}).scopes == frozenset()


def test_a_renamed_scope_is_not_granted_by_its_default_name() -> None:
    renamed = {"JWT_WRITE_SCOPES": "notify", "JWT_ADMIN_SCOPES": "operator"}
    assert not verified(renamed, {"sub": "42", "scope": f"{WRITE} {ADMIN}"}).scopes & {WRITE, ADMIN}


def test_a_refresh_token_is_not_an_access_token() -> None:
    with pytest.raises(Unauthenticated, match="refresh token"):
        verified({"JWT_USER_CLAIM": "user_id"}, {"token_type": "refresh", "user_id": "42"})


@given(st.sampled_from(sorted(ISSUERS)), st.sampled_from([WRITE, ADMIN, f"{WRITE} {ADMIN}", ""]))
def test_a_token_of_ours_holds_under_every_setting(issuer: str, scope: str) -> None:
    settings = Settings.from_env(GOOD | ISSUERS[issuer][0])
    identity = tokens.verify(KEYS, settings, tokens.mint(settings, "mei", scope=scope))
    assert identity.user_id == "mei"
    assert {each for each in (WRITE, ADMIN) if identity.may(each)} == set(scope.split())
