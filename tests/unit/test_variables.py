"""Settings from files, so that no secret has to be in the environment."""

from pathlib import Path

import pytest

from shirase.errors import SettingsError
from shirase.run.environment import overlay
from shirase.settings import ProxySettings, Settings, TokenSettings

GOOD = {
    "DATABASE_URL": "postgresql://shirase@db/shirase",
    "DATABASE_PASSWORD": "p@ss/word",
    "GRIP_URL": "http://127.0.0.1:5561?key=" + "g" * 32,
    "PUSHPIN_SIG_KEY": "k" * 32,
    "JWT_SECRET": "j" * 32,
}
SECRETS = (*GOOD, "JWT_PUBLIC_KEY")


@pytest.mark.parametrize("name", GOOD)
def test_every_secret_can_come_from_the_file_of_name_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(GOOD[name] + "\n")
    others = {other: value for other, value in GOOD.items() if other != name}

    assert Settings.from_env({**others, f"{name}_FILE": f"{tmp_path}/secret"}) == Settings.from_env(GOOD)


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_PASSWORD", "GRIP_URL"])
def test_every_secret_can_be_file_and_a_path(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(GOOD[name] + "\n")

    assert Settings.from_env({**GOOD, name: f"file:{tmp_path}/secret"}) == Settings.from_env(GOOD)


@pytest.mark.parametrize("name", GOOD)
def test_a_secret_given_twice_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(GOOD[name])
    with pytest.raises(SettingsError, match=f"^{name} and {name}_FILE: "):
        Settings.from_env({**GOOD, f"{name}_FILE": f"{tmp_path}/secret"})


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b" \n", "is empty"), (b"\xff\xfe", "is not text")],
    ids=["missing", "empty", "binary"],
)
@pytest.mark.parametrize("name", GOOD)
def test_a_file_that_holds_no_secret_is_named(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    others = {other: value for other, value in GOOD.items() if other != name}
    with pytest.raises(SettingsError, match=f"^{name}_FILE: .*{message}"):
        Settings.from_env({**others, f"{name}_FILE": f"{tmp_path}/secret"})


def test_the_password_is_put_into_the_databases_address() -> None:
    assert Settings.from_env(GOOD).database_url == "postgresql://shirase:p%40ss%2Fword@db/shirase"


@pytest.mark.parametrize(
    "url", ["sqlite:////x.db", "postgresql://u:other@db/x", "postgresql://db/x", "postgresql:///x"]
)
def test_a_password_without_a_place_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_PASSWORD: needs a DATABASE_URL like"):
        Settings.from_env({**GOOD, "DATABASE_URL": url})


def test_no_password_is_in_the_representation() -> None:
    assert "p%40ss" not in repr(Settings.from_env(GOOD))


def test_signing_a_token_needs_the_tokens_settings_alone() -> None:
    assert TokenSettings.from_env({"JWT_SECRET": "j" * 32}).jwt_secret == "j" * 32


def test_a_proxy_node_needs_one_key_alone() -> None:
    assert ProxySettings.from_env({"PUSHPIN_SIG_KEY": "k" * 32}).pushpin_sig_key == "k" * 32


@pytest.mark.parametrize(
    ("below", "above"),
    [({"JWT_SECRET": "old"}, {"JWT_SECRET_FILE": "/new"}), ({"JWT_SECRET_FILE": "/old"}, {"JWT_SECRET": "new"})],
)
def test_the_environment_overrides_a_files_value(below: dict[str, str], above: dict[str, str]) -> None:
    assert overlay({**below, "KEPT": "x"}, above) == {**above, "KEPT": "x"}


@pytest.mark.parametrize("value", ["https://example.com/notify", "https://example.com/notify/", "http://[::1]:8080"])
def test_the_public_address_has_no_slash_at_its_end(value: str) -> None:
    assert Settings.from_env({**GOOD, "PUBLIC_URL": value}).public_url == value.rstrip("/")


@pytest.mark.parametrize("value", ["example.com", "/notify", "https://example.com/?x", "https://example.com/a//b", "x"])
def test_a_public_address_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PUBLIC_URL: "):
        Settings.from_env({**GOOD, "PUBLIC_URL": value})
