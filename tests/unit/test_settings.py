"""A wrong or missing setting is named, and nothing starts."""

import pytest

from api.errors import SettingsError
from api.settings import Settings

GOOD = {
    "DATABASE_URL": "sqlite:////x.db",
    "GRIP_URL": "http://127.0.0.1:5561",
    "PUSHPIN_SIG_KEY": "k" * 32,
    "JWT_SECRET": "j" * 32,
}


def test_the_defaults_are_the_documented_ones() -> None:
    settings = Settings.from_env(GOOD)
    assert settings.grip_url == ("http://127.0.0.1:5561",)
    assert (settings.sse_keepalive_timeout, settings.sse_queue_size, settings.sse_resync_interval) == (30, 100, 3600)
    assert (settings.retention_days, settings.log_level, settings.log_format, settings.demo) == (
        30,
        "INFO",
        "text",
        False,
    )


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: is not set$"):
        Settings.from_env(GOOD | {name: "  "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRIP_URL", "127.0.0.1:5561"),
        ("GRIP_URL", "http://a:5561, ftp://b"),
        ("GRIP_URL", "http://a:99999"),
        ("PUSHPIN_SIG_KEY", "changeme"),
        ("PUSHPIN_SIG_KEY", "k" * 31),
        ("PUSHPIN_SIG_KEY", "base64:eHg="),
        ("PUSHPIN_SIG_KEY", "file:/nonexistent"),
        ("JWT_SECRET", "short"),
        ("SSE_KEEPALIVE_TIMEOUT", "0"),
        ("SSE_KEEPALIVE_TIMEOUT", "1.5"),
        ("SSE_QUEUE_SIZE", "-1"),
        ("SSE_QUEUE_SIZE", "٣"),
        ("SSE_RESYNC_INTERVAL", "1e3"),
        ("PUBLISH_TIMEOUT", "nan"),
        ("DATABASE_TIMEOUT", "0"),
        ("RETENTION_DAYS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("SHIRASE_DEMO", "maybe"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Settings.from_env(GOOD | {name: value})


def test_no_secret_is_in_the_representation() -> None:
    shown = repr(Settings.from_env(GOOD | {"DATABASE_URL": "postgresql://u:hunter2@h/n"}))
    assert not [secret for secret in ("kkkk", "jjjj", "hunter2") if secret in shown]


def test_several_nodes_are_separated_by_spaces_or_commas() -> None:
    assert Settings.from_env(GOOD | {"GRIP_URL": "http://a:1,http://b:2  http://c:3"}).grip_url == (
        "http://a:1",
        "http://b:2",
        "http://c:3",
    )
