"""The metrics of a service: of all workers, the relay and Pushpin, at one address."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shirase.access.tokens import ADMIN
from shirase.run.processes import Child, gunicorn_command, relay_command
from tests.integration.test_metrics import read
from tests.support.forwarder import Mode
from tests.support.fragile import Fragile, on_both
from tests.support.loop_thread import wait_until
from tests.support.service import Service
from tests.support.stack import free_ports
from tests.unit.test_monitoring import DASHBOARD, RULES

BOUND = 30.0

on_one = pytest.mark.parametrize("service", ["sqlite"], indirect=True)


def user() -> str:
    return f"user-{uuid4().hex}"


def figures(service: Service) -> dict[str, float]:
    answer = service.http.get(f"{service.stack.origin_url}/metrics")
    assert answer.status_code == 200
    return read(answer.text)


def test_metrics_cover_all_workers(service: Service) -> None:
    def created() -> float:
        return figures(service)["shirase_notifications_created_total"]

    before, seen = created(), set()
    for number in range(1, 41):
        service.create(user())
        seen.add(created() - before - number)

    assert len(service.stack.worker_pids()) == 4
    assert seen == {0}


def test_streams_and_their_events_are_counted(service: Service) -> None:
    alice = user()
    before = figures(service)

    device = service.open(alice)
    service.create(alice)
    device.wait(lambda seen: seen.log)
    device.drop()
    device.wait(lambda seen: seen.connections == 2)
    service.open(user(), cursor="0123456789-7")

    def grown(name: str) -> float:
        return figures(service)[name] - before[name]

    assert grown("shirase_connects_total{result=new}") == 1
    assert grown("shirase_connects_total{result=resumed}") == 1
    assert grown("shirase_connects_total{result=reset}") == 1
    assert grown("shirase_resets_total") == 1
    assert grown("shirase_event_age_seconds_count{way=publish}") == 1


def test_connections_and_ended_streams_are_counted(service: Service) -> None:
    name = "shirase_connections_ended_total{reason=revoked}"
    before, bob = figures(service), user()
    service.open_many([user()] * 3)
    device = service.open(bob, reconnect=False)
    wait_until(lambda: figures(service)["shirase_open_connections"] >= 4, BOUND, "they are not counted")

    assert service.ask("DELETE", "/api/sse/connections", scope=ADMIN, params={"user_id": bob}).json() == {"closed": 1}

    device.wait(lambda seen: seen.done)
    assert figures(service)[name] - before[name] == 1
    assert figures(service)["shirase_relay_silence_seconds"] < BOUND
    assert figures(service)["shirase_statistics_silence_seconds"] < BOUND


def test_every_metric_of_the_dashboard_and_the_alerts_is_there(service: Service) -> None:
    """Including the label values that they select."""
    text = service.http.get(f"{service.stack.origin_url}/metrics").text
    there = {
        (sample.name, *pair)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for pair in [("", ""), *sample.labels.items()]
    }
    expressions = [rule["expr"] for rule in RULES]
    expressions += [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    expected = set()
    for name, labels in re.findall(r"(shirase_\w+)(\{[^}]*\})?", " ".join(expressions)):
        expected |= {(name, "", "")} | {(name, *pair) for pair in re.findall(r'(\w+)="(\w+)"', labels)}

    assert expected - there == set()
    assert len({name for name, _, _ in expected}) > 20


def test_metrics_include_pushpins_totals(service: Service) -> None:
    name = "shirase_pushpin_requests_received_total"
    before = figures(service)[name]
    service.open(user())

    # Pushpin updates its totals periodically.
    wait_until(lambda: figures(service)[name] > before, BOUND, "the request is not counted")
    assert figures(service)["shirase_pushpin_connections"] >= 1
    assert figures(service)["shirase_pushpin_up"] == 1


@on_both
def test_metrics_show_repairs_and_a_spared_control_port(fragile: Fragile) -> None:
    service, alice = fragile.service, user()
    fragile.control.mode = Mode.REFUSE
    for _ in range(5):
        service.create(alice)
    result = figures(service)
    assert result["shirase_unpublished_events"] == 5
    assert result["shirase_control_port_failures_total"] + result["shirase_control_port_spared_total"] >= 5

    fragile.control.mode = Mode.PASS

    wait_until(lambda: figures(service)["shirase_unpublished_events"] == 0, BOUND, "the relay did not come")
    assert figures(service)["shirase_relay_repaired_events_total"] == 5
    assert figures(service)["shirase_relay_last_round_timestamp_seconds"] > 0


def test_counters_outlive_their_workers(fragile: Fragile) -> None:
    fragile.service.create(user())
    before = figures(fragile.service)["shirase_notifications_created_total"]

    fragile.stack.kill_workers()
    fragile.service.create(user())

    assert before == 1
    assert figures(fragile.service)["shirase_notifications_created_total"] == 2


@on_one
def test_gunicorn_alone_creates_a_metrics_directory(service: Service, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environ = {**os.environ, **service.stack.settings_env, "TMPDIR": str(temporary)}
    del environ["PROMETHEUS_MULTIPROC_DIR"]
    origin = f"127.0.0.1:{free_ports(1)[0]}"
    gunicorn = Child("gunicorn", gunicorn_command(origin, 2), environ, mark=str(tmp_path))
    with ExitStack() as running, (tmp_path / "log").open("wb") as log:
        running.callback(gunicorn.kill)
        gunicorn.start(log)

        def asked() -> list[int]:
            # An answer is counted after it was built: each shows those before it.
            result = [read(service.http.get(f"http://{origin}/metrics").text) for _ in range(10)]
            return [int(row.get("shirase_http_requests_total{operation=metrics,status=200}", 0)) for row in result]

        wait_until(lambda: _answers(service, origin), BOUND, (tmp_path / "log").read_text)
        assert asked() == list(range(10))
        assert [path.name[:15] for path in temporary.iterdir()] == ["shirase-metrics"]

        gunicorn.stop(BOUND)
    assert list(temporary.iterdir()) == []


@on_one
def test_a_separate_relay_serves_its_own_metrics(service: Service, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    environ = {**os.environ, **service.stack.settings_env}
    del environ["PROMETHEUS_MULTIPROC_DIR"]
    command = [*relay_command(), "--metrics-port", str(port)]
    with ExitStack() as running, (tmp_path / "log").open("wb") as log:
        relay = Child("relay", command, environ, mark=str(tmp_path))
        running.callback(relay.kill)
        relay.start(log)

        def rounds() -> float:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
            except httpx.HTTPError:
                return 0
            return read(answer.text)["shirase_relay_last_round_timestamp_seconds"]

        wait_until(lambda: rounds() > 0, BOUND, (tmp_path / "log").read_text)


@on_one
def test_a_taken_metrics_port_is_one_line(service: Service, tmp_path: Path) -> None:
    taken = service.stack.proxies[0].control_port
    command = [sys.executable, "-m", "shirase", "relay", "--metrics-port", str(taken)]
    environ = {**os.environ, **service.stack.settings_env}

    ended = subprocess.run(
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=BOUND, check=False
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"shirase: port {taken}")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", ["/readyz", "/metrics", "/healthz"])
def test_operators_are_answered_at_the_origin(service: Service, path: str) -> None:
    assert service.http.get(service.stack.origin_url + path).status_code == 200


def _answers(service: Service, origin: str) -> bool:
    try:
        return service.http.get(f"http://{origin}/healthz").status_code == 200
    except httpx.HTTPError:
        return False
