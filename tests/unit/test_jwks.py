"""A key set by URL: fetched rarely, whatever tokens arrive, and kept while the issuer is unavailable."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key

from shirase.access import tokens
from shirase.access.jwks import FRESH, MAX_BYTES, PAUSE, STALE, Jwks
from shirase.errors import KeysUnavailable, Unauthenticated
from shirase.settings import Settings

TIMEOUT = 1.0
SETTINGS = Settings(
    database_url="sqlite:////x.db",
    grip_url=("http://127.0.0.1:1",),
    pushpin_sig_key="k" * 32,
    jwt_jwks_url="http://127.0.0.1:1",
)
RSA, EC, ED = rsa_key(65537, 2048), ec_key(SECP256R1()), Ed25519PrivateKey.generate()
ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}
SIGNERS: dict[str, Any] = {"rsa": RSA, "ec": EC, "ed": ED}


def entry(name: str, **more: Any) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name(ALGORITHMS[name])
    return {**json.loads(algorithm.to_jwk(SIGNERS[name].public_key())), "kid": name, **more}


def signed(name: str, **headers: Any) -> str:
    claims = {"sub": "42", "exp": int(time.time()) + 60}
    named = {key: value for key, value in ({"kid": name} | headers).items() if value is not None}
    return jwt.encode(claims, SIGNERS[name], ALGORITHMS[name], headers=named)


class Issuer:
    """An identity provider with configurable answers."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.body: bytes = b""
        self.headers: dict[str, str] = {}
        self.now = 1000.0
        self.reachable = True
        self.hosts: list[str] = []
        self.asking, self.answering = Event(), Event()
        self.answering.set()

    def publish(self, *entries: Any) -> None:
        self.body = json.dumps({"keys": entries}).encode()

    def clock(self) -> float:
        return self.now

    def keys(self) -> Jwks:
        return Jwks(f"http://127.0.0.1:{self.port}/", TIMEOUT, clock=self.clock)

    @contextmanager
    def running(self) -> Iterator[None]:
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.hosts.append(self.headers["Host"])
                if not issuer.answering.is_set():
                    issuer.asking.set()
                    issuer.answering.wait(TIMEOUT)
                if not issuer.reachable:
                    return
                self.send_response(issuer.status)
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(BrokenPipeError):  # who asked may have given up
                    self.wfile.write(issuer.body)

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            self.port = server.server_port
            yield
            server.shutdown()
            thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    with made.running():
        yield made


def test_each_kind_of_key_is_found_by_its_id_and_asked_for_once(issuer: Issuer) -> None:
    issuer.publish(*(entry(name) for name in SIGNERS))
    keys = issuer.keys()
    for name in SIGNERS:
        assert tokens.verify(keys, SETTINGS, signed(name)).user_id == "42"
    assert tokens.verify(keys, SETTINGS, signed("ec", kid=None)).user_id == "42"
    with pytest.raises(Unauthenticated):
        tokens.verify(keys, SETTINGS, signed("rsa", kid="ec"))
    assert issuer.asked == 1


def test_unknown_key_ids_refetch_at_most_once_per_pause(issuer: Issuer) -> None:
    issuer.publish(entry("rsa"))
    keys = issuer.keys()
    tokens.verify(keys, SETTINGS, signed("rsa"))
    issuer.publish(entry("ec"))
    issuer.now += PAUSE
    assert tokens.verify(keys, SETTINGS, signed("ec")).user_id == "42"
    for number in range(20):
        with pytest.raises(Unauthenticated, match="its key is not known"):
            tokens.verify(keys, SETTINGS, signed("ec", kid=str(number)))
    assert issuer.asked == 2
    with pytest.raises(Unauthenticated):  # the issuer has removed it
        tokens.verify(keys, SETTINGS, signed("rsa"))


@pytest.mark.parametrize(
    "failing",
    [
        {"status": 500},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
        {"body": b"{"},
        {"body": b"[]"},
        {"body": b'{"keys": []}'},
        {"body": b" " * (MAX_BYTES + 1)},
        {"reachable": False},
    ],
)
def test_the_last_key_set_is_used_for_a_day_without_an_answer(issuer: Issuer, failing: dict[str, Any]) -> None:
    issuer.publish(entry("rsa"))
    keys = issuer.keys()
    tokens.verify(keys, SETTINGS, signed("rsa"))
    for name, value in failing.items():
        setattr(issuer, name, value)
    issuer.now += FRESH + 1
    for _ in range(5):
        assert tokens.verify(keys, SETTINGS, signed("rsa")).user_id == "42"
    assert issuer.asked <= 2
    issuer.now += STALE
    with pytest.raises(KeysUnavailable):
        tokens.verify(keys, SETTINGS, signed("rsa"))


def test_without_a_key_set_the_answer_is_503_until_it_is_back(issuer: Issuer) -> None:
    issuer.status = 503
    keys = issuer.keys()
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            tokens.verify(keys, SETTINGS, signed("rsa"))
    assert issuer.asked == 1
    issuer.status = 200
    issuer.publish(entry("rsa"))
    issuer.now += PAUSE
    assert tokens.verify(keys, SETTINGS, signed("rsa")).user_id == "42"


def test_only_public_keys_for_signatures_count(issuer: Issuer) -> None:
    shared = {"kty": "oct", "k": "a" * 43, "kid": "oct"}
    private = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(rsa_key(65537, 2048))) | {"kid": "private"}
    issuer.publish(
        shared, private, entry("ec", use="enc"), entry("rsa", alg="RS512"), entry("ed"), "x", {}, {"kty": "EC"}
    )
    keys = issuer.keys()
    assert [key.algorithm for key in keys.candidates(None)] == ["EdDSA"]
    claims = {"sub": "42", "exp": int(time.time()) + 60}
    forged = jwt.encode(claims, "a" * 32, "HS256", headers={"kid": "oct"})
    with pytest.raises(Unauthenticated):
        tokens.verify(keys, SETTINGS, forged)


def test_one_caller_waits_for_a_hanging_issuer_others_get_503(issuer: Issuer) -> None:
    issuer.publish(entry("rsa"))
    keys = issuer.keys()
    tokens.verify(keys, SETTINGS, signed("rsa"))
    issuer.now += PAUSE
    issuer.answering.clear()
    try:
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(keys.candidates, "made up")
            assert issuer.asking.wait(TIMEOUT)
            others = [pool.submit(keys.candidates, f"made up {number}") for number in range(4)]
            assert [list(each.result(TIMEOUT)) for each in others] == [[]] * 4
            assert not waiting.done()
            assert tokens.verify(keys, SETTINGS, signed("rsa")).user_id == "42"
    finally:
        issuer.answering.set()


def test_a_host_that_moves_to_a_public_address_is_not_asked(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer.publish(entry("rsa"))
    keys = Jwks(f"http://issuer.test:{issuer.port}/", TIMEOUT, clock=issuer.clock)
    real, there = socket.getaddrinfo, ["127.0.0.1"]

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "issuer.test":
            return real(host, *arguments, **options)
        return [address for each in there for address in real(each, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert tokens.verify(keys, SETTINGS, signed("rsa")).user_id == "42"
    assert issuer.hosts == [f"issuer.test:{issuer.port}"]
    there.append("8.8.8.8")
    issuer.now += STALE + 1
    with pytest.raises(KeysUnavailable):
        tokens.verify(keys, SETTINGS, signed("rsa"))
    assert issuer.asked == 1
