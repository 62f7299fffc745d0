"""The example site, where everybody has to sign in for everything, behind a prefix that a proxy takes off."""

from hiring.settings import *  # noqa: F403
from hiring.settings import MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
FORCE_SCRIPT_NAME = "/app"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "strict_urls"
