"""`/metrics` and `/readyz` of an application in the same process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from shirase.access.tokens import WRITE
from shirase.flask.app import create_app
from shirase.relay import repair
from shirase.settings import Settings
from tests.support.control_port import ControlPort, control_port
from tests.support.loop_thread import wait_until
from tests.support.postgres import Cluster

Figures = dict[str, float]


@pytest.fixture
def port() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, port: ControlPort) -> Settings:
    return replace(settings, grip_url=(port.url,), publish_timeout=1.0)


@pytest.fixture
def create(client: FlaskClient, token: Callable[..., str]) -> Callable[[int], None]:
    def create(count: int) -> None:
        drafts = [{"user_id": "42", "type": "t", "title": "T", "message": ""}] * count
        headers = {"Authorization": f"Bearer {token('producer', WRITE)}"}
        answer = client.post("/api/notifications/batch", json={"notifications": drafts}, headers=headers)
        assert answer.status_code == 201

    return create


def figures(client: FlaskClient) -> Figures:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return read(answer.text)


def read(exposition: str) -> Figures:
    result: Figures = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()) if name != "node")
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in result or "node" in sample.labels, f"{name} is there twice"
            result[name] = result.get(name, 0) + sample.value
    return result


class Grown:
    """The growth of metrics: they are the process's, so other tests change them too."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self._before = figures(client)

    def __getitem__(self, name: str) -> float:
        now = figures(self._client)
        return now[name] - self._before.get(name, 0)


def test_what_is_created_and_published_is_counted(client: FlaskClient, create: Callable[[int], None]) -> None:
    grown = Grown(client)

    create(3)

    assert grown["shirase_notifications_created_total"] == 3
    assert grown["shirase_events_published_total{result=accepted}"] == 3
    assert grown["shirase_events_published_total{result=failed}"] == 0
    assert grown["shirase_publish_duration_seconds_count"] == 1
    assert grown["shirase_event_age_seconds_count{way=publish}"] == 3
    assert grown["shirase_http_requests_total{operation=create_batch,status=201}"] == 1
    assert grown["shirase_http_request_duration_seconds_count{operation=create_batch}"] == 1


def test_the_outbox_and_the_relays_work_are_counted(
    app: Flask, client: FlaskClient, create: Callable[[int], None], port: ControlPort
) -> None:
    port.behaviour = "fail"
    grown = Grown(client)

    create(2)

    assert grown["shirase_events_published_total{result=failed}"] == 2
    assert figures(client)["shirase_unpublished_events"] == 2
    assert figures(client)["shirase_oldest_unpublished_event_age_seconds"] > 0
    assert grown["shirase_control_port_failures_total"] == 1

    port.behaviour = "accept"
    wired = app.extensions["shirase"]
    assert repair.repair(wired.database, wired.publisher).events == 2

    assert grown["shirase_relay_repaired_events_total"] == 2
    assert grown["shirase_event_age_seconds_count{way=relay}"] == 2
    assert figures(client)["shirase_unpublished_events"] == 0
    assert figures(client)["shirase_oldest_unpublished_event_age_seconds"] == 0


def test_a_spared_control_port_is_counted(
    client: FlaskClient, create: Callable[[int], None], port: ControlPort
) -> None:
    port.behaviour = "fail"
    grown = Grown(client)

    for _ in range(10):
        create(1)

    names = ("shirase_control_port_failures_total", "shirase_control_port_spared_total")
    wait_until(lambda: sum(grown[name] for name in names) == 10, 10, "not all were counted")
    failures, spared = (grown[name] for name in names)
    assert failures >= 3
    assert spared > 0


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("evict-oldest", "shirase_connections_ended_total{reason=connection-limit}"),
        ("reject", "shirase_connects_total{result=rejected}"),
    ],
)
def test_a_stream_too_many_is_counted(settings: Settings, token: Callable[..., str], policy: str, name: str) -> None:
    limited = replace(settings, sse_max_connections_per_user=1, sse_connection_limit_policy=policy)
    app = create_app(limited)
    client = app.test_client()
    signed = jwt.encode({"iss": "pushpin", "exp": 2**33}, settings.pushpin_sig_key, algorithm="HS256")
    headers = {"Authorization": f"Bearer {token('42')}", "Grip-Sig": signed}
    grown = Grown(client)

    for _ in range(3):
        client.get("/api/sse/notifications", headers=headers)

    assert grown[name] == 2
    assert figures(client)["shirase_open_connections"] == 1
    assert figures(client)["shirase_relay_silence_seconds"] == inf
    app.extensions["shirase"].database.close()


def test_metrics_are_served_during_an_outage_of_the_database(settings: Settings) -> None:
    unreachable = create_app(replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none")).test_client()

    result = figures(unreachable)

    assert result["shirase_database_up"] == 0
    assert "shirase_unpublished_events" not in result
    assert "shirase_notifications_created_total" in result


def test_a_process_that_is_just_starting_fails_no_scrape(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes its file before it fills it."""
    (tmp_path / "counter_1.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert read(answer.text)


def test_a_database_without_tables_is_no_reason_to_show_nothing(settings: Settings, postgres: Cluster) -> None:
    url = postgres.create("without_tables")
    app = create_app(replace(settings, database_url=url))
    client = app.test_client()

    assert figures(client)["shirase_database_up"] == 0
    assert client.get("/readyz").status_code == 503
    app.extensions["shirase"].database.close()
    postgres.drop("without_tables")


def test_a_node_without_statistics_is_reported_as_down(client: FlaskClient) -> None:
    result = figures(client)

    assert result["shirase_pushpin_up"] == 0
    assert result["shirase_database_up"] == 1


def test_no_figure_names_a_user(client: FlaskClient, create: Callable[[int], None]) -> None:
    create(1)

    labels = {
        name
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        for name in sample.labels
    }

    assert labels <= {
        "operation",
        "status",
        "result",
        "way",
        "node",
        "channel",
        "what",
        "reason",
        "le",
        "version",
        "implementation",
    } | {
        "major",
        "minor",
        "patchlevel",
        "generation",
    }


def test_ready_means_that_database_and_control_port_answer(client: FlaskClient) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json) == (200, {"status": "ready", "unavailable": []})


@pytest.mark.parametrize("behaviour", ["fail", "hang"])
def test_an_unavailable_node_is_named(client: FlaskClient, port: ControlPort, behaviour: str) -> None:
    port.behaviour = behaviour

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert body(answer)["unavailable"] == [port.url]
    assert client.get("/healthz").status_code == 200


def test_an_unavailable_database_is_named(settings: Settings) -> None:
    unreachable = create_app(
        replace(settings, database_url="postgresql://nobody:secret@127.0.0.1:1/none")
    ).test_client()

    answer = unreachable.get("/readyz")

    assert answer.status_code == 503
    assert body(answer)["unavailable"] == ["database"]
    assert "secret" not in answer.text
    assert unreachable.get("/healthz").status_code == 200


def test_one_node_of_several_is_enough(settings: Settings, port: ControlPort) -> None:
    gone = "http://127.0.0.1:1"
    both = create_app(replace(settings, grip_url=(gone, port.url))).test_client()

    answer = both.get("/readyz")

    assert (answer.status_code, answer.json) == (200, {"status": "ready", "unavailable": [gone]})


def body(answer: Any) -> dict[str, Any]:
    result: dict[str, Any] = answer.json
    return result
