"""The composition and its images, as far as they can be checked without a container engine."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from shirase.run.cli import main
from shirase.vapid import PushKey

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRETS = {"postgres_password", "pushpin_sig_key", "jwt_secret"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_parts_are_there() -> None:
    assert set(SERVICES) == {"postgres", "migrate", "api", "relay", "pushpin"}


def test_only_the_client_port_is_published() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"pushpin": ["${PUBLISH:-127.0.0.1:7999}:7999"]}


def test_only_pushpin_is_on_a_network_that_leads_outside() -> None:
    outside = {name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")}

    assert {name for name, service in SERVICES.items() if outside & set(service["networks"])} == {"pushpin"}


def test_no_secret_is_in_an_environment() -> None:
    assert set(COMPOSE["secrets"]) == SECRETS
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if name.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]
            assert not re.search("secret|password|key", str(value), re.IGNORECASE) or name.endswith("_FILE")


@pytest.mark.parametrize(
    ("name", "secrets"),
    [
        ("postgres", {"postgres_password"}),
        ("migrate", {"postgres_password"}),
        ("relay", {"postgres_password", "pushpin_sig_key"}),
        ("pushpin", {"pushpin_sig_key"}),
        ("api", SECRETS),
    ],
)
def test_a_service_gets_no_secret_that_it_does_not_use(name: str, secrets: set[str]) -> None:
    assert set(SERVICES[name]["secrets"]) == secrets


def test_the_relay_alone_may_be_given_a_way_out() -> None:
    added = yaml.safe_load((ROOT / "deploy" / "compose-outbound.yml").read_text())

    assert {name: service.get("networks") for name, service in added["services"].items()} == {
        "api": None,
        "relay": ["private", "outbound"],
    }
    documented = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text()))
    for service in added["services"].values():
        for name, value in service["environment"].items():
            assert name in documented
            assert value == f"${{{name}:-}}"
            assert name.removesuffix("_FILE") not in {"SMTP_PASSWORD", "VAPID_PRIVATE_KEY"}


@pytest.mark.parametrize(
    ("file", "secret", "services"),
    [("mail", "smtp_password", {"relay"}), ("push", "vapid_private_key", {"api", "relay"})],
)
def test_a_secret_of_outbound_delivery_is_a_file(file: str, secret: str, services: set[str]) -> None:
    added = yaml.safe_load((ROOT / f"deploy/compose-{file}.yml").read_text())
    assert set(added["services"]) == services
    assert set(added["secrets"]) == {secret}
    for service in added["services"].values():
        assert service["secrets"] == [secret]
        assert service["environment"][f"{secret.upper()}_FILE"] == f"/run/secrets/{secret}"


def test_the_secrets_are_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)
    for _ in range(2):
        subprocess.run([ROOT / "deploy/make-secrets", tmp_path / "secrets"], check=True)
        made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
        assert set(made) == SECRETS | {"vapid_private_key"}
    assert len(set(made.values())) == len(made)
    assert PushKey(made["vapid_private_key"], "ops@example.com").public
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", SERVICES)
def test_a_log_has_a_limit(name: str) -> None:
    assert {"max-size", "max-file"} <= set(SERVICES[name]["logging"]["options"])


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_runs_as_root_or_can_become_it(name: str) -> None:
    service = SERVICES[name]

    assert service["user"] == ("postgres" if name == "postgres" else "shirase")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_ends_is_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == ("no" if name == "migrate" else "unless-stopped")


@pytest.mark.parametrize("name", ["postgres", "api", "pushpin"])
def test_what_listens_has_a_health_check_with_a_bound(name: str) -> None:
    check = SERVICES[name]["healthcheck"]

    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)


def test_each_starts_after_what_it_needs() -> None:
    needs = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }

    assert needs["migrate"] == {"postgres": "service_healthy"}
    assert needs["api"] == needs["relay"] == {"migrate": "service_completed_successfully"}
    assert needs["pushpin"] == {}  # so that no upgrade of the others recreates it


def test_a_nodes_health_is_its_own() -> None:
    assert "7999/livez" in str(SERVICES["pushpin"]["healthcheck"])


def test_there_are_files_for_many_streams() -> None:
    limit = SERVICES["pushpin"]["ulimits"]["nofile"]

    assert limit["soft"] == limit["hard"] == "${FILE_LIMIT:-262144}"


def test_handlers_that_vanished_are_given_up_soon() -> None:
    assert SERVICES["pushpin"]["sysctls"]["net.ipv4.tcp_syn_retries"] == 1


def test_handlers_and_relay_publish_where_pushpin_listens() -> None:
    command = SERVICES["pushpin"]["command"]
    port = int(command[command.index("--port") + 1])

    for name in ("api", "relay"):
        assert SERVICES[name]["environment"]["GRIP_URL"] == f"http://node-control:{port + 2}"
        assert SERVICES[name]["environment"]["PUSHPIN_STATS_URL"] == f"tcp://node-control:{port + 3}"
    assert SERVICES["pushpin"]["ports"][0].endswith(f":{port}")


def test_pushpin_asks_the_handlers_where_they_listen() -> None:
    command, origin = SERVICES["pushpin"]["command"], SERVICES["api"]["command"]

    host, _, port = command[command.index("--origin") + 1].partition(":")
    assert host == "api"
    assert origin[origin.index("--bind") + 1] == f"0.0.0.0:{port}"


@pytest.mark.parametrize("name", ["migrate", "relay", "pushpin"])
def test_the_commands_and_their_options_exist(name: str) -> None:
    program, subcommand, *options = SERVICES[name]["command"]

    assert program == "shirase"
    # --help ends the command before it runs, but after click has rejected unknown options.
    answer = CliRunner().invoke(main, [subcommand, *options, "--help"])
    assert answer.exit_code == 0, answer.output


def test_the_image_copies_what_exists_and_is_not_run_by_root() -> None:
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists()
            assert f"!{source}" in (ROOT / ".dockerignore").read_text().splitlines()
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["shirase", "shirase"]


def test_the_nodes_control_port_is_on_the_private_network_alone() -> None:
    service = SERVICES["pushpin"]
    host = service["command"][service["command"].index("--control-host") + 1]
    names = {network: (options or {}).get("aliases", []) for network, options in service["networks"].items()}
    assert names == {"private": [host], "edge": []}
