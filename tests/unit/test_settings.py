"""A wrong or missing setting is named, and stops the start."""

from pathlib import Path

import pytest

from shirase.errors import SettingsError
from shirase.proxy.nodes import statistics_of
from shirase.settings import DEMO_KEY_PREFIX, Settings

# Spellings of public addresses, as a resolver reads them.
PUBLIC_HOSTS = [
    "1.1.1.1",
    "134744072",
    "0x08080808",
    "8.8.2056",
    "010.010.010.010",
    "[2606:4700:4700::1111]",
    "[::ffff:8.8.8.8]",
]
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
    assert (settings.sse_max_connections_per_user, settings.sse_connection_limit_policy) == (5, "evict-oldest")
    assert settings.pushpin_stats_url == ()
    assert (settings.retention_days, settings.log_level, settings.log_format, settings.demo) == (
        30,
        "INFO",
        "text",
        False,
    )


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: is not set(, and neither is |$)"):
        Settings.from_env(GOOD | {name: "  "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_SCHEMA", "Shirase"),
        ("DATABASE_SCHEMA", "a b"),
        ("DATABASE_SCHEMA", "pg_own"),
        ("DATABASE_SCHEMA", "a" * 64),
        ("GRIP_URL", "127.0.0.1:5561"),
        ("GRIP_URL", "http://a:5561, ftp://b"),
        ("GRIP_URL", "http://a:99999"),
        ("PUSHPIN_SIG_KEY", "changeme"),
        ("PUSHPIN_SIG_KEY", "k" * 31),
        ("PUSHPIN_SIG_KEY", "base64:eHg="),
        ("PUSHPIN_SIG_KEY", "file:/nonexistent"),
        ("JWT_SECRET", "short"),
        ("JWT_SECRET", "j" * 32 + ",short"),
        ("JWT_SECRET", "file:/nonexistent"),
        ("JWT_JWKS_TIMEOUT", "0"),
        ("AUTH_COOKIE", "a b"),
        ("AUTH_COOKIE", "a;b"),
        ("AUTH_QUERY_TOKEN", "no"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://app.example.com:443"),
        ("CORS_ORIGINS", "https://APP.example.com"),
        ("CORS_ORIGINS", "https://a.example.com https://b.example.com/x"),
        ("SSE_KEEPALIVE_TIMEOUT", "0"),
        ("SSE_KEEPALIVE_TIMEOUT", "1.5"),
        ("PUSHPIN_STATS_URL", "http://127.0.0.1:5561"),
        ("PUSHPIN_STATS_URL", "tcp://127.0.0.1"),
        ("PUSHPIN_STATS_URL", "tcp://127.0.0.1:5561/x"),
        ("PUSHPIN_STATS_URL", "tcp://a:1 tcp://b:1"),
        ("SSE_MAX_CONNECTIONS_PER_USER", "0"),
        ("SSE_CONNECTION_LIMIT_POLICY", "evict"),
        ("SSE_QUEUE_SIZE", "-1"),
        ("SSE_QUEUE_SIZE", "٣"),
        ("SSE_RESYNC_INTERVAL", "1e3"),
        ("PUBLISH_TIMEOUT", "nan"),
        ("DATABASE_TIMEOUT", "0"),
        ("RETENTION_DAYS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("SHIRASE_DEMO", "maybe"),
        ("CORS_HEADERS", "X-One X Two: 2"),
        ("CORS_HEADERS", "*"),
        ("OUTBOUND_PRIVATE_HOSTS", "http://crm.internal"),
        ("OUTBOUND_PRIVATE_HOSTS", "crm.internal/hook"),
        ("OUTBOUND_PRIVATE_HOSTS", "10.0.0.0/8"),
        ("OUTBOUND_PRIVATE_HOSTS", "*.internal"),
        ("OUTBOUND_PRIVATE_HOSTS", "[fd00::1]"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Settings.from_env(GOOD | {name: value})


@pytest.mark.parametrize("host", ["crm.internal", "CRM_1:8080", "10.0.0.7", "10.0.0.7:1", "fd00::1", "[fd00::1]:80"])
def test_a_private_host_may_have_a_port(host: str) -> None:
    settings = Settings.from_env(GOOD | {"OUTBOUND_PRIVATE_HOSTS": f"other {host}"})
    assert settings.outbound_private_hosts == {"other", host.lower()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_PUBLIC_KEY", "x"),
        ("JWT_PUBLIC_KEY", "file:/nonexistent"),
        ("JWT_JWKS_URL", "x"),
        ("JWT_JWKS_URL", "file:///etc/passwd"),
        *(("JWT_JWKS_URL", f"http://{host}/keys") for host in PUBLIC_HOSTS),
    ],
)
def test_a_wrong_way_to_check_tokens_is_named(name: str, value: str) -> None:
    without = {key: text for key, text in GOOD.items() if key != "JWT_SECRET"}
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Settings.from_env(without | {name: value})


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example.com/keys",
        "https://1.1.1.1/keys",
        *(
            f"http://{host}/keys"
            for host in (
                "10.1.2.3",
                "167838211",
                "[fd00::1]",
                "[::1]:8080",
                "localhost",
                # Such names resolve in their own network alone; what they resolve to is checked at each fetch.
                "keycloak:8080",
                "keycloak.auth.svc.cluster.local",
                "host.docker.internal",
            )
        ),
    ],
)
def test_a_key_set_comes_over_tls_or_from_a_private_network(url: str) -> None:
    without = {key: text for key, text in GOOD.items() if key != "JWT_SECRET"}
    assert Settings.from_env(without | {"JWT_JWKS_URL": url}).jwt_jwks_url == url


@pytest.mark.parametrize("host", PUBLIC_HOSTS)
def test_plain_http_is_accepted_for_a_host_that_is_listed(host: str) -> None:
    without = {key: text for key, text in GOOD.items() if key != "JWT_SECRET"}
    url = f"http://{host}/keys"
    listed = {"JWT_JWKS_URL": url, "JWT_JWKS_HTTP_HOSTS": f"other, {host.strip('[]')}"}
    assert Settings.from_env(without | listed).jwt_jwks_url == url


def test_tokens_are_checked_in_one_way(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_SECRET and JWT_JWKS_URL: are set at once"):
        Settings.from_env(GOOD | {"JWT_JWKS_URL": "https://issuer.example.com/keys"})
    (tmp_path / "key").write_text("k" * 32)
    assert Settings.from_env(GOOD | {"JWT_SECRET": f"{'j' * 32} file:{tmp_path}/key"}).jwt_secret


def test_listed_origins_are_separated_by_spaces_or_commas() -> None:
    listed = "https://a.example.com,http://localhost:5173  http://[::1]:8080"
    assert Settings.from_env(GOOD | {"CORS_ORIGINS": listed}).cors_origins == {
        "https://a.example.com",
        "http://localhost:5173",
        "http://[::1]:8080",
    }


def test_a_host_with_its_own_sign_in_needs_no_token_keys() -> None:
    environ = {name: value for name, value in GOOD.items() if name != "JWT_SECRET"}
    assert Settings.from_env(environ, tokens=False).jwt_secret == ""


def test_no_secret_is_in_the_representation() -> None:
    shown = repr(Settings.from_env(GOOD | {"DATABASE_URL": "postgresql://u:hunter2@h/n"}))
    assert not [secret for secret in ("kkkk", "jjjj", "hunter2") if secret in shown]


def test_several_nodes_are_separated_by_spaces_or_commas() -> None:
    assert Settings.from_env(GOOD | {"GRIP_URL": "http://a:1,http://b:2  http://c:3"}).grip_url == (
        "http://a:1",
        "http://b:2",
        "http://c:3",
    )


def test_a_rate_is_written_in_words_and_can_be_off() -> None:
    assert Settings.from_env(GOOD | {"RATE_LIMIT_CREATES": "5/Hour"}).rate_limit_creates == "5/hour"
    assert Settings.from_env(GOOD | {"RATE_LIMIT_CREATES": "off"}).rate_limit_creates is None
    for wrong in ("5", "0/minute", "5/week", "5 per minute", "-1/second", "x"):
        with pytest.raises(SettingsError, match=r"^RATE_LIMIT_TICKETS: "):
            Settings.from_env(GOOD | {"RATE_LIMIT_TICKETS": wrong})


def test_the_demo_never_signs_with_a_key_that_is_not_its_own() -> None:
    with pytest.raises(SettingsError, match=r"^JWT_SECRET: is not the demo's own"):
        Settings.from_env(GOOD | {"SHIRASE_DEMO": "on"})
    assert Settings.from_env(GOOD | {"SHIRASE_DEMO": "on", "JWT_SECRET": DEMO_KEY_PREFIX + "j" * 32}).demo


def test_a_hosts_addresses_are_nodes_after_dns() -> None:
    variables = {
        "GRIP_URL": "dns+http://nodes:8001?key=x http://b:8001",
        "PUSHPIN_STATS_URL": "dns+tcp://nodes:8002 tcp://b:8002",
    }
    read = Settings.from_env(GOOD | variables)
    assert read.grip_url == ("dns+http://nodes:8001?key=x", "http://b:8001")
    addresses = ["http://10.0.0.1:8001", "http://b:8001", "http://10.0.0.1:9"]
    assert statistics_of(addresses, read.grip_url, read.pushpin_stats_url) == {
        "http://10.0.0.1:8001": "tcp://10.0.0.1:8002",
        "http://b:8001": "tcp://b:8002",
    }


@pytest.mark.parametrize(
    ("grip_url", "stats_url", "named"),
    [
        ("dns+http://10.0.0.1:8001", "", "GRIP_URL"),
        ("dns+http://nodes", "", "GRIP_URL"),
        ("dns+ftp://nodes:8001", "", "GRIP_URL"),
        ("dns+dns+http://nodes:8001", "", "GRIP_URL"),
        ("dns+http://nodes:8001", "tcp://nodes:8002", "PUSHPIN_STATS_URL"),
        ("dns+http://nodes:8001", "dns+tcp://others:8002", "PUSHPIN_STATS_URL"),
        ("http://nodes:8001", "dns+tcp://nodes:8002", "PUSHPIN_STATS_URL"),
    ],
)
def test_a_dns_address_that_cannot_be_used_is_named(grip_url: str, stats_url: str, named: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env(GOOD | {"GRIP_URL": grip_url, "PUSHPIN_STATS_URL": stats_url})
    assert refused.value.name == named
