"""The WSGI application for gunicorn: ``gunicorn shirase.wsgi:app``."""

import sys

from shirase import logs
from shirase.errors import SettingsError
from shirase.flask.app import create_app
from shirase.run.environment import chosen
from shirase.settings import Settings

APP_LOAD_ERROR = 4  # gunicorn's master then starts no other worker, which would fail too

try:
    settings = Settings.from_env(chosen())
    app = create_app(settings)
except SettingsError as exc:
    print(f"shirase: {exc}", file=sys.stderr)  # noqa: T201 - there is no log yet
    sys.exit(APP_LOAD_ERROR)
logs.configure(settings)
