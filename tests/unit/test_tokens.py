"""Which tokens are accepted, and for which user."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from shirase.access import tokens
from shirase.errors import SettingsError, Unauthenticated
from shirase.keys import FixedKeys, public_keys, secret_keys
from shirase.settings import Settings

SECRET = "j" * 64  # long enough for HS512 too, so that only the algorithm is wrong
SETTINGS = Settings(
    database_url="sqlite:////x.db",
    grip_url=("http://127.0.0.1:1",),
    pushpin_sig_key="k" * 32,
    jwt_secret=SECRET,
    jwt_issuer="host",
    jwt_audience="shirase",
)
KEYS = FixedKeys(secret_keys(SECRET))
RSA = rsa_key(65537, 2048)
EC = ec_key(SECP256R1())
ED = Ed25519PrivateKey.generate()


def signed(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    # A day: lists of tokens are created long before the last is tried.
    all_claims = {"sub": "42", "exp": int(time.time()) + 86_400, "iss": "host", "aud": "shirase"} | claims
    kept = {name: value for name, value in all_claims.items() if value is not None}
    # Below the layer that refuses to sign invalid claims.
    return jwt.PyJWS().encode(json.dumps(kept).encode(), key, algorithm, headers={"typ": "JWT"} | (headers or {}))


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def private_pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def user_of(keys: FixedKeys, token: str) -> str:
    return tokens.verify(keys, SETTINGS, token).user_id


def test_a_token_has_the_user_and_the_scopes() -> None:
    identity = tokens.verify(KEYS, SETTINGS, signed(scope="a notifications:write", exp=2**33))
    assert identity.user_id == "42"
    assert identity.expires_at == 2**33
    assert identity.may(tokens.WRITE)
    assert not identity.may(tokens.ADMIN)
    assert user_of(KEYS, tokens.mint(SETTINGS, "é,;", scope="x")) == "é,;"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "é",
        "\ud800",
        signed(key="o" * 64),
        signed(algorithm="HS512"),
        signed(exp=int(time.time()) - 60),
        signed(exp=None),
        signed(exp="soon"),
        signed(exp=float("inf")),
        signed(exp=-(10**400)),
        signed(exp=[]),
        signed(nbf=int(time.time()) + 86_400),
        signed(nbf=float("inf")),
        signed(iat=float("inf")),
        signed(iss="another"),
        signed(iss=["host"]),
        signed(iss=None),
        signed(aud="another"),
        signed(aud=None),
        signed(sub=None),
        signed(sub=""),
        signed(sub="a\nb"),
        signed(sub="x" * 256),
        signed(headers={"kid": "x", "crit": ["unknown"], "unknown": 1}),
        signed()[:-1] + ("A" if signed()[-1] != "A" else "B") * 4,
        # Its JSON exceeds the parser's recursion limit, before anything is verified.
        encoded(b"[" * 6000) + "." + signed().split(".", 1)[1],
        encoded(b'{"alg":"HS256","x":' + b"[" * 6000) + "." + signed().split(".", 1)[1],
        encoded(b'{"alg":"HS256","kid":{}}') + "." + signed().split(".", 1)[1],
    ],
)
def test_a_token_that_does_not_hold_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(KEYS, SETTINGS, token)


@given(st.text(max_size=300) | st.lists(st.binary(max_size=80).map(encoded), min_size=3, max_size=3).map(".".join))
def test_whatever_is_no_token_is_refused_and_not_echoed(token: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(KEYS, SETTINGS, token)
    assert len(token) < 8 or token not in str(refused.value)


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_a_user_id_is_taken_as_it_is_or_not_at_all(subject: str) -> None:
    token = signed(sub=subject)
    if tokens.is_user_id(subject):
        assert user_of(KEYS, token) == subject
    else:
        with pytest.raises(Unauthenticated):
            tokens.verify(KEYS, SETTINGS, token)


def test_a_token_that_held_before_is_refused_once_it_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    token = signed(exp=int(time.time()) + 60)
    assert user_of(KEYS, token) == "42"
    later = time.time() + 60 + tokens.LEEWAY
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated, match="it has expired"):
        tokens.verify(KEYS, SETTINGS, token)


def test_a_cached_token_is_refused_under_another_key_or_audience() -> None:
    token = signed()
    assert user_of(KEYS, token) == "42"
    with pytest.raises(Unauthenticated, match="its signature does not match"):
        tokens.verify(FixedKeys(secret_keys("x" * 32)), SETTINGS, token)
    with pytest.raises(Unauthenticated, match="another audience"):
        tokens.verify(KEYS, replace(SETTINGS, jwt_audience="another"), token)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")])
def test_a_public_key_is_for_the_algorithm_of_its_kind(key: Any, algorithm: str) -> None:
    keys = FixedKeys(public_keys(pem(key)))
    assert [item.algorithm for item in keys.keys] == [algorithm]
    assert user_of(keys, signed(key, algorithm)) == "42"
    # On one line, as in files for Compose and systemd.
    on_one_line = public_keys(pem(key).replace("\n", "\\n"))
    assert [item.material for item in on_one_line] == [item.material for item in keys.keys]


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "none"])
def test_the_algorithm_is_never_the_tokens_to_choose(algorithm: str) -> None:
    """The known attack: sign with the public key as a secret, or not at all (RFC 8725, section 2.1)."""
    keys = FixedKeys(public_keys(pem(RSA)))
    body = encoded(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()) + "." + signed().split(".")[1]
    digest = {"HS256": "sha256", "HS512": "sha512"}.get(algorithm)
    signature = encoded(hmac.digest(pem(RSA).encode(), body.encode(), digest)) if digest else ""
    with pytest.raises(Unauthenticated, match=r"as this service requires|cannot be read"):
        tokens.verify(keys, SETTINGS, f"{body}.{signature}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_another_algorithm_of_the_same_key_is_refused(algorithm: str) -> None:
    with pytest.raises(Unauthenticated):
        user_of(FixedKeys(public_keys(pem(RSA))), signed(RSA, algorithm))


def test_a_key_that_the_token_brings_along_is_not_used() -> None:
    own = rsa_key(65537, 2048)
    brought = {"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key())), "x5u": "http://127.0.0.1:1/"}
    with pytest.raises(Unauthenticated):
        user_of(FixedKeys(public_keys(pem(RSA))), signed(own, "RS256", headers=brought))


@pytest.mark.parametrize(
    ("keys", "sign"),
    [
        (secret_keys(f"{'a' * 32}, {'b' * 32}"), lambda number: signed("ab"[number] * 32)),
        (public_keys(pem(RSA) + pem(EC)), lambda number: (signed(RSA, "RS256"), signed(EC, "ES256"))[number]),
    ],
    ids=["secrets", "public keys"],
)
def test_two_keys_hold_at_once_while_they_are_rotated(keys: Any, sign: Callable[[int], str]) -> None:
    old, new = keys
    for number in (0, 1):
        assert user_of(FixedKeys((old, new)), sign(number)) == "42"
    with pytest.raises(Unauthenticated):
        user_of(FixedKeys((new,)), sign(0))


def test_the_first_secret_signs() -> None:
    rotated = replace(SETTINGS, jwt_secret=f"{'new' * 20} {'old' * 20}")
    assert user_of(FixedKeys(secret_keys("new" * 20)), tokens.mint(rotated, "42")) == "42"


def test_a_secret_may_be_in_a_file(tmp_path: Any) -> None:
    """The key is the content of the file, not its path, which anyone could guess."""
    (tmp_path / "key").write_text("f" * 32 + "\n")
    of_file = replace(SETTINGS, jwt_secret=f"file:{tmp_path}/key", pushpin_sig_key=f"file:{tmp_path}/key")
    plain = replace(SETTINGS, pushpin_sig_key="f" * 32)
    assert user_of(FixedKeys(secret_keys("f" * 32)), tokens.mint(of_file, "42")) == "42"
    assert tokens.unseal(plain, "page", tokens.seal(of_file, "page", {"x": 1})) == {"x": 1}


def test_without_a_secret_nothing_signs() -> None:
    with pytest.raises(SettingsError, match=r"^JWT_SECRET: is not set, and nothing else can sign"):
        tokens.mint(replace(SETTINGS, jwt_secret="", jwt_public_key=pem(RSA)), "42")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "must be a public key in PEM"),
        (private_pem(RSA), "is a private key"),
        (pem(RSA) + private_pem(EC), "is a private key"),
        (pem(rsa_key(65537, 1024)), "at least 2048 bits"),  # noqa: S505 - the subject of the test
        (pem(ec_key(SECP384R1())), "on the curve P-256"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "."),
    ],
)
def test_a_key_that_protects_nothing_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        public_keys(text)


def test_a_seal_is_for_one_purpose_and_one_key() -> None:
    sealed = tokens.seal(SETTINGS, "page", {"user": "é"})
    assert tokens.unseal(SETTINGS, "page", sealed) == {"user": "é"}
    assert tokens.unseal(SETTINGS, "other", sealed) is None
    assert tokens.unseal(SETTINGS, "page", sealed + "A") is None
    assert tokens.unseal(replace(SETTINGS, pushpin_sig_key="l" * 32), "page", sealed) is None


def test_a_seal_of_the_longest_id_fits_into_a_request_line() -> None:
    longest = "".join(chr(0x1F300 + number) for number in range(255))
    assert len(tokens.seal(SETTINGS, "page", {"user": longest})) < 2000
