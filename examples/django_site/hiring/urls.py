"""Everything is below /site/, since the proxy passes that on to us."""

from django.contrib.auth.views import LoginView
from django.urls import include, path

from hiring import views

urlpatterns = [
    path("site/", views.home, name="home"),
    path("site/login/", LoginView.as_view(template_name="hiring/login.html")),
    path("site/interviews", views.schedule, name="schedule"),
]
urlpatterns += [path("site/inbox/", include("shirase.django.urls"))]
