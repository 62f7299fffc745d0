"""An application's own Express proxy with ``compression``, which would hold compressed events back in a buffer."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.loop_thread import wait_until
from tests.support.service import Service
from tests.support.stack import free_ports

FRONTEND = Path(__file__).parents[2] / "frontend"
STARTED = 20.0
ARRIVES = 10.0  # seconds without a byte until a stream counts as held back; the heartbeat is slower
PROXY = """
import compression from "compression";
import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";

const [port, target] = process.argv.slice(-2);
const app = express();
app.use(compression({ threshold: 0 }));
app.get("/up", (_, response) => response.type("text").send("up".repeat(1000)));
app.use(createProxyMiddleware({ target, changeOrigin: true }));
app.listen(Number(port), "127.0.0.1");
"""

pytestmark = pytest.mark.skipif(not (FRONTEND / "node_modules/express").exists(), reason="Express is not installed")


@pytest.fixture(scope="module")
def http(service: Service) -> Iterator[httpx.Client]:
    [port] = free_ports(1)
    command = ["node", "--input-type=module", "--eval", PROXY, "--", str(port), service.stack.url]
    process = subprocess.Popen(command, cwd=FRONTEND)
    try:
        with closing(httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=ARRIVES)) as client:
            wait_until(lambda: _is_up(client), STARTED, "Express does not start")
            yield client
    finally:
        process.kill()
        process.wait()


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/up").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_express_compresses_other_answers(http: httpx.Client) -> None:
    assert http.get("/up").headers["Content-Encoding"] in ("gzip", "br", "deflate")


def test_events_pass_express_compression_at_once(http: httpx.Client, service: Service) -> None:
    user = f"user-{uuid4().hex}"
    token = service.stack.token(user)
    with http.stream("GET", f"/api/sse/notifications?token={token}") as answer:
        assert answer.status_code == httpx.codes.OK
        assert "Content-Encoding" not in answer.headers
        data = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        assert next(data)["status"] == "connected"
        service.create(user, "through Express")
        assert next(data)["title"] == "through Express"
