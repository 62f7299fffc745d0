"""Requests to addresses that others choose: none reaches the private network, and each ends in time."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from shirase import outbound
from shirase.outbound import Outbound, Unreachable, check_url, is_public
from tests.support.certificates import make_authority
from tests.support.sink import Sink, sink

HERE = frozenset({"127.0.0.1"})
PUBLIC = ("8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1")
INTERNAL = (
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "192.0.0.192",  # where a cloud serves credentials
    "168.63.129.16",  # the same of another
    "::ffff:192.0.0.192",
    "64:ff9b::a83f:8110",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
)
SPELLINGS = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "169.254.169.254",
    "2852039166",
    "metadata.google.internal",
    "printer.local",
)
MALFORMED = (
    "",
    "https://",
    "ftp://example.com/",
    "file:///etc/passwd",
    "//example.com/",
    "https://user:secret@example.com/",
    "https://example.com/#x",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://exa mple.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/\r\nX: y",
    "https://[fe80::1%25eth0]/",
    "https://[::1",
    "https://1.2.3.4.5/",
    "https://a..b/",
    "https://.example.com/",
    "https://a|b/",
    'https://a"b/',
    "https://a{b}.example.com/",
    "https://a,b/",
    "javascript:alert(1)",
    "http://example.com/",
)


@pytest.fixture
def server() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_an_internal_host_is_accepted(host: str) -> None:
    with pytest.raises(ValueError, match=r"must not be in a private network|must be an https"):
        check_url(f"https://{host}/", frozenset())


@pytest.mark.parametrize("url", MALFORMED)
def test_malformed_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_url(url, frozenset())


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/x?y=z",
        "https://EXAMPLE.com:8443",
        "https://bücher.example/",
        "https://my_host-1.example.com./",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:8443/",
    ],
)
def test_https_addresses_are_accepted(url: str) -> None:
    check_url(url, frozenset())


@pytest.mark.parametrize(
    "answers",
    [
        ("127.0.0.1",),
        ("8.8.8.8", "10.0.0.1"),
        ("::1",),
        ("::ffff:10.0.0.1",),
        ("64:ff9b::a00:1",),
        ("169.254.169.254",),
    ],
)
def test_names_that_resolve_inside_are_refused(answers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "resolve", lambda _: [(0, answer) for answer in answers])
    with closing(Outbound(frozenset(), 5)) as client, pytest.raises(Unreachable, match="private network"):
        client.post("https://rebound.example.com/", b"", {})


def test_the_checked_address_is_the_one_connected_to(server: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is resolved once per connect, so a second answer has no effect."""
    answers = iter([[(socket.AF_INET, "127.0.0.1")]])
    monkeypatch.setattr(outbound, "resolve", lambda _: next(answers))
    with closing(Outbound(frozenset({"rebound.example.com"}), 5)) as client:
        port = server.url.rpartition(":")[2]
        for _ in range(2):
            assert client.post(f"http://rebound.example.com:{port}/x", b"body", {}).status == 204
    assert [(got.path, got.body, got.headers["host"]) for got in server.got] == [
        ("/x", b"body", f"rebound.example.com:{port}")
    ] * 2


def test_a_listed_host_is_not_a_pass_for_others(server: Sink) -> None:
    port = server.url.rpartition(":")[2]
    with closing(Outbound(HERE, 5)) as client:
        assert client.post(server.url, b"", {}).is_success
        for host in ("localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"):
            with pytest.raises(Unreachable):
                client.post(f"https://{host}:{port}/", b"", {})
    assert len(server.got) == 1


def test_a_listed_port_is_not_a_pass_for_others(server: Sink) -> None:
    port = int(server.url.rpartition(":")[2])
    with closing(Outbound(frozenset({f"127.0.0.1:{port}"}), 5)) as client:
        assert client.post(server.url, b"", {}).is_success
        for url in (f"http://127.0.0.1:{port + 1}", "http://127.0.0.1", f"http://localhost:{port}"):
            with pytest.raises(Unreachable, match="must"):
                client.post(url, b"", {})
    check_url("http://[::1]/", frozenset({"[::1]:80"}))
    with pytest.raises(ValueError, match="must"):
        check_url("https://[::1]/", frozenset({"[::1]:80"}))


@pytest.mark.parametrize(("host", "is_trusted"), [("localhost", True), ("other.example.com", False)])
def test_a_certificate_is_for_the_name_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, *, is_trusted: bool
) -> None:
    authority = make_authority(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setattr(outbound, "resolve", lambda _: [(socket.AF_INET, "127.0.0.1")])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    with sink(context) as secure, closing(Outbound(frozenset({host}), 5)) as client:
        address = f"https://{host}:{secure.url.rpartition(':')[2]}/secret"
        if is_trusted:
            assert client.post(address, b"", {}).is_success
        else:
            with pytest.raises(Unreachable, match="the connection failed"):
                client.post(address, b"", {})
    assert len(secure.got) == is_trusted


@pytest.mark.parametrize(
    "piece",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n",  # interim answers
        b"X: y\r\n",  # headers
        b"\xff" * 1000,
    ],
)
def test_an_answer_without_an_end_ends_the_request(piece: bytes) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening, closing(Outbound(HERE, 0.5)) as client:

        def serve() -> None:
            connection, _ = listening.accept()
            with closing(connection), suppress(OSError):
                connection.recv(65_536)
                while True:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Unreachable, match=r"no answer in time|not HTTP"):
            client.post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"x", {})
        thread.join(10)
        assert not thread.is_alive()  # the connection was closed


def test_redirects_are_not_followed(server: Sink) -> None:
    server.mode = "redirect"
    with closing(Outbound(HERE, 5)) as client:
        assert client.post(server.url, b"", {}).status == 307
    assert [got.path for got in server.got] == ["/"]


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_a_request_ends_at_its_deadline(server: Sink, mode: str) -> None:
    server.mode = mode
    with closing(Outbound(HERE, 0.5)) as client, pytest.raises(Unreachable):
        client.post(server.url, b"", {})


def test_a_lookup_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "resolve", lambda _: time.sleep(2))
    with closing(Outbound(frozenset(), 0.2)) as client, pytest.raises(Unreachable, match="in time"):
        client.post("https://example.com/", b"", {})


def test_names_that_hang_hold_up_no_other_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def resolve(host: str) -> list[tuple[int, str]]:
        if host == "slow.example.com":
            released.wait(20)
        return [(0, "10.0.0.1")]

    monkeypatch.setattr(outbound, "resolve", resolve)
    with closing(Outbound(frozenset(), 0.02)) as push, closing(Outbound(frozenset(), 10)) as webhook:
        for _ in range(40):
            with pytest.raises(Unreachable, match="in time"):
                push.post("https://slow.example.com/", b"", {})
        with pytest.raises(Unreachable, match="private network"):  # it was looked up
            webhook.post("https://quick.example.com/", b"", {})
        released.set()


def test_an_endless_answer_is_cut_off(server: Sink) -> None:
    server.mode = "endless"
    with closing(Outbound(HERE, 10)) as client:
        answer = client.post(server.url, b"", {})
    assert (answer.status, len(answer.body)) == (200, outbound.LONGEST_ANSWER)


def test_reasons_name_neither_address_nor_answer(server: Sink) -> None:
    server.mode = "drop"
    with closing(Outbound(HERE, 5)) as client:
        for url in (f"{server.url}/secret-path", "http://127.0.0.1:1/secret-path"):
            with pytest.raises(Unreachable) as failed:
                client.post(url, b"", {})
            assert "127.0.0.1" not in str(failed.value)
            assert "secret-path" not in str(failed.value)


def test_retry_after_is_bounded() -> None:
    for text, seconds in (("7", 7), ("999999999", 86_400), ("9" * 30, 0), ("-1", 0), ("soon", 0), ("", 0)):
        assert outbound.Answer(503, {"retry-after": text}, b"").retry_after == seconds
