"""Publishes never hang, and take bounded time."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shirase.proxy.nodes import FAILURES_UNTIL_SPARED, PATIENCE, SPARED
from shirase.proxy.publisher import Item, Publisher, hint
from tests.support.control_port import ControlPort, control_port
from tests.support.loop_thread import wait_until
from tests.support.nowhere import NOWHERE

BOUND = 10.0  # seconds
SECRET = "s" * 32
SETTINGS = replace(NOWHERE, publish_timeout=0.3)
ITEM = Item("u-YQ", "1", "0", "event: x\n\n")


@pytest.fixture
def port() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


def publisher(port: ControlPort, parameters: str = "") -> Publisher:
    return Publisher(replace(SETTINGS, grip_url=(port.url + parameters,)))


def test_posts_stay_under_the_proxys_limit_and_in_order(port: ControlPort) -> None:
    items = [Item("u-YQ", str(number), str(number - 1), "x" * 10_000) for number in range(1, 301)]
    assert publisher(port).publish(items) == [frozenset({port.url})] * 300
    assert [item["id"] for item in port.items] == [str(number) for number in range(1, 301)]
    assert len(port.posts) == 4
    assert all(sum(len(item["formats"]["http-stream"]["content"]) for item in post) < 900_000 for post in port.posts)


def test_a_hung_control_port_costs_bounded_time_then_nothing(port: ControlPort) -> None:
    port.behaviour = "hang"
    under_test = publisher(port)
    assert under_test.publish([ITEM]) == [frozenset()]
    started = time.monotonic()
    spared = 0
    while time.monotonic() - started < SPARED[0] / 2:
        assert under_test.publish([ITEM]) == [frozenset()]
        spared += 1
    assert spared > 10  # each attempt at the hung port would have taken longer than the whole loop


def test_a_node_that_is_always_slow_is_waited_for(port: ControlPort) -> None:
    """How long is learnt from the posts that try it."""
    with control_port() as slow:
        both = Publisher(replace(SETTINGS, grip_url=(port.url, slow.url), publish_timeout=BOUND))
        slow.on_post = lambda: time.sleep(PATIENCE * 1.2)
        assert both.publish([ITEM]) == [frozenset({port.url})]
        wait_until(lambda: slow.url in both.publish([ITEM])[0], BOUND, "it was not waited for")
        assert both.publish([ITEM]) == [frozenset({port.url, slow.url})]


def test_no_publish_waits_for_a_node_that_is_tried_again(port: ControlPort) -> None:
    port.behaviour = "fail"
    under_test = Publisher(replace(SETTINGS, grip_url=(port.url,), publish_timeout=BOUND * 2))
    for _ in range(FAILURES_UNTIL_SPARED):
        assert under_test.publish([ITEM]) == [frozenset()]
    port.behaviour = "hang"

    def is_tried() -> bool:
        assert under_test.publish([ITEM]) == [frozenset()]
        return len(port.authorizations) > FAILURES_UNTIL_SPARED

    wait_until(is_tried, BOUND, "it was not tried")  # a publish that waited for it would take longer than this


def test_a_control_port_that_is_back_is_used_again(port: ControlPort) -> None:
    port.behaviour = "fail"
    under_test = publisher(port)
    for _ in range(FAILURES_UNTIL_SPARED):
        assert under_test.publish([ITEM]) == [frozenset()]
    port.behaviour = "accept"
    wait_until(lambda: under_test.publish([ITEM]) == [frozenset({port.url})], BOUND, "it was not used again")


def test_a_control_port_that_refuses_fails_no_one() -> None:
    assert Publisher(SETTINGS).publish([ITEM]) == [frozenset()]
    assert Publisher(SETTINGS).publish([]) == []


def test_a_slow_control_port_takes_no_more_than_a_publish_may(port: ControlPort) -> None:
    """Each answer is within its timeout; only the publish as a whole exceeds its own."""
    port.on_post = lambda: time.sleep(SETTINGS.publish_timeout * 2 / 3)
    items = [Item("u-YQ", str(number), str(number - 1), "x" * 500_000) for number in range(1, 31)]
    accepted = publisher(port).publish(items)
    assert len(accepted) == len(items)
    taken = sum(map(bool, accepted))
    assert 0 < taken == len(port.posts) < 10  # the relay publishes the rest
    assert accepted == [frozenset({port.url})] * taken + [frozenset()] * (30 - taken)


def test_proxies_of_the_environment_are_ignored(port: ControlPort, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert publisher(port).publish([ITEM]) == [frozenset({port.url})]


def test_a_post_to_a_control_port_is_signed(port: ControlPort) -> None:
    assert publisher(port, "?iss=us&key=" + SECRET).publish([ITEM]) == [frozenset({port.url})]
    kind, _, token = (port.authorizations[0] or "").partition(" ")
    assert (kind, jwt.decode(token, SECRET, ["HS256"])["iss"]) == ("Bearer", "us")


def test_a_tls_control_port_needs_a_valid_certificate(
    port: ControlPort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "certificate"
    certificate.write_bytes(self_signed("127.0.0.1"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    port.socket = tls.wrap_socket(port.socket, server_side=True)
    url = port.url.replace("http:", "https:")
    assert Publisher(replace(SETTINGS, grip_url=(url,))).publish([ITEM]) == [frozenset()]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Publisher(replace(SETTINGS, grip_url=(url,))).publish([ITEM]) == [frozenset({url})]
    assert [item["channel"] for item in port.items] == [ITEM.channel]


def self_signed(address: str) -> bytes:
    """Create a self-signed certificate of an address, with its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem) + secret


def test_one_node_that_fails_costs_the_others_nothing(port: ControlPort) -> None:
    both = Publisher(replace(SETTINGS, grip_url=("http://127.0.0.1:1", port.url)))
    for _ in range(FAILURES_UNTIL_SPARED + 2):
        assert both.publish([ITEM]) == [frozenset({port.url})]
    assert both.nodes == ("http://127.0.0.1:1", port.url)


def test_a_repair_goes_to_one_node_alone(port: ControlPort) -> None:
    both = Publisher(replace(SETTINGS, grip_url=("http://127.0.0.1:1", port.url)))
    assert both.publish_to(port.url, [hint("u-YQ"), hint("u-Yg")])
    assert not both.publish_to("http://127.0.0.1:1", [ITEM])
    assert [item["channel"] for item in port.items] == ["u-YQ", "u-Yg"]
    assert all("id" not in item and "prev-id" not in item for item in port.items)


def test_an_unresolvable_name_costs_at_most_a_publish(port: ControlPort, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver does not answer for as long as the test lasts."""
    silent, resolve = threading.Event(), socket.getaddrinfo

    def late(host: str, *rest: Any, **more: Any) -> Any:
        silent.wait(BOUND)
        return resolve("127.0.0.1" if host == "node.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", late)
    url = port.url.replace("127.0.0.1", "node.test")
    under_test = Publisher(replace(SETTINGS, grip_url=(url,)))
    begun = time.monotonic()
    assert under_test.publish([ITEM]) == [frozenset()]
    assert under_test.unreachable() == [url]
    assert time.monotonic() - begun < BOUND  # without waiting for the resolver
    silent.set()
    wait_until(lambda: under_test.publish([ITEM]) == [frozenset({url})], BOUND, "it was not used again")


def test_a_name_that_leads_elsewhere_is_followed(port: ControlPort, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, leads_to = socket.getaddrinfo, ["127.0.0.9"]

    def named(host: str, *rest: Any, **more: Any) -> Any:
        return resolve(leads_to[-1] if host == "moving.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", named)
    url = port.url.replace("127.0.0.1", "moving.test")
    under_test = Publisher(replace(SETTINGS, grip_url=(url,)))
    assert under_test.publish([ITEM]) == [frozenset()]
    leads_to.append("127.0.0.1")
    wait_until(lambda: under_test.publish([ITEM]) == [frozenset({url})], BOUND, "the name was not followed")


def test_nodes_are_posted_to_side_by_side(port: ControlPort) -> None:
    """Each waits in its post until the other has one too."""
    with control_port() as other:
        meeting = threading.Barrier(2, timeout=BOUND)
        port.on_post = other.on_post = meeting.wait
        both = Publisher(replace(SETTINGS, grip_url=(port.url, other.url), publish_timeout=BOUND))
        assert both.publish([ITEM], patient=True) == [frozenset({port.url, other.url})]
        assert both.unreachable() == []


def test_each_node_gets_the_items_that_name_it(port: ControlPort) -> None:
    with control_port() as other:
        both = Publisher(replace(SETTINGS, grip_url=(port.url, other.url)))
        items = [Item("u-YQ", str(number), str(number - 1), "x") for number in range(1, 5)]
        nodes = [{port.url}, {other.url}, {port.url, other.url, "http://127.0.0.1:1"}, set()]
        targets = [frozenset(named) for named in nodes]
        assert both.publish(items, targets) == [frozenset(named - {"http://127.0.0.1:1"}) for named in nodes]
        assert ([item["id"] for item in port.items], [item["id"] for item in other.items]) == (["1", "3"], ["2", "3"])
