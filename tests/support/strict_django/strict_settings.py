"""The example site, where every page requires a sign-in, behind a prefix that a proxy removes."""

from hiring.settings import *  # noqa: F403
from hiring.settings import MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
FORCE_SCRIPT_NAME = "/app"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "strict_urls"
