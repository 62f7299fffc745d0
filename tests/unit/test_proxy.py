"""The configuration written for a Pushpin node, for each release in Debian."""

import base64
import configparser
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shirase.errors import ProxyMissing, SettingsError
from shirase.run.node import (
    LONGEST_SOCKET_NAME,
    UNIX_PATH_MAX,
    ProxyConfig,
    installed_version,
    read_inboxes,
    run_directory,
    write_configuration,
)

OLD, NEW = (1, 36), (1, 41)
KEY = "a key, with 'quotes' and commas; 32 bytes"


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path, for sockets; pytest's own may be too long."""
    with tempfile.TemporaryDirectory(prefix="s-") as name:
        yield Path(name)


def node(run_dir: Path, *, sig_key: str = KEY) -> ProxyConfig:
    return ProxyConfig(
        origin="127.0.0.1:20001",
        standby="127.0.0.1:20005",
        sig_key=sig_key,
        run_dir=run_dir,
        client_port=20000,
        control_port=20002,
        stats_port=20003,
        prometheus_port=20004,
    )


def written(run_dir: Path, version: tuple[int, int], *, sig_key: str = KEY) -> configparser.ConfigParser:
    """Parse the file; a section that occurs twice is one."""
    write_configuration(node(run_dir, sig_key=sig_key), version)
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(run_dir / "pushpin.conf")
    return parser


@pytest.mark.parametrize("version", [OLD, NEW])
def test_every_release_gets_what_the_service_stands_on(tmp_path: Path, version: tuple[int, int]) -> None:
    result = written(tmp_path, version)

    assert result["global"]["rundir"] == str(tmp_path)
    assert result["handler"]["message_rate"] == "0"
    assert result["runner"]["client_maxconn"] == "200000"
    assert result["runner"]["http_port"] == "127.0.0.1:20000"
    assert result["proxy"]["x_forwarded_for"] == "truncate:0,append"
    assert "$" not in (tmp_path / "pushpin.conf").read_text()


@pytest.mark.parametrize("version", [OLD, NEW])
def test_what_has_no_authentication_is_on_loopback(tmp_path: Path, version: tuple[int, int]) -> None:
    handler = written(tmp_path, version)["handler"]

    assert (handler["push_in_http_addr"], handler["push_in_http_port"]) == ("127.0.0.1", "20002")
    assert handler["stats_spec"] == "tcp://127.0.0.1:20003"
    assert handler["prometheus_port"] == "127.0.0.1:20004"


def test_max_open_requests_is_set_for_the_older_release_only(tmp_path: Path) -> None:
    assert written(tmp_path, OLD)["proxy"]["max_open_requests"] == "100"
    assert "max_open_requests" not in written(tmp_path, NEW)["proxy"]


def test_the_services_go_by_the_names_of_the_release(tmp_path: Path) -> None:
    assert written(tmp_path, OLD)["runner"]["services"] == "condure,zurl,pushpin-proxy,pushpin-handler"
    assert written(tmp_path, NEW)["runner"]["services"] == "connmgr,proxy,handler"


def signed_with(run_dir: Path, key: str) -> bytes:
    text = written(run_dir, OLD, sig_key=key)["proxy"]["sig_key"]
    assert text.startswith("base64:")
    return base64.b64decode(text.removeprefix("base64:"), validate=True)


def test_a_plain_key_is_written_byte_for_byte(tmp_path: Path) -> None:
    assert signed_with(tmp_path, KEY) == KEY.encode()


def test_a_key_in_another_form_is_written_as_its_bytes(tmp_path: Path) -> None:
    raw = bytes(range(32, 72))
    (tmp_path / "key").write_bytes(raw + b"\n")

    assert signed_with(tmp_path, "base64:" + base64.b64encode(raw).decode()) == raw
    assert signed_with(tmp_path, f"file:{tmp_path}/key") == raw.strip()


def test_nobody_else_can_read_the_key(short: Path) -> None:
    run_dir = run_directory(short)
    (run_dir / "pushpin.conf").touch(mode=0o644)

    write_configuration(node(run_dir), OLD)

    assert stat.S_IMODE((run_dir / "pushpin.conf").stat().st_mode) == 0o600
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    assert sorted(path.name for path in run_dir.iterdir()) == ["pushpin.conf", "routes"]


def test_a_key_is_not_shown_with_the_rest(tmp_path: Path) -> None:
    assert KEY not in repr(node(tmp_path))


def test_two_copies_share_no_socket(short: Path) -> None:
    first, second = run_directory(short / "1"), run_directory(short / "2")

    assert first != second
    assert written(first, OLD)["global"]["rundir"] != written(second, OLD)["global"]["rundir"]


@pytest.mark.parametrize("name", ["long" * 30, "a space", "知らせ", "a,comma"])
def test_a_directory_that_pushpin_cannot_hold_is_replaced(tmp_path: Path, name: str) -> None:
    run_dir = run_directory(tmp_path / name)
    other = run_directory(tmp_path / (name + "2"))
    try:
        assert run_dir == run_directory(tmp_path / name)
        assert run_dir != other
        assert len(bytes(run_dir)) + LONGEST_SOCKET_NAME <= UNIX_PATH_MAX
        assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    finally:
        shutil.rmtree(run_dir)
        shutil.rmtree(other)


def test_a_link_in_the_place_of_the_directory_is_refused(short: Path) -> None:
    (short / "elsewhere").mkdir()
    (short / "run").symlink_to(short / "elsewhere")

    with pytest.raises(PermissionError, match="belongs to another user"):
        run_directory(short)


def test_a_missing_pushpin_is_reported_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ProxyMissing, match="Pushpin is not installed: `make up` installs it"):
        installed_version()


def test_the_installed_release_is_read() -> None:
    assert installed_version() >= OLD


def test_streams_of_a_mounted_inbox_open_through_the_standby(tmp_path: Path) -> None:
    config = replace(node(tmp_path), mounts={"/site/": "127.0.0.1:1"}, inboxes=read_inboxes(["/site/inbox/", "/own"]))
    write_configuration(config, OLD)
    routes = (tmp_path / "routes").read_text()
    assert "*,path_beg=/site/ 127.0.0.1:1 127.0.0.1:20005\n" in routes
    for inbox in ("/site/inbox", "/own"):
        assert f"*,path_beg={inbox}/api/sse/notifications 127.0.0.1:20005\n" in routes


@pytest.mark.parametrize("inbox", ["", "/", "site/", "/a b/", "/a,b/", "/a\n* x:1/"])
def test_an_inbox_that_is_no_path_is_refused(inbox: str) -> None:
    with pytest.raises(SettingsError, match="--inbox"):
        read_inboxes([inbox])
