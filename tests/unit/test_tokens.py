"""Who a token speaks for, and that nothing else does."""

import base64
import time
from typing import Any

import jwt
import pytest

from api import tokens
from api.errors import Unauthenticated
from api.settings import Settings

SECRET = "j" * 64  # long enough for HS512 too, so that only the algorithm is wrong where it is used
SETTINGS = Settings(
    database_url="sqlite:////x.db",
    grip_url=("http://127.0.0.1:1",),
    pushpin_sig_key="k" * 32,
    jwt_secret=SECRET,
    jwt_issuer="host",
    jwt_audience="shirase",
)


def signed(key: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    all_claims = {"sub": "42", "exp": int(time.time()) + 60, "iss": "host", "aud": "shirase"} | claims
    return jwt.encode({name: value for name, value in all_claims.items() if value is not None}, key, algorithm)


def test_a_token_says_who_and_what() -> None:
    identity = tokens.verify(SETTINGS, signed(scope="a notifications:write"))
    assert identity.user_id == "42"
    assert identity.may(tokens.WRITE)
    assert not identity.may(tokens.ADMIN)
    assert tokens.verify(SETTINGS, tokens.mint(SETTINGS, "é,;", scope="x")).user_id == "é,;"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        signed(key="o" * 64),
        signed(algorithm="HS512"),
        signed(exp=int(time.time()) - 60),
        signed(exp=None),
        signed(exp="soon"),
        signed(nbf=int(time.time()) + 60),
        signed(iss="another"),
        signed(iss=None),
        signed(aud="another"),
        signed(aud=None),
        signed(sub=None),
        signed(sub=""),
        signed(sub="a\nb"),
        signed(sub="x" * 256),
        signed()[:-1] + ("A" if signed()[-1] != "A" else "B") * 4,
        base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + "." + signed().split(".")[1] + ".",
    ],
)
def test_a_token_that_does_not_hold_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(SETTINGS, token)


def test_a_seal_is_for_one_purpose_and_one_key() -> None:
    sealed = tokens.seal(SETTINGS, "page", {"user": "é"})
    assert tokens.unseal(SETTINGS, "page", sealed) == {"user": "é"}
    assert tokens.unseal(SETTINGS, "other", sealed) is None
    assert tokens.unseal(SETTINGS, "page", sealed + "A") is None
