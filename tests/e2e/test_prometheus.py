"""A real Prometheus scrapes a service by ``deploy/monitoring``, and answers every panel and rule."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copy
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from tests.support.loop_thread import wait_until
from tests.support.service import Service
from tests.support.stack import free_ports
from tests.unit.test_monitoring import DASHBOARD, MONITORING, RULES

PROMETHEUS = "/usr/bin/prometheus"
BOUND = 30.0
# Counters by node that have no series until something has failed.
AFTER_A_FAILURE = ("shirase_relay_hinted_streams_total", "shirase_control_port_")
EXPRESSIONS = {
    target["expr"].replace("$__rate_interval", "20s")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
}


@contextmanager
def prometheus(service: Service, home: Path) -> Iterator[httpx.Client]:
    """Run it with the configuration of ``deploy/monitoring``, but for the targets and the pace."""
    port = free_ports(1)[0]
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    target = service.stack.origin_url.removeprefix("http://")
    configuration["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (home / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    copy(MONITORING / "alerts.yml", home)
    options = [f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data"]
    with (home / "log").open("wb") as log:
        command = [PROMETHEUS, *options, f"--web.listen-address=127.0.0.1:{port}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False) as http:
            wait_until(lambda: _scraped(http), BOUND, (home / "log").read_text)
            yield http
    finally:
        process.terminate()
        process.wait()


def _scraped(http: httpx.Client) -> bool:
    with suppress(httpx.TransportError, ValueError):  # the latter while it starts, and answers without JSON
        return bool(ask(http, "sum(rate(shirase_http_requests_total[20s]))"))
    return False


def ask(http: httpx.Client, expression: str) -> list[Any]:
    answer = http.get("/query", params={"query": expression}).json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    result: list[Any] = answer["data"]["result"]
    return result


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_prometheus_answers_every_panel_and_rule(service: Service, tmp_path: Path) -> None:
    service.open(f"user-{uuid4().hex}")
    service.create(f"user-{uuid4().hex}")
    with prometheus(service, tmp_path) as http:
        silent = [expression for expression in EXPRESSIONS if not ask(http, expression)]
        assert [query for query in silent if not any(name in query for name in AFTER_A_FAILURE)] == []

        def rules() -> list[dict[str, Any]]:
            (group,) = http.get("/rules").json()["data"]["groups"]
            return [rule for rule in group["rules"] if rule["health"] != "unknown"]

        wait_until(lambda: len(rules()) == len(RULES), BOUND, lambda: str(rules()))
        assert {rule["name"]: rule["health"] for rule in rules()} == {rule["alert"]: "ok" for rule in RULES}
