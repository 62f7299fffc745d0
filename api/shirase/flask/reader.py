"""The page to read the OpenAPI document in."""

from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, send_from_directory

blueprint = Blueprint("docs", __name__, static_folder=str(Path(__file__).parent / "docs"), static_url_path="/api/docs")

READER = Path(flask_swagger_ui.__file__).parent / "dist"


@blueprint.get("/api/docs")
def page() -> Response:
    """The page that renders the document."""
    return send_from_directory(str(blueprint.static_folder), "index.html")


@blueprint.get("/api/docs/swagger-ui/<path:name>")
def swagger_ui(name: str) -> Response:
    """The files of Swagger UI, from its package."""
    return send_from_directory(READER, name, max_age=3600)
