"""A page that shows what comes, and the one place where something happens."""

from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from hiring.models import Interview
from shirase.django import notify


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The events of the signed-in user, and a form to schedule an interview."""
    page: HttpResponse = render(request, "hiring/home.html")
    return page


@login_required
@require_POST
def schedule(request: HttpRequest) -> HttpResponse:
    """Both exist, or neither."""
    candidate = get_object_or_404(get_user_model(), username=request.POST.get("candidate"))
    title = request.POST.get("title", "")[:200] or "Interview"
    with transaction.atomic():  # both exist, or neither
        interview = Interview.objects.create(candidate=candidate, title=title)
        notify(user=candidate, type="interview.scheduled", title=title, message="", payload={"interview": interview.pk})
    answer: HttpResponse = redirect("home")
    return answer
