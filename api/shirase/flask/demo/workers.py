"""The demo's switch for a deploy: every worker is replaced while the streams go on. Mounted only with ``--demo``."""

import os
import signal
from http import HTTPStatus
from pathlib import Path

from flask import Blueprint, Response, jsonify, make_response, request

from shirase.errors import NotFound

blueprint = Blueprint("demo_workers", __name__)


@blueprint.get("/demo/workers")
def show() -> Response:
    """The process ids of the present workers."""
    return jsonify(workers=_workers())


@blueprint.post("/demo/workers/restart")
def restart() -> Response:
    """Have gunicorn's master replace every worker, as a deploy does; returns the old process ids."""
    before = _workers()
    os.kill(_master(), signal.SIGHUP)
    return make_response(jsonify(workers=before), HTTPStatus.ACCEPTED)


def _master() -> int:
    if "gunicorn.socket" not in request.environ:  # the parent may be any process, such as a shell
        raise NotFound("these handlers do not run under gunicorn")
    return os.getppid()


def _workers() -> list[int]:
    master = _master()
    try:
        return sorted(int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split())
    except OSError:  # not Linux
        return [os.getpid()]
