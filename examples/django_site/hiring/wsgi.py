"""The application for gunicorn: ``gunicorn hiring.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hiring.settings")
application = get_wsgi_application()
