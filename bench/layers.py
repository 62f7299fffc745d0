"""``python -m bench.layers``: processor time of a create and a connect in Python, layer by layer.

The handlers run in this process, on PostgreSQL and a real Pushpin, under the deterministic profiler with a processor
clock, so that waiting does not count. Gunicorn's own part is not included.
"""

import cProfile
import logging
import pstats
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jwt
import orjson
from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from bench.designs import CONTENT
from bench.measures import user
from shirase import logs
from shirase.access.tokens import WRITE, mint
from shirase.flask.app import create_app
from shirase.settings import Settings
from shirase.store.migrate import migrate
from tests.support.postgres import cluster
from tests.support.stack import Stack

COUNT = 300
LAYERS: dict[str, tuple[str, ...]] = {  # by a part of the file's path; the first match counts
    "SQLAlchemy": ("/sqlalchemy/",),
    "psycopg": ("/psycopg",),
    "http (the publish)": ("/http/", "/pubcontrol/", "/email/", "/socket.py", "/publisher.py", "/control.py"),
    "Flask, werkzeug": ("/flask/", "/werkzeug/", "/blinker/"),
    "PyJWT": ("/jwt/", "/cryptography/", "/hmac.py", "/base64.py"),
    "JSON, pydantic": ("/json/", "/pydantic/"),
    "metrics": ("/prometheus_client/",),
    "rate limits": ("/limits/", "/shared_counters.py", "/rate_limits.py"),
    "logging": ("/logging/", "/logs.py", "/traceback.py"),
    "Shirase's own": ("/api/",),
    "other": ("",),
}


def main() -> None:
    """Print both tables."""
    with cluster() as running, tempfile.TemporaryDirectory(prefix="bench-") as directory:
        url = running.create("layers")
        migrate(url)
        limits = {"RATE_LIMIT_CREATES": "1000000/minute", "RATE_LIMIT_FILE": f"{directory}/counts"}
        with Stack(url, Path(directory), workers=1, env=limits) as stack:
            app = create_app(stack.settings)
            log = Path(directory) / "lines"
            logs.start("INFO", as_json=False)
            logging.getLogger().handlers[0].setStream(log.open("w"))  # type: ignore[attr-defined]
            for name, make in (("create", _create), ("connect", _connect)):
                _print(name, _profile(app, stack.settings, make))


def _create(settings: Settings, number: int) -> EnvironBuilder:
    headers = {"Authorization": f"Bearer {mint(settings, 'producer', scope=WRITE)}", "Content-Type": "application/json"}
    body = orjson.dumps({**CONTENT, "user_id": user(number)})
    return EnvironBuilder("/api/notifications", method="POST", headers=headers.items(), data=body)


def _connect(settings: Settings, number: int) -> EnvironBuilder:
    claims = {"iss": "pushpin", "exp": int(time.time()) + 3600}
    headers = {
        "Authorization": f"Bearer {mint(settings, user(number))}",
        "Grip-Sig": jwt.encode(claims, settings.pushpin_sig_key, "HS256"),
    }
    return EnvironBuilder("/api/sse/notifications", headers=headers.items())


def _profile(app: Flask, settings: Settings, make: Callable[[Settings, int], EnvironBuilder]) -> dict[str, float]:
    """Return milliseconds of processor time per request by layer, and the total without the profiler under ``""``."""
    spent = {}
    for kind in ("warm", "bare", "profiled"):
        environs = [make(settings, number).get_environ() for number in range(COUNT)]
        profiler = cProfile.Profile(time.process_time)
        began = time.process_time()
        if kind == "profiled":
            profiler.enable()
        for environ in environs:
            _, status, _ = run_wsgi_app(app, environ, buffered=True)
            assert status.startswith("20"), status
        profiler.disable()
        spent[kind] = (time.process_time() - began) / COUNT * 1000
    by_layer: Counter[str] = Counter()
    for (path, _, _), (_, _, own, _, callers) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        if path == "~":  # C functions count for their callers
            for (caller, _, _), (_, _, part, _) in callers.items():
                by_layer[_layer(caller)] += part
        else:
            by_layer[_layer(path)] += own
    whole = sum(by_layer.values())
    return {"": spent["bare"], **{layer: part / whole * spent["bare"] for layer, part in by_layer.items()}}


def _layer(path: str) -> str:
    return next(name for name, parts in LAYERS.items() if any(part in path for part in parts))


def _print(name: str, spent: dict[str, float]) -> None:
    sys.stdout.write(f"\n{name}: {spent['']:.2f} ms of a processor in Python\n")
    for layer in LAYERS:
        sys.stdout.write(f"{layer:<26}{spent.get(layer, 0):6.2f}\n")


if __name__ == "__main__":
    main()
