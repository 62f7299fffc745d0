"""The site's own tables."""

from django.conf import settings
from django.db import models


class Interview(models.Model):
    """An interview of a candidate."""

    candidate = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    title = models.CharField(max_length=200)

    def __str__(self) -> str:
        """As people call it."""
        return str(self.title)
