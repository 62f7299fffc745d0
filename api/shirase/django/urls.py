"""The service's paths, below the prefix at which a site includes them: ``path("inbox/", include(…))``."""

from django.urls import path

from shirase.django.views import view_of
from shirase.web.blueprint import by_path
from shirase.web.operations import FOR_HOSTS

app_name = "shirase"

urlpatterns = [
    path(rule.removeprefix("/"), view_of(methods), name=next(iter(methods.values())).name.rpartition(".")[2])
    for rule, methods in by_path(FOR_HOSTS).items()
]
