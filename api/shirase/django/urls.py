"""The service's paths, behind the prefix at which a site includes them: ``path("inbox/", include(…))``."""

from django.urls import path

from shirase.django import views

app_name = "shirase"

urlpatterns = [
    path("api/sse/notifications", views.stream, name="stream"),
    path("api/sse/next", views.recover, name="next"),
    path("api/sse/next/<str:sealed>", views.continue_stream, name="continue"),
    path("api/sse/status", views.status, name="status"),
    path("api/notifications", views.index, name="list"),
    path("api/notifications/poll", views.poll, name="poll"),
    path("api/notifications/unread-count", views.unread_count, name="unread-count"),
    path("api/notifications/read", views.read, name="read"),
    path("api/notifications/read-all", views.read_all, name="read-all"),
    path("api/notifications/<int:number>", views.one, name="one"),
]
