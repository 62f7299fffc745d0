"""Django's settings; the environment is what `shirase up` left in its directory."""

import os
from urllib.parse import quote, unquote, urlsplit

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "hiring",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

INSTALLED_APPS += ["shirase.django"]
MIDDLEWARE += ["django_grip.GripMiddleware"]
# The control port to publish to, and the key that the proxy signs its requests with.
GRIP_URL = f"{os.environ['GRIP_URL']}?key={quote(os.environ['PUSHPIN_SIG_KEY'])}"
# The same as those of the service beside it: both count the streams of one user, and end what is above their limit.
SHARED = ("DATABASE_SCHEMA", "SSE_KEEPALIVE_TIMEOUT", "SSE_MAX_CONNECTIONS_PER_USER", "SSE_QUEUE_SIZE")
SHIRASE = {name: os.environ[name] for name in SHARED if name in os.environ}

_database = urlsplit(os.environ["DATABASE_URL"])
DATABASES: dict[str, dict[str, object]] = {}
if _database.scheme == "sqlite":
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": unquote(_database.path[1:]),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL", "timeout": 10},
    }
else:
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(_database.path[1:]),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname,
        "PORT": _database.port or "",
        "CONN_MAX_AGE": 60,
    }

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only for this example, on loopback")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "hiring.urls"
WSGI_APPLICATION = "hiring.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "/site/login/"
LOGIN_REDIRECT_URL = "/site/"
TIME_ZONE = "UTC"
USE_TZ = True
