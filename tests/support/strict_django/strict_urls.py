"""The inbox below STRICT_PREFIX."""

import os

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def home(_: HttpRequest) -> HttpResponse:
    """A page for signed-in users."""
    return HttpResponse("home")


PREFIX = os.environ["STRICT_PREFIX"].removeprefix("/")
urlpatterns = [path(f"{PREFIX}/", home), path(f"{PREFIX}/inbox/", include("shirase.django.urls"))]
